"""The residual fine-grained attention layer: (B, C, H, W) -> (B, C, H, W), usable in any network.

Sohn, Jeon, Jung, Kang, Suk, "Fine-Grained Attention for Weakly Supervised Object Localization",
arXiv:2104.04952. Three steps, each with a switch of its own:

1. triple-view attention: X is averaged to a channel, a height and a width profile; each passes a
   convolution, a batch normalisation and a gate;
2. attention expansion: the three profiles are combined to M, with a value of its own for every element;
3. feature calibration: Y = X + X * M.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from rfga.nn.calibration import axis_mean, calibrate
from rfga.nn.profile_conv import ProfileConv

VIEWS = ("channel", "height", "width")

EXPANSIONS: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "sum": lambda parts: reduce(torch.add, parts),
    "product": lambda parts: reduce(torch.mul, parts),
    "mean": lambda parts: reduce(torch.add, parts) / len(parts),
}
"""How the views' profiles, broadcast to (B, C, H, W), become one attention map."""

CALIBRATIONS = {
    "residual": (1.0, 1.0),  # X + X*M
    "plain": (0.0, 1.0),
    "weighted": (0.35, 0.65),  # the form of the authors' segmentation program
    "gradual": (1.0, 0.0),  # X + gain*X*(M - start), with gains that are learned, from zero
}
"""How the attention map acts on the features: Y = X * (constant + share * M), as (constant, share)."""

GATES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "sigmoid": lambda z, axis: z.sigmoid(),
    "softmax": lambda z, axis: z.softmax(dim=axis),  # over the axis that the view runs along
}
"""What turns a view's normalised response into attention values."""


class RFGA(nn.Module):
    """Residual fine-grained attention over feature maps (arXiv:2104.04952).

    With c, h, w the means of X over (H, W), W and H:

    - z_c = gate(BN(conv1d(c))), one convolution 1 -> 1 sliding along the channels;
    - z_h = gate(BN(conv1d(h))) and z_w = gate(BN(conv1d(w))), dense convolutions C -> C along H and W;
    - M[b,c,i,j] = z_c[b,c] + z_h[b,c,i] + z_w[b,c,j];
    - Y = X + X * M.

    Args:
        channels: C of the input, and of the output.
        views: which of "channel", "height", "width" take part (any non-empty subset).
        expansion: "sum", "product" or "mean" of the views.
        calibration: "residual" X + X*M, "plain" X*M, "weighted" X*(0.35 + 0.65*M), or "gradual"
            X + g*X*(M - m) with a gain g of each channel that is learned, from zero, and the m that M
            starts with; with it the layer starts as an identity.
        gate: "sigmoid", or "softmax" over the axis of each view.
        kernel_size: odd length of the three convolutions.
        groups: groups of the two dense convolutions; ``groups=channels`` needs 2*kernel_size*C weights
            instead of 2*kernel_size*C*C.

    Shape:
        Input and output (B, C, H, W), floating point.

    Raises:
        ValueError: an unknown option, a wrong number of channels, or training with a single image per
            device while the channel view is on (its batch normalisation sees one value per channel).

    Example:
        >>> layer = RFGA(16).eval()
        >>> layer(torch.randn(2, 16, 7, 5)).shape
        torch.Size([2, 16, 7, 5])
    """

    def __init__(
        self,
        channels: int,
        *,
        views: Sequence[str] = VIEWS,
        expansion: str = "sum",
        calibration: str = "residual",
        gate: str = "sigmoid",
        kernel_size: int = 3,
        groups: int = 1,
    ) -> None:
        super().__init__()
        _check_choice("expansion", expansion, EXPANSIONS)
        _check_choice("calibration", calibration, CALIBRATIONS)
        _check_choice("gate", gate, GATES)
        if not views or not set(views) <= set(VIEWS):
            raise ValueError(f"expected views out of {', '.join(VIEWS)}, found {views!r}: name at least one")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel_size, found {kernel_size}: use 3, 5 or 7")
        if groups < 1 or channels % groups:
            raise ValueError(
                f"expected groups that divide {channels} channels, found {groups}: use 1 or {channels}"
            )
        self.channels = channels
        self.views = tuple(view for view in VIEWS if view in views)
        self.expansion, self.calibration, self.gate = expansion, calibration, gate
        for view in self.views:
            wide, parts = (1, 1) if view == "channel" else (channels, groups)
            self.add_module(f"{view}_conv", ProfileConv(wide, kernel_size, parts))
            self.add_module(f"{view}_norm", nn.BatchNorm1d(channels))
        if calibration == "gradual":
            self.gain = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Calibrate the features ``x`` (B, C, H, W)."""
        constant, share = self._constant_and_share(x)
        *others, last = self.profiles(x).values()
        if self.expansion == "product":
            return calibrate(x, constant, reduce(torch.mul, others, share), last)
        if self.expansion == "mean":
            share = share / len(self.views)
        return calibrate(x, constant + share * sum(others), None, share * last)

    def attention(self, x: Tensor) -> Tensor:
        """The expanded attention M of ``x``, broadcastable to (B, C, H, W)."""
        return EXPANSIONS[self.expansion](list(self.profiles(x).values()))

    def profiles(self, x: Tensor) -> dict[str, Tensor]:
        """The attention of each active view: channel (B,C,1,1), height (B,C,H,1), width (B,C,1,W)."""
        self._check_input(x)
        height, width = axis_mean(x, 3).squeeze(3), axis_mean(x, 2).squeeze(2)
        means = {"channel": height.mean(2).unsqueeze(1), "height": height, "width": width}
        return {
            view: self._view(view, means[view]).unsqueeze(2 if view == "width" else 3) for view in self.views
        }

    def _constant_and_share(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of Y = X * (constant + share * M): (1, 1, 1, 1), or (1, C, 1, 1) where channels learn their own."""
        if self.calibration != "gradual":
            constant, share = CALIBRATIONS[self.calibration]
            return x.new_full((1, 1, 1, 1), constant), x.new_full((1, 1, 1, 1), share)
        # With what M starts with taken off, no gain changes the layer at its start.
        gain = self.gain[None, :, :, None]
        return 1 - gain * self.start, gain

    @property
    def start(self) -> float:
        """What M starts with: the gates around one half, expanded."""
        return float(EXPANSIONS[self.expansion]([torch.tensor(0.5)] * len(self.views)))

    def _view(self, view: str, profile: Tensor) -> Tensor:
        response = getattr(self, f"{view}_conv")(profile)
        if view == "channel":
            # The convolution slides along the channels, (B, 1, C); the normalisation has one scale and
            # one shift for each of them, (B, C, 1).
            response = response.transpose(1, 2)
        return GATES[self.gate](getattr(self, f"{view}_norm")(response), 1 if view == "channel" else 2)

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f"expected features (B, {self.channels}, H, W), found {tuple(x.shape)}: "
                "make the layer for as many channels as the features have"
            )
        norm = getattr(self, "channel_norm", None)
        synchronised = isinstance(norm, nn.SyncBatchNorm) and torch.distributed.is_initialized()
        if self.training and len(x) == 1 and norm is not None and norm.training and not synchronised:
            raise ValueError(
                "expected at least two images per device in training, found one, so that the batch "
                "normalisation of the channel view would see one value per channel: use a larger batch, "
                "or torch.nn.SyncBatchNorm.convert_sync_batchnorm over several devices"
            )

    def extra_repr(self) -> str:
        """The switches, for print(layer)."""
        return (
            f"{self.channels}, views={self.views}, expansion={self.expansion!r}, "
            f"calibration={self.calibration!r}, gate={self.gate!r}"
        )


def _check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ValueError(
            f"expected {option} to be one of {', '.join(choices)}, found {value!r}: give one of these"
        )
