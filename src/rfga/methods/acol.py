"""ACoL: two heads, of which the second has to find what the first did not look at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.methods.base import Method, ScoreMaps, labels_or_top, pick_maps, unit_range


class ACoL(Method):
    """Adversarial complementary learning (Zhang et al., CVPR 2018).

    "Adversarial Complementary Learning for Weakly Supervised Object Localization", arXiv:1804.06962,
    section 3.2. Two heads of three convolutions give class maps; where the first head's map of the labelled
    class is high, the features are zeroed for the second. The loss is the sum of both heads' cross
    entropies, the score map the elementwise maximum of both maps, each scaled to [0, 1].

    Args:
        backbone: gives the features, without a neck.
        num_classes: K.
        width: channels of the heads.
        erase_threshold: in [0, 1]; features are zeroed where the scaled map is at least this.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = ACoL(build_backbone("resnet18"), num_classes=3, width=32).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, *, width: int = 1024, erase_threshold: float = 0.7
    ) -> None:
        if width < 1:
            raise ValueError(f"expected width of at least 1, found {width}: the paper's is 1024")
        if not 0 < erase_threshold <= 1:
            raise ValueError(
                f"expected erase_threshold above 0 and at most 1, found {erase_threshold}: 0.7 is usual"
            )
        super().__init__(backbone, num_classes)
        backbone.leave_out_neck()
        self.erase_threshold = erase_threshold
        channels = backbone.out_channels
        self.head_a = backbone.start_heads(_head(channels, width, num_classes))
        self.head_b = backbone.start_heads(_head(channels, width, num_classes))

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The sum of both heads' cross entropies."""
        features = self.backbone(images, generator)
        maps_a = self.head_a(features)
        maps_b = self._second(features, pick_maps(maps_a, labels[:, None]))
        return F.cross_entropy(maps_a.mean((2, 3)), labels) + F.cross_entropy(maps_b.mean((2, 3)), labels)

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """The first head's logits, and for each class the maximum of both heads' scaled maps."""
        features = self.backbone(images)
        maps_a = self.head_a(features)
        logits = maps_a.mean((2, 3))
        labels = labels_or_top(logits, labels)
        class_maps = pick_maps(maps_a, labels)
        # The second head sees other features for each class: as images of their own, (B * n, C, h, w).
        each = features[:, None].expand(-1, labels.shape[1], -1, -1, -1).flatten(0, 1)
        maps_b = self._second(each, class_maps.flatten(0, 1)[:, None])
        complements = pick_maps(maps_b, labels.flatten()[:, None]).view_as(class_maps)
        return ScoreMaps(logits, torch.maximum(unit_range(class_maps), unit_range(complements)), labels)

    def _second(self, features: Tensor, class_map: Tensor) -> Tensor:
        """The second head's maps (B, K, h, w)."""
        maps: Tensor = self.head_b(erase(features, attention(class_map), self.erase_threshold))
        return maps


def attention(class_map: Tensor) -> Tensor:
    """A class's map (B, 1, h, w) of the first head, scaled to [0, 1] in each image, without gradient.

    Example:
        >>> attention(torch.tensor([[[[0.0, 1.0, 4.0]]]]))
        tensor([[[[0.0000, 0.2500, 1.0000]]]])
    """
    return unit_range(class_map.detach())


def erase(features: Tensor, attended: Tensor, threshold: float) -> Tensor:
    """Features (B, C, h, w), zeroed where ``attended`` (B, 1, h, w) is at least ``threshold``.

    Example:
        >>> erase(torch.ones(1, 1, 1, 3), torch.tensor([[[[0.2, 0.7, 1.0]]]]), 0.7)
        tensor([[[[1., 0., 0.]]]])
    """
    return features * (attended < threshold).to(features.dtype)


def _head(channels: int, width: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, num_classes, 1),
    )
