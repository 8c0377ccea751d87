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
        >>> from rfga import LocalizationMetrics, Truth
        >>> grayscale_cam = np.zeros((1, 96, 64), dtype=np.float32)  # of GradCAM(...)(input_tensor=images)
        >>> grayscale_cam[0, 24:72, 16:48] = 1
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
        >>> from rfga import LocalizationMetrics, Truth
        >>> activation_maps = [torch.zeros(1, 7, 9)]  # of SmoothGradCAMpp(model)(class_idx, scores)
        >>> activation_maps[0][0, 2:5, 3:6] = 1
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
