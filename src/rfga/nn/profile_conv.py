"""A convolution along profiles (B, C, L) as short as feature maps are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from rfga.nn.calibration import is_traced


class ProfileConv(nn.Conv1d):
    """``nn.Conv1d(channels, channels, ...)`` without bias that keeps the length; the same weights and values.

    On the processor PyTorch's backward pass of a dense convolution over 14 or 28 places takes longer than the
    two matrix products that it is: so there it is a matrix product.

    Args:
        channels: C of the input, and of the output.
        kernel_size: odd.
        groups: as of ``nn.Conv1d``.

    Example:
        >>> import torch
        >>> ProfileConv(4, 3)(torch.randn(2, 4, 7)).shape
        torch.Size([2, 4, 7])
    """

    def __init__(self, channels: int, kernel_size: int, groups: int = 1) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)

    def forward(self, profile: Tensor) -> Tensor:
        """Convolve the profile (B, C, L)."""
        if self.groups > 1 or profile.device.type != "cpu" or is_traced():
            return super().forward(profile)
        size = self.kernel_size[0]
        windows = F.pad(profile, (size // 2, size // 2)).unfold(2, size, 1).transpose(1, 2)
        return F.linear(windows.flatten(2), self.weight.flatten(1)).transpose(1, 2)
