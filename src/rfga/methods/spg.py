"""SPG: side branches learn object from background, guided by the sure pixels of one another's maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import MAX_BRANCH_WIDTH, Backbone
from rfga.backbones.starts import start_xavier
from rfga.methods.base import Method, ScoreMaps, pick_maps, read_class_maps, unit_range

MIN_PIXELS = 30  # fewer than these above the threshold are too few to learn from
SHARE_OF_MAX = 0.7  # of a map's maximum, above which pixels then are taken
OBJECT, BACKGROUND, IGNORED = 1.0, 0.0, -1.0


@dataclass(frozen=True)
class Bounds:
    """Above ``high`` a pixel is object, below ``low`` it is background, between it is ignored."""

    high: float
    low: float


@dataclass(frozen=True)
class Guides:
    """The bounds of the three pseudo masks; the defaults are the authors'."""

    attention: Bounds = Bounds(0.7, 0.01)
    middle: Bounds = Bounds(0.5, 0.05)
    fused: Bounds = Bounds(0.7, 0.1)


@dataclass(frozen=True)
class Branches:
    """What the network says in training; all maps at sizes of their own."""

    class_maps: Tensor  # (B, K, h, w)
    early: Tensor  # (B, 1, h', w') logits of branch B after the early tap
    middle: Tensor  # (B, 1, h'', w'') logits of branch B after the middle tap
    last: Tensor  # (B, 1, h, w) logits of branch C


class SPG(Method):
    """Self-produced guidance (Zhang et al., ECCV 2018).

    "Self-produced Guidance for Weakly-supervised Object Localization", arXiv:1807.08902, section 3. A 1x1
    convolution gives class maps. In training, the map of the labelled class guides branch B after a middle
    tap, that one guides branch B after an early tap, and the mean of both guides branch C on the last
    features. The score map of a class is its class map.

    Args:
        backbone: gives the features, and says where it is tapped.
        num_classes: K.
        width: most channels of a branch; by default the backbone's and 512.
        attention_high: of the scaled class map, above which a pixel is object.
        attention_low: of the scaled class map, below which a pixel is background.
        middle_high: of the middle branch's probability, above which a pixel is object.
        middle_low: of the middle branch's probability, below which a pixel is background.
        fused_high: of the mean of both branches' probabilities, above which a pixel is object.
        fused_low: of the mean of both branches' probabilities, below which a pixel is background.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = SPG(build_backbone("resnet18"), num_classes=3, width=32).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        width: int | None = None,
        attention_high: float = 0.7,
        attention_low: float = 0.01,
        middle_high: float = 0.5,
        middle_low: float = 0.05,
        fused_high: float = 0.7,
        fused_low: float = 0.1,
    ) -> None:
        if width is not None and width < 1:
            raise ValueError(f"expected width of at least 1, found {width}: leave it out for the backbone's")
        super().__init__(backbone, num_classes)
        self.guides = Guides(
            _bounds("attention", attention_high, attention_low),
            _bounds("middle", middle_high, middle_low),
            _bounds("fused", fused_high, fused_low),
        )
        taps = backbone.open_taps()
        self.places = (taps.early[0], taps.middle[0])
        wide = min(width or taps.width, taps.width)
        self.branch_early = start_xavier(_convolution(taps.early[1], wide))
        self.branch_middle = start_xavier(_convolution(taps.middle[1], wide))
        self.branch_shared = start_xavier(_to_one_channel(wide, wide))
        channels = backbone.out_channels
        last = min(width or MAX_BRANCH_WIDTH, MAX_BRANCH_WIDTH, channels)
        self.branch_last = start_xavier(_to_one_channel(channels, last))
        self.head = start_xavier(nn.Conv2d(channels, num_classes, 1))

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the averaged class maps, and what the three branches miss of their guides."""
        last, (early, middle) = self.backbone.forward_places(images, self.places, generator)
        found = Branches(
            self.head(last),
            self.branch_shared(self.branch_early(early)),
            self.branch_shared(self.branch_middle(middle)),
            self.branch_last(last),
        )
        height, width = images.shape[2:]
        guided = guidance_loss(found, labels, (height, width), self.guides)
        return F.cross_entropy(found.class_maps.mean((2, 3)), labels) + guided

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits, and for each class its channel of the head's output."""
        return read_class_maps(self.head(self.backbone(images)), labels)


def guidance_loss(found: Branches, labels: Tensor, size_hw: tuple[int, int], guides: Guides) -> Tensor:
    """The sum of the three branches' losses, each against the pseudo mask that guides it.

    Args:
        found: maps, which are first resized (bilinear) to ``size_hw``.
        labels: (B,) classes whose maps guide.
        size_hw: height and width of the images.
        guides: bounds of the pseudo masks.
    """
    early, middle, last = (_resized(logits, size_hw) for logits in (found.early, found.middle, found.last))
    with torch.no_grad():
        attended = unit_range(_resized(pick_maps(found.class_maps, labels[:, None]), size_hw))
        fused = (early.sigmoid() + middle.sigmoid()) / 2
        for_middle = pseudo_mask(attended, guides.attention)
        for_early = pseudo_mask(middle.sigmoid(), guides.middle)
        for_last = pseudo_mask(fused, guides.fused)
    return masked_bce(middle, for_middle) + masked_bce(early, for_early) + masked_bce(last, for_last)


def pseudo_mask(maps: Tensor, bounds: Bounds) -> Tensor:
    """1 object, 0 background, -1 ignored, of maps (B, 1, H, W) in [0, 1].

    Object is what is above the high bound or, where that gives fewer than 30 pixels, above 0.7 times the
    image's maximum; what is below the low bound is background in any case.

    Example:
        >>> pseudo_mask(torch.tensor([[[[0.005, 0.3, 0.8, 1.0]]]]), Bounds(0.9, 0.01))
        tensor([[[[ 0., -1.,  1.,  1.]]]])
    """
    sure = maps > bounds.high
    few = sure.sum((2, 3), keepdim=True) < MIN_PIXELS
    sure = torch.where(few, maps > SHARE_OF_MAX * maps.amax((2, 3), keepdim=True), sure)
    mask = torch.where(sure, OBJECT, torch.full_like(maps, IGNORED))
    return torch.where(maps < bounds.low, BACKGROUND, mask)


def masked_bce(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross entropy, averaged over all pixels of the batch that are not ignored; 0 where all are.

    Example:
        >>> masked_bce(torch.zeros(1, 1, 1, 3), torch.tensor([[[[1.0, 0.0, -1.0]]]]))
        tensor(0.6931)
    """
    counts = (mask != IGNORED).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, mask.clamp(min=0), reduction="none")
    return (each * counts).sum() / counts.sum().clamp(min=1)


def _resized(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return F.interpolate(maps.float(), size=size_hw, mode="bilinear", align_corners=False)


def _bounds(name: str, high: float, low: float) -> Bounds:
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"expected 0 <= {name}_low <= {name}_high <= 1, found {low} and {high}: give a lower and a higher"
        )
    return Bounds(high, low)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU())


def _to_one_channel(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(in_channels, width), nn.Conv2d(width, 1, 1))
