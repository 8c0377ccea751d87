"""The compiled passes over features (B, C, H, W) of either memory layout, on PyTorch's number of threads."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rfga.nn import map_kernels, narrow_kernels, pixel_kernels
from rfga.nn.jobs import Job, Pass
from rfga.nn.lanes import LANE_BYTES
from rfga.nn.team import work_off

COMPILED_TYPES = (torch.float32, torch.float64)
SMALL = 1 << 15
"""Elements below which threads cost more than they bring."""


class Passes(NamedTuple):
    """The passes for features of one memory layout.

    Of the factors, offset, slope and width are (B, C, n), base is (B, C); one that is None is left out.
    """

    memory_format: torch.memory_format
    kernels: ModuleType

    def scale(self, x: Tensor, factors: list[Tensor | None], out: Tensor) -> None:
        """Writes out = x * (base + offset + slope * width) + what gradients of the means add.

        ``factors`` are offset, slope, width, base, then the gradients of the means of rows, columns and maps.
        """
        self._run(self.kernels.scale, x, [x, *factors, out])

    def scale_backward(self, x: Tensor, g: Tensor, factors: list[Tensor | None], dx: Tensor | None) -> Any:
        """Writes dx = g * (base + offset + slope * width), and returns the gradients of the four factors."""
        sums = [None if factor is None else self._empty(factor, x.dtype) for factor in factors]
        self._run(self.kernels.scale_backward, x, [x, g, *factors, dx, *sums])
        return sums

    def means(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The means over (H, W) (B, C), over W (B, C, H) and over H (B, C, W)."""
        channel = torch.empty(x.shape[:2], dtype=x.dtype)
        height, width = self._empty(x[..., 0], x.dtype), self._empty(x[:, :, 0], x.dtype)
        self._run(self.kernels.mean, x, [x, height, width, channel])
        return channel, height, width

    def laid_out(self, factor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """The factor in the order of the layout, so that no pass has to put it in order again."""
        if factor is None:
            return None
        factor = factor.detach().to(dtype)
        if self._is_pixel_wise(factor):
            return factor.transpose(1, 2).contiguous().transpose(1, 2)
        return factor.contiguous()

    def _is_pixel_wise(self, factor: Tensor) -> bool:
        return factor.ndim == 3 and self.kernels is pixel_kernels

    def _empty(self, factor: Tensor, dtype: torch.dtype) -> Tensor:
        if self._is_pixel_wise(factor):
            batch, channels, length = factor.shape
            return torch.empty(batch, length, channels, dtype=dtype).transpose(1, 2)
        return torch.empty(factor.shape, dtype=dtype)

    def _flat(self, part: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """The tensor if it lies in the order of the layout, else a copy that does."""
        if part is None:
            return None
        part = part.detach().to(dtype)
        if part.ndim == 4:
            return part.contiguous(memory_format=self.memory_format)
        return part.transpose(1, 2).contiguous() if self._is_pixel_wise(part) else part.contiguous()

    def _run(self, kernel: Pass, x: Tensor, parts: list[Tensor | None]) -> None:
        batch, channels, rows, columns = x.shape
        threads = 1 if x.numel() < SMALL else torch.get_num_threads()
        if self.kernels is pixel_kernels:
            strips = 1 if batch % threads == 0 or batch > 4 * threads else threads
            sizes: tuple[int, ...] = (rows, columns, channels, strips)
            units = batch * strips
        else:
            sizes, units = (rows, columns), batch * channels
        job = Job(min(threads, units), units, sizes, [self._flat(part, x.dtype) for part in parts])
        work_off(job, kernel.entry(x.dtype))


_NARROW = {map_kernels: narrow_kernels}
_ALL = (Passes(torch.contiguous_format, map_kernels), Passes(torch.channels_last, pixel_kernels))


def passes_for(x: Tensor) -> Passes | None:
    """The compiled passes for features like ``x``; None where plain operations must do."""
    if x.device.type != "cpu" or x.dtype not in COMPILED_TYPES or not x.numel():
        return None
    for passes in _ALL:
        if x.is_contiguous(memory_format=passes.memory_format):
            narrow = x.shape[3] * x.itemsize <= 2 * LANE_BYTES
            return passes._replace(kernels=_NARROW.get(passes.kernels, passes.kernels)) if narrow else passes
    return None
