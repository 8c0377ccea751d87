"""Features that were computed before, in the place of a network."""

from __future__ import annotations

from torch import Tensor, nn

from rfga.backbones.base import Backbone


class FeatureBackbone(Backbone):
    """A backbone whose "images" are the last features of a frozen network: it passes them on.

    What is attached to its one stage, and whatever head a method puts on it, trains as on the network
    itself, without the network's cost. None of its weights is pretrained, for it has none.

    Args:
        channels: C of the features.

    Shape:
        Input and output (B, C, h, w).

    Raises:
        ValueError: features of another number of channels.

    Example:
        >>> import torch
        >>> backbone = FeatureBackbone(8)
        >>> backbone.attach(-1, nn.Conv2d(8, 8, 1))
        >>> backbone(torch.zeros(2, 8, 4, 6)).shape
        torch.Size([2, 8, 4, 6])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Identity(), self._passed, {"features": ("", channels)})

    def _passed(self, features: Tensor) -> Tensor:
        if features.ndim != 4 or features.shape[1] != self.out_channels:
            raise ValueError(
                f"expected features (B, {self.out_channels}, h, w), found {tuple(features.shape)}: give "
                "those of the network that this backbone stands for"
            )
        return features
