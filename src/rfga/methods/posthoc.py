"""Post-hoc maps of any trained method: what its logits make of the last features, by the library grad-cam.

Features A (C, h, w) of an image, the logit S of a class, and its gradient G = dS/dA (C, h, w) are all that
these readings need; Score-CAM also asks the network about masked images.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rfga.methods.base import MapReader, Method, ScoreMaps, labels_or_top
from rfga.nn.gradients import released
from rfga.types import UserError

Float32Array = NDArray[np.float32]


class PostHoc(MapReader):
    """Reads maps from a trained method without any of its own; its logits are the method's.

    The features are those that the backbone returns, attached layers included. The method is left as it
    was: its mode, its parameters and their gradients.

    Args:
        method: trained, of any kind.

    Raises:
        UserError: the library grad-cam is not installed.
    """

    tool: ClassVar[str]  # the library's class

    def __init__(self, method: Method) -> None:
        try:
            library = importlib.import_module("pytorch_grad_cam")
        except ImportError as error:
            raise UserError(
                f"expected the library grad-cam for post-hoc maps, found that it cannot be loaded ({error}): "
                'pip install "rfga[grad-cam]"'
            ) from error
        super().__init__(method)
        self._tool: Any = getattr(library, self.tool)

    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits and maps of normalised ``images`` (B, 3, H, W), clipped at zero, of the features' size.

        Args:
            images: (B, 3, H, W).
            labels: (B,) or (B, n) classes to map; by default the most probable one of each image.

        Raises:
            ValueError: labels of another shape or out of range; a method whose logits do not follow from
                what its backbone returns.
        """
        with self.reading():
            features, logits = features_and_logits(self.method, images)
            chosen = labels_or_top(logits.detach(), labels)
            # No hooks: the library gets the features and gradients themselves.
            reader = self._tool(_Logits(self.method), target_layers=[])
            maps = [self._maps(reader, images, features, logits, column) for column in chosen.unbind(1)]
        return ScoreMaps(logits.detach(), torch.stack(maps, 1), chosen)

    def _maps(self, reader: Any, images: Tensor, features: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """The maps (B, h, w) of one class for each image."""
        with torch.enable_grad():
            score = logits.gather(1, labels[:, None]).sum()
        (gradients,) = torch.autograd.grad(score, features, retain_graph=True)
        with torch.no_grad():
            read = self._read(reader, images, _array(features), _array(gradients), labels.tolist())
        return torch.from_numpy(np.maximum(read, 0)).to(images.device)

    def _read(
        self, reader: Any, images: Tensor, features: Float32Array, gradients: Float32Array, labels: list[int]
    ) -> Float32Array:
        """The library's maps (B, h, w) before it clips and resizes them."""
        targets = [_Logit(label) for label in labels]
        maps: Float32Array = reader.get_cam_image(images, None, targets, features, gradients, False)
        return maps


class GradCAM(PostHoc):
    """Grad-CAM (Selvaraju et al., ICCV 2017): channels weighted by their mean gradient.

    "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", arXiv:1610.02391,
    equations 1 and 2: the map is relu(sum over c of mean(G[c]) * A[c]).

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> GradCAM(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    tool = "GradCAM"


class GradCAMPlusPlus(PostHoc):
    """Grad-CAM++ (Chattopadhay et al., WACV 2018): positive gradients weighted pixel by pixel.

    "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks", arXiv:1710.11063, equations
    5, 7 and 19: alpha = G^2 / (2 G^2 + sum(A[c]) * G^3), and the map is
    relu(sum over c of A[c] * sum(alpha[c] * relu(G[c]))).

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> GradCAMPlusPlus(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    tool = "GradCAMPlusPlus"

    def _read(
        self, reader: Any, images: Tensor, features: Float32Array, gradients: Float32Array, labels: list[int]
    ) -> Float32Array:
        # The library adds 1e-6 to the denominator, which is large against the squared gradients of averaged
        # features. The equation is the same in any unit of A, so one is taken in which G reaches 1.
        largest = np.abs(gradients).max((1, 2, 3), keepdims=True)
        unit = np.where(largest > 0, largest, 1).astype(np.float32)
        return super()._read(reader, images, features * unit, gradients / unit, labels)


class LayerCAM(PostHoc):
    """LayerCAM (Jiang et al., IEEE TIP 2021): each element weighted by its own positive gradient.

    "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", doi 10.1109/TIP.2021.3089943,
    equations 6 and 7: the map is relu(sum over c of relu(G[c]) * A[c]).

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> LayerCAM(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    tool = "LayerCAM"


class ScoreCAM(PostHoc):
    """Score-CAM (Wang et al., CVPR Workshops 2020): channels weighted by the logit of the image they mask.

    "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", arXiv:1910.01279,
    algorithm 1: each channel, resized to the image and scaled to [0, 1], multiplies the image; the softmax
    over channels of the class's logits weights the channels; the map is relu of their sum. One image takes
    as many passes as there are channels.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> ScoreCAM(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    tool = "ScoreCAM"

    def _read(
        self, reader: Any, images: Tensor, features: Float32Array, gradients: Float32Array, labels: list[int]
    ) -> Float32Array:
        read = []
        # One at a time: the library holds an image for each channel of all that it is given.
        with _without_bars("pytorch_grad_cam.score_cam"):
            for i, label in enumerate(labels):
                only = slice(i, i + 1)
                read.append(super()._read(reader, images[only], features[only], gradients[only], [label]))
        return np.concatenate(read)


class EigenCAM(PostHoc):
    """Eigen-CAM (Muhammad and Yeasin, IJCNN 2020): the first principal component, the same for all classes.

    "Eigen-CAM: Class Activation Map using Principal Components", arXiv:2008.00299, section III: A at each
    place, less its mean over the places, projected to the first right singular vector, and clipped at zero.
    The sign of such a vector is not determined; here the map rises with the sum of the features.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> EigenCAM(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    tool = "EigenCAM"

    def _read(
        self, reader: Any, images: Tensor, features: Float32Array, gradients: Float32Array, labels: list[int]
    ) -> Float32Array:
        read = super()._read(reader, images, features, gradients, labels)
        # The library's maps have a mean of zero: the sign of the product's sum is that of the correlation.
        against = (read * features.sum(1)).sum((1, 2), keepdims=True) < 0
        return np.where(against, -read, read)


def features_and_logits(method: Method, images: Tensor) -> tuple[Tensor, Tensor]:
    """The last features (B, C, h, w), and the logits (B, K) that gradients lead from back to them.

    Nothing but ``localize`` is asked of the method.

    Raises:
        ValueError: the logits do not follow from the features.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> features, logits = features_and_logits(method, torch.randn(2, 3, 64, 96))
        >>> (gradients,) = torch.autograd.grad(logits[:, 1].sum(), features)
        >>> torch.allclose(gradients[1, :, 2, 3], method.head.weight[1] / (4 * 6))
        True
    """
    return released(method, method.backbone, lambda: method.localize(images).logits)


@contextmanager
def _without_bars(module_name: str) -> Iterator[None]:
    """Keep a module from drawing a progress bar for each image: the command has one for all of them."""
    module: Any = importlib.import_module(module_name)
    kept = module.tqdm
    module.tqdm = SimpleNamespace(tqdm=iter)
    try:
        yield
    finally:
        module.tqdm = kept


class _Logits(nn.Module):
    """A method as the library wants a network: images in, logits out."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> Tensor:
        return self.method.localize(images).logits


class _Logit:
    """Picks the class to explain from the logits (K,) of an image."""

    def __init__(self, label: int) -> None:
        self.label = label

    def __call__(self, logits: Tensor) -> Tensor:
        return logits[self.label]


def _array(values: Tensor) -> Float32Array:
    return values.detach().float().cpu().contiguous().numpy()
