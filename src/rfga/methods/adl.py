"""ADL: in training, layers between the blocks hide or stress the places that a network looks at most."""

from __future__ import annotations

import torch
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.backbones.chance import RandomLayer
from rfga.methods.cam import CAM


class ADL(CAM):
    """Attention-based dropout layer (Choe and Shim, CVPR 2019).

    "Attention-based Dropout Layer for Weakly Supervised Object Localization", arXiv:1908.10028, section 3.
    CAM with erasing layers at the places that the backbone names; they act in training alone.

    Args:
        backbone: gives the features, without other dropout in its neck.
        num_classes: K.
        drop_rate: probability that a layer hides the places of high attention instead of stressing them.
        gamma: in (0, 1]; attention is high where it is at least gamma times the image's maximum.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = ADL(build_backbone("resnet18"), num_classes=3)
        >>> list(method.backbone.attached)
        ['layer2', 'layer3', 'layer4']
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, *, drop_rate: float = 0.75, gamma: float = 0.8
    ) -> None:
        if not 0 <= drop_rate <= 1:
            raise ValueError(f"expected drop_rate from 0 to 1, found {drop_rate}: 0.75 is the paper's")
        if not 0 < gamma <= 1:
            raise ValueError(f"expected gamma above 0 and at most 1, found {gamma}: 0.8 to 0.9 is usual")
        super().__init__(backbone, num_classes)
        backbone.leave_out_dropout()
        for place in backbone.erasing_places:
            backbone.attach(place, ErasingLayer(drop_rate, gamma))


class ErasingLayer(RandomLayer):
    """Multiplies features (B, C, h, w) by a drop mask or an importance map in training; no weights.

    One draw a call decides for the whole batch.

    Args:
        drop_rate: probability of the drop mask.
        gamma: see ``drop_mask``.

    Example:
        >>> layer = ErasingLayer(drop_rate=1.0, gamma=0.8)
        >>> layer(torch.tensor([[[[1.0, 2.0, 4.0]]]]))
        tensor([[[[1., 2., 0.]]]])
    """

    def __init__(self, drop_rate: float, gamma: float) -> None:
        super().__init__()
        self.drop_rate, self.gamma = drop_rate, gamma

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with its attended places hidden or stressed in training, as it is otherwise."""
        if not self.training:
            return x
        drops = self.uniform((), x.device) < self.drop_rate
        return x * torch.where(drops, drop_mask(x, self.gamma), importance(x))

    def extra_repr(self) -> str:
        """The options, for print(layer)."""
        return f"drop_rate={self.drop_rate}, gamma={self.gamma}"


def importance(x: Tensor) -> Tensor:
    """The sigmoid of the channels' mean, (B, C, h, w) -> (B, 1, h, w) in (0, 1).

    Example:
        >>> importance(torch.zeros(1, 4, 1, 2))
        tensor([[[[0.5000, 0.5000]]]])
    """
    return x.mean(1, keepdim=True).sigmoid()


def drop_mask(x: Tensor, gamma: float) -> Tensor:
    """1 where the channels' mean is below ``gamma`` times its maximum in the image, else 0: (B, 1, h, w).

    Example:
        >>> drop_mask(torch.tensor([[[[1.0, 2.0, 4.0]]]]), 0.5)
        tensor([[[[1., 0., 0.]]]])
    """
    mean = x.mean(1, keepdim=True)
    return (mean < gamma * mean.amax((2, 3), keepdim=True)).to(x.dtype)
