"""CutMix: a box of each training image is replaced by that of another, and the loss asks for both classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.methods.cam import CAM


class CutMix(CAM):
    """CutMix (Yun et al., ICCV 2019).

    "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
    arXiv:1905.04899, equations 1 and 2. A box of sqrt(1 - lambda) of the image's height and width, lambda
    from Beta(alpha, alpha), is taken from another image of the batch; the classes count by the area that each
    image has in the end. Maps are CAM's.

    Args:
        backbone: gives the features.
        num_classes: K.
        alpha: of the Beta distribution; 1 is the uniform one.
        probability: that a batch is mixed at all, in [0, 1].

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = CutMix(build_backbone("resnet18"), num_classes=3)
        >>> images, labels = torch.randn(2, 3, 64, 96), torch.tensor([0, 2])
        >>> method.loss(images, labels, torch.Generator().manual_seed(0)).isfinite()
        tensor(True)
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, *, alpha: float = 1.0, probability: float = 1.0
    ) -> None:
        super().__init__(backbone, num_classes)
        if not 0 < alpha < math.inf:
            raise ValueError(f"expected alpha above 0, found {alpha}: 1 is the paper's")
        if not 0 <= probability <= 1:
            raise ValueError(f"expected probability from 0 to 1, found {probability}: 1 is the paper's")
        self.alpha, self.probability = alpha, probability

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy with the image's own class and with the box's, weighted by their areas."""
        if _uniform(generator) >= self.probability:
            return super().loss(images, labels, generator)
        height, width = images.shape[2:]
        y0, y1, x0, x1 = draw_box((height, width), draw_beta(self.alpha, generator), generator)
        others = torch.randperm(len(images), generator=generator, device=generator.device).to(images.device)
        mixed = images.clone()
        mixed[:, :, y0:y1, x0:x1] = images[others, :, y0:y1, x0:x1]
        own = 1 - (y1 - y0) * (x1 - x0) / (height * width)
        logits = self.head(self.backbone(mixed, generator).mean((2, 3)))
        return own * F.cross_entropy(logits, labels) + (1 - own) * F.cross_entropy(logits, labels[others])


def draw_box(
    size_hw: tuple[int, int], kept_fraction: float, generator: torch.Generator
) -> tuple[int, int, int, int]:
    """Rows y0 to below y1 and columns x0 to below x1 of a box around a random pixel, cut at the edges.

    Before it is cut, the box has the image's proportions and 1 - ``kept_fraction`` of its area.

    Args:
        size_hw: of the image, in pixels.
        kept_fraction: lambda, in [0, 1].
        generator: gives the box's centre.

    Example:
        >>> draw_box((64, 96), 0.75, torch.Generator().manual_seed(1))
        (21, 53, 0, 35)
    """
    edges: list[int] = []
    for pixels in size_hw:
        length = int(pixels * math.sqrt(1 - kept_fraction))
        centre = int(torch.randint(pixels, (), generator=generator, device=generator.device))
        edges += [max(centre - length // 2, 0), min(centre - length // 2 + length, pixels)]
    return edges[0], edges[1], edges[2], edges[3]


def draw_beta(alpha: float, generator: torch.Generator) -> float:
    """A draw from Beta(alpha, alpha), in [0, 1], made of uniform draws alone.

    From alpha 1 on by rejection: the density is at most that at 1/2, so that a uniform x is kept with
    probability (4 x (1 - x))^(alpha - 1). Below 1 by Johnk's rule (Metrika 8, 1964): with uniform u, v the
    share of u^(1/alpha) in u^(1/alpha) + v^(1/alpha) is kept where that sum is at most 1.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> [round(draw_beta(alpha, generator), 3) for alpha in (0.2, 1.0, 5.0)]
        [0.0, 0.459, 0.581]
    """
    return _beta_by_rejection(alpha, generator) if alpha >= 1 else _beta_by_johnk(alpha, generator)


def _beta_by_rejection(alpha: float, generator: torch.Generator) -> float:
    while True:
        x, height = _uniform(generator), _uniform(generator)
        if height <= (4 * x * (1 - x)) ** (alpha - 1):
            return x


def _beta_by_johnk(alpha: float, generator: torch.Generator) -> float:
    while True:
        # As logarithms, for at a small alpha the powers themselves are too small for floating point.
        log_u, log_v = (math.log1p(-_uniform(generator)) / alpha for _ in range(2))
        if math.exp(log_u) + math.exp(log_v) <= 1:
            return 1 / (1 + math.exp(min(log_v - log_u, 700.0)))  # exp of more would overflow


def _uniform(generator: torch.Generator) -> float:
    """In [0, 1)."""
    return float(torch.rand((), generator=generator, device=generator.device, dtype=torch.float64))
