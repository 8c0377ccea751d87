"""A convolution along profiles (B, C, L) as short as feature maps are, its backward pass fast on the CPU."""

from __future__ import annotations

from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from rfga.nn.calibration import is_traced


class ProfileConv(nn.Conv1d):
    """``nn.Conv1d(channels, channels, ...)`` without bias that keeps the length; the same weights and values.

    PyTorch's backward pass of a dense convolution over 14 or 28 places takes longer on the CPU than the two
    matrix products that it is, and its convolution of one channel longer than a product for each tap. On
    other devices, in groups, under autocast, and where a compiler or exporter looks on, this is plain
    ``nn.Conv1d``.

    Args:
        channels: C of the input, and of the output.
        kernel_size: odd.
        groups: as of ``nn.Conv1d``.

    Example:
        >>> ProfileConv(4, 3)(torch.randn(2, 4, 7)).shape
        torch.Size([2, 4, 7])
    """

    def __init__(self, channels: int, kernel_size: int, groups: int = 1) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)

    def forward(self, profile: Tensor) -> Tensor:
        """Convolve the profile (B, C, L)."""
        plain = self.groups > 1 or profile.device.type != "cpu" or not profile.numel()
        if plain or is_traced() or torch.is_autocast_enabled("cpu"):
            return super().forward(profile)
        if self.in_channels == 1:
            return _slid(profile, self.weight[0, 0])
        return cast("Tensor", _ProfileConv.apply(profile, self.weight))


def _slid(profile: Tensor, taps: Tensor) -> Tensor:
    """The convolution of one channel, a product for each tap: a library call takes longer to begin."""
    length, pad = profile.shape[2], len(taps) // 2
    padded = F.pad(profile, (pad, pad))
    return reduce(torch.add, (padded[..., i : i + length] * tap for i, tap in enumerate(taps.unbind())))


class _ProfileConv(Function):
    @staticmethod
    def forward(ctx: Any, profile: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(profile, weight)
        return F.conv1d(profile, weight, padding=weight.shape[2] // 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None]:
        profile, weight = ctx.saved_tensors
        batch, channels, length = profile.shape
        taps = weight.shape[2]
        pad = taps // 2
        wants_profile, wants_weight = ctx.needs_input_grad
        rows, d_profile, d_weight = g.transpose(1, 2).flatten(0, 1), None, None  # a row for each place
        if wants_weight:
            windows = F.pad(profile, (pad, pad)).unfold(2, taps, 1).transpose(1, 2).reshape(len(rows), -1)
            d_weight = (rows.T @ windows).view_as(weight)
        if wants_profile:
            of_taps = (rows @ weight.flatten(1)).view(batch, length, channels, taps)
            padded = g.new_zeros(batch, length + 2 * pad, channels)
            for tap in range(taps):
                padded[:, tap : tap + length] += of_taps[..., tap]
            d_profile = padded[:, pad : pad + length].transpose(1, 2)
        return d_profile, d_weight
