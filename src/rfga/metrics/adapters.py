"""Maps of other tools, straight into the metrics: what each of them returns becomes (N, 224, 224) in [0, 1].

Neither tool is imported here: what they return are plain arrays and tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from rfga.geometry.maps import score_maps
from rfga.metrics.streaming import as_array
from rfga.types import FloatArray, UserError


def from_grad_cam(grayscale_cam: ArrayLike, normalisation: str = "minmax") -> FloatArray:
    """Maps that a method of pytorch-grad-cam returns for a batch.

    Args:
        grayscale_cam: (N, H, W) float32, the result of ``cam(input_tensor=images, targets=targets)``. The
            library has brought it to the size of its input; at any size but 224 x 224 it is resized again
            and normalised.
        normalisation: of the maps.

    Returns:
        (N, 224, 224) float64 in [0, 1], for ``update`` of any metric.

    Raises:
        UserError: another shape.

    Example:
        >>> import torch
        >>> from pytorch_grad_cam import GradCAM
        >>> from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
        >>> from rfga import LocalizationMetrics, Truth
        >>> network = torch.nn.Sequential(  # class 1 is whatever is bright
        ...     torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> _ = network[0].weight.data.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
        >>> images = torch.zeros(1, 3, 96, 64)
        >>> images[:, :, 24:72, 16:48] = 1
        >>> with GradCAM(model=network, target_layers=[network[0]]) as cam:
        ...     grayscale_cam = cam(input_tensor=images, targets=[ClassifierOutputTarget(1)])
        >>> grayscale_cam.shape
        (1, 96, 64)
        >>> metrics = LocalizationMetrics(step=0.1, num_classes=2)
        >>> truth = Truth((96, 64), boxes=np.array([[16.0, 24.0, 48.0, 72.0]]))
        >>> metrics.update(["a.jpg"], from_grad_cam(grayscale_cam), [truth])
        >>> metrics.compute()["metrics"]["GTKnownLoc"][0]["value"]
        1.0
    """
    return _maps(as_array(grayscale_cam), normalisation, "pytorch-grad-cam returns (N, H, W)")


def from_torchcam(
    activation_maps: Sequence[Tensor], layer: int = -1, normalisation: str = "minmax"
) -> FloatArray:
    """Maps that an extractor of torchcam returns for a batch.

    Args:
        activation_maps: one tensor (N, h, w) for each layer, the result of ``extractor(class_idx, scores)``;
            older versions give (h, w) for a single image.
        layer: which of the layers.
        normalisation: of the maps.

    Returns:
        (N, 224, 224) float64 in [0, 1], for ``update`` of any metric.

    Raises:
        UserError: no such layer, or another shape.

    Example:
        >>> import torch
        >>> from torchcam.methods import LayerCAM
        >>> from rfga import LocalizationMetrics, Truth
        >>> network = torch.nn.Sequential(  # class 1 is whatever is bright
        ...     torch.nn.Conv2d(3, 2, 10, stride=10), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> _ = network[0].weight.data.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
        >>> images = torch.zeros(1, 3, 70, 90)
        >>> images[:, :, 20:50, 30:60] = 1
        >>> with LayerCAM(network, network[0]) as extractor:
        ...     activation_maps = extractor(1, network(images))
        >>> [tuple(layer.shape) for layer in activation_maps]
        [(1, 7, 9)]
        >>> metrics = LocalizationMetrics(step=0.1, num_classes=2)
        >>> truth = Truth((70, 90), boxes=np.array([[30.0, 20.0, 60.0, 50.0]]))
        >>> metrics.update(["a.jpg"], from_torchcam(activation_maps), [truth])
        >>> metrics.compute()["metrics"]["GTKnownLoc"][0]["value"]
        1.0
    """
    if not -len(activation_maps) <= layer < len(activation_maps):
        raise UserError(f"expected one of {len(activation_maps)} layers, found {layer}: choose another")
    found = as_array(activation_maps[layer])
    return _maps(
        found[None] if found.ndim == 2 else found, normalisation, "torchcam returns (N, h, w) a layer"
    )


def _maps(
    found: np.ndarray[tuple[int, ...], np.dtype[np.generic]], normalisation: str, usual: str
) -> FloatArray:
    if found.ndim != 3 or not np.issubdtype(found.dtype, np.floating):
        raise UserError(
            f"expected maps of floats for a batch ({usual}), found {found.dtype} of shape {found.shape}: "
            "give the library's result as it is"
        )
    return score_maps(found, normalisation)
