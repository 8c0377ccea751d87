"""BAS: a map is learned that leaves the background nothing of the class's activation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.backbones.starts import start_xavier
from rfga.methods.base import Method, ScoreMaps, labels_or_top, pick_maps, start_head


class Gate(nn.Module):
    """Multiplies the features by a mask (B, 1, h, w) while there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, C, h, w), masked or as it is."""
        return x if self.mask is None else x * self.mask

    @contextmanager
    def closed(self, mask: Tensor) -> Iterator[None]:
        """Within, only what the mask lets pass goes on."""
        self.mask = mask
        try:
            yield
        finally:
            self.mask = None


class BAS(Method):
    """Background activation suppression (Wu, Zhai and Cao, CVPR 2022).

    "Background Activation Suppression for Weakly Supervised Object Localization", arXiv:2112.00580, section
    3. From the features F before the last stage a 3x3 convolution and a sigmoid make a map M of each class.
    F * M is to be classified as F is; the class's activation that is left of F * (1 - M), divided by that of
    F, is to vanish, and so is the mean of M, so that M covers the object and no more. The weights behind F
    learn nothing from the background. The score map of a class is its M; the authors average those of the
    most probable classes, and put three convolutions where one classifies here. Their program is for research
    alone; this is written from the paper.

    Args:
        backbone: gives the features.
        num_classes: K.
        foreground: weight of the classification of F * M.
        background: weight of the activation that is left of F * (1 - M).
        area: weight of the mean of M.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = BAS(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        foreground: float = 0.5,
        background: float = 1.0,
        area: float = 1.0,
    ) -> None:
        super().__init__(backbone, num_classes)
        self.foreground, self.background, self.area = foreground, background, area
        self.place = backbone.middle_places[0]
        self.gate = Gate()
        self.generator = start_xavier(nn.Conv2d(backbone.channels[self.place], num_classes, 3, padding=1))
        backbone.attach(self.place, self.gate)
        self.head = start_head(nn.Conv2d(backbone.out_channels, num_classes, 1))

    @property
    def map_stage(self) -> str:
        """The stage from which maps are made."""
        return self.place

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Classification of all and of the object, what the background has of the class, and the area."""
        last, (features,) = self.backbone.forward_places(images, [self.place], generator)
        maps = self.head(last)
        masks = pick_maps(torch.sigmoid(self.generator(features)), labels[:, None])
        with self.gate.closed(masks):
            object_logits = self.head(self.backbone(images, generator)).mean((2, 3))
        with self._weights_kept(), self.gate.closed(1 - masks):
            background_maps = self.head(self.backbone(images, generator))
        left = left_of(activation(background_maps, labels), activation(maps, labels).detach())
        return (
            F.cross_entropy(maps.mean((2, 3)), labels)
            + self.foreground * F.cross_entropy(object_logits, labels)
            + self.background * left.mean()
            + self.area * masks.mean()
        )

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits, and for each class its map."""
        last, (features,) = self.backbone.forward_places(images, [self.place])
        logits = self.head(last).mean((2, 3))
        labels = labels_or_top(logits, labels)
        return ScoreMaps(logits, pick_maps(torch.sigmoid(self.generator(features)), labels), labels)

    @contextmanager
    def _weights_kept(self) -> Iterator[None]:
        """Within, what is computed teaches the mask alone."""
        kept = [p for part in (self.backbone, self.head) for p in part.parameters() if p.requires_grad]
        try:
            for parameter in kept:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in kept:
                parameter.requires_grad_(True)


def activation(maps: Tensor, labels: Tensor) -> Tensor:
    """How much of its class is in each image: (B,) at least 0, from class maps (B, K, h, w)."""
    return pick_maps(F.relu(maps), labels[:, None]).mean((1, 2, 3))


def left_of(background: Tensor, whole: Tensor) -> Tensor:
    """The part of the whole image's activation that the background has, 1 at most: (B,).

    Example:
        >>> left_of(torch.tensor([1.0, 3.0, 0.0]), torch.tensor([4.0, 2.0, 0.0]))
        tensor([0.2500, 1.0000, 0.0000])
    """
    return (background / whole.clamp_min(1e-8)).clamp_max(1.0)
