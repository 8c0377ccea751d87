"""RFGA: a residual fine-grained attention layer after the last stage, and a 1x1 convolution as head."""

from __future__ import annotations

from rfga.backbones.base import Backbone
from rfga.methods.base import ClassMapMethod
from rfga.nn.rfga import RFGA


class ResidualFineGrainedAttention(ClassMapMethod):
    """Residual fine-grained attention (Sohn et al., arXiv:2104.04952).

    Backbone -> RFGA layer -> 1x1 convolution to K class maps -> global average. The score map of a class
    is its channel of the convolution's output.

    Args:
        backbone: gives the features.
        num_classes: K.
        position: the stage that the layer follows, by name or by place (-1 is the last).
        views: which of channel, height and width take part, joined by "+".
        expansion: how the views combine: sum, product or mean.
        calibration: how attention acts on features: residual X+X*M, plain X*M, or weighted X*(0.35+0.65*M).
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
