"""RFGA: a residual fine-grained attention layer after the last stage, and a 1x1 convolution as head.

The published form, and one whose maps are spread along the self-similarity of earlier features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.methods.base import ClassMapMethod, ScoreMaps, read_class_maps
from rfga.nn.rfga import RFGA
from rfga.nn.self_similarity import spread_along

_MOMENTUM = 0.1  # of the middle features' means, as batch normalisation has it


class ResidualFineGrainedAttention(ClassMapMethod):
    """Residual fine-grained attention (Sohn et al., arXiv:2104.04952).

    Backbone -> RFGA layer -> 1x1 convolution to K class maps -> global average. The score map of a class
    is its channel of the convolution's output.

    Args:
        backbone: gives the features.
        num_classes: K.
        position: the stage that the layer follows, by name or by number (-1 is the last).
        views: which of channel, height and width take part, joined by "+".
        expansion: how the views combine: sum, product or mean.
        calibration: how attention acts on features: residual X+X*M, plain X*M, weighted X*(0.35+0.65*M), or
            gradual X+g*X*(M-m) with gains g that are learned, from zero.
        gate: sigmoid, or softmax over the axis of each view.
        kernel_size: odd length of the layer's convolutions.
        light: give every channel a filter of its own (groups=C) instead of dense convolutions.

    Example:
        >>> import torch
        >>> from rfga.backbones.build import build_backbone
        >>> method = ResidualFineGrainedAttention(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        position: int | str = -1,
        views: str = "channel+height+width",
        expansion: str = "sum",
        calibration: str = "residual",
        gate: str = "sigmoid",
        kernel_size: int = 3,
        light: bool = False,
    ) -> None:
        channels = backbone.channels[backbone.stage_name(position)]
        layer = RFGA(
            channels,
            views=views.split("+"),
            expansion=expansion,
            calibration=calibration,
            gate=gate,
            kernel_size=kernel_size,
            groups=channels if light else 1,
        )
        backbone.attach(position, layer)
        super().__init__(backbone, num_classes)


class SpreadAttention(ClassMapMethod):
    """RFGA whose class maps are spread along the self-similarity of the network's middle features.

    Not in the paper. Every place of a class map becomes the mean of the places whose middle features are
    alike, so that evidence found in the most telling part reaches the rest of the object; the last time, the
    places are those of an earlier stage, so that the maps become finer. Training is RFGA's, of a form that
    starts as an identity; besides, it keeps the means of the middle features, which are taken off before they
    are compared. What was measured: docs/research/rfga-log.md.

    Args:
        backbone: gives the features.
        num_classes: K.
        layer: put the RFGA layer after the last stage; without it, the maps that are spread are CAM's.
        light: give every channel of the layer a filter of its own (groups=C) instead of dense convolutions.
        calibration: of the layer, as for rfga.
        stages: how many stages are compared, the middle one and those before it; with 1, maps stay as coarse
            as they are.
        power: of the cosines; the larger, the less do places take part that are alike by half.
        times: how often the maps are spread.
        gamma: power to which spread maps are raised between their least and largest value. Spreading lifts
            the background; with 2, thresholds that are estimated without boxes suit. The order of a map's
            values stays.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = SpreadAttention(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 8, 12])
    """

    means: Tensor
    batches_seen: Tensor

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        layer: bool = True,
        light: bool = True,
        calibration: str = "gradual",
        stages: int = 3,
        power: float = 2.0,
        times: int = 2,
        gamma: float = 2.0,
    ) -> None:
        if not power > 0 or not gamma > 0:
            raise ValueError(f"expected power and gamma above 0, found {power} and {gamma}: give 2 for both")
        if times < 0 or stages < 1:
            raise ValueError(
                f"expected times of at least 0 and stages of at least 1, found {times} and {stages}: "
                "give 2 and 3"
            )
        channels = backbone.out_channels
        if layer:
            backbone.attach(-1, RFGA(channels, calibration=calibration, groups=channels if light else 1))
        super().__init__(backbone, num_classes)
        self.power, self.times, self.gamma = power, times, gamma
        self._places = backbone.middle_places[:stages]
        self._widths = [backbone.channels[place] for place in self._places]
        self.register_buffer("means", torch.zeros(sum(self._widths)))
        self.register_buffer("batches_seen", torch.zeros((), dtype=torch.long))

    @property
    def map_stage(self) -> str:
        """The earlier stage that maps are spread to, where there is one."""
        finer = self._places[1:2] if self.times else ()
        return finer[0] if finer else super().map_stage

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the averaged class maps, before they are spread."""
        features, middle = self.backbone.forward_places(images, self._places, generator)
        if self.training:
            self._follow([part.detach() for part in middle])
        return F.cross_entropy(self.head(features).mean((2, 3)), labels)

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits of the maps as they are, and the spread maps."""
        features, middle = self.backbone.forward_places(images, self._places)
        found = read_class_maps(self.head(features), labels)
        centred = [
            part.float() - mean[:, None, None]
            for part, mean in zip(middle, torch.split(self.means, self._widths), strict=True)
        ]
        if self.times:
            maps = spread_along(found.maps, centred, self.power, self.times)
            found = ScoreMaps(found.logits, _raised(maps, self.gamma), found.labels)
        return found

    def _follow(self, middle: list[Tensor]) -> None:
        """Let the means follow those of a batch; the first one sets them."""
        share = torch.where(self.batches_seen == 0, 1.0, _MOMENTUM)
        self.means += share * (torch.cat([part.float().mean((0, 2, 3)) for part in middle]) - self.means)
        self.batches_seen += 1


def _raised(maps: Tensor, power: float) -> Tensor:
    """Maps (B, n, h, w) with the same least and largest value, and the values between raised to a power."""
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    span = high - low
    return low + span * ((maps - low) / span.clamp_min(torch.finfo(maps.dtype).tiny)) ** power
