"""The compiled passes over features (B, C, H, W) of either memory layout, on PyTorch's number of threads."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from rfga.nn import map_kernels, narrow_kernels, pixel_kernels
from rfga.nn.lanes import LANE_BYTES
from rfga.nn.team import side_by_side

COMPILED_TYPES = (torch.float32, torch.float64)
SMALL = 1 << 15
"""Elements below which threads cost more than they bring."""


class Passes(NamedTuple):
    """The passes for features of one memory layout; a factor is (B, C, n), or None where it is left out."""

    memory_format: torch.memory_format
    kernels: ModuleType

    def scale(self, x: Tensor, factors: list[Tensor | None], out: Tensor) -> None:
        """Writes out = x * (offset + slope * width) + (rise + lift); ``factors`` in this order."""
        self._run(self.kernels.scale, x, [x, *factors, out])

    def scale_backward(self, x: Tensor, g: Tensor, factors: list[Tensor | None], dx: Tensor | None) -> Any:
        """Writes dx = g * (offset + slope * width), and returns the gradients of the three factors."""
        sums = [None if factor is None else self._empty(factor, x.dtype) for factor in factors]
        self._run(self.kernels.scale_backward, x, [x, g, *factors, dx, *sums])
        return sums

    def means(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The means over W (B, C, H) and over H (B, C, W)."""
        height, width = self._empty(x[..., 0], x.dtype), self._empty(x[:, :, 0], x.dtype)
        self._run(self.kernels.mean, x, [x, height, width])
        return height, width

    def laid_out(self, factor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """The factor in the order of the layout, so that no pass has to put it in order again."""
        if factor is None:
            return None
        factor = factor.detach().to(dtype)
        if self.kernels is pixel_kernels:
            return factor.transpose(1, 2).contiguous().transpose(1, 2)
        return factor.contiguous()

    def _empty(self, factor: Tensor, dtype: torch.dtype) -> Tensor:
        batch, channels, length = factor.shape
        if self.kernels is pixel_kernels:
            return torch.empty(batch, length, channels, dtype=dtype).transpose(1, 2)
        return torch.empty(batch, channels, length, dtype=dtype)

    def _flat(self, part: Tensor | None, dtype: torch.dtype) -> NDArray[Any]:
        """A view of a tensor's memory if it lies in the order of the layout, else of a copy's."""
        if part is None:
            return torch.empty(0, dtype=dtype).numpy()
        part = part.detach().to(dtype)
        if self.kernels is pixel_kernels:
            part = part.permute(0, 2, 3, 1) if part.ndim == 4 else part.transpose(1, 2)
        return part.contiguous().view(-1).numpy()

    def _run(self, kernel: Callable[..., None], x: Tensor, parts: list[Tensor | None]) -> None:
        batch, channels, rows, columns = x.shape
        threads = 1 if x.numel() < SMALL else torch.get_num_threads()
        if self.kernels is pixel_kernels:
            strips = 1 if batch % threads == 0 or batch > 4 * threads else threads
            sizes: tuple[int, ...] = (rows, columns, channels, strips)
            count = batch * strips
        else:
            sizes, count = (rows, columns), batch * channels
        arrays = tuple(self._flat(part, x.dtype) for part in parts)
        threads = min(threads, count)
        bounds = [count * k // threads for k in range(threads + 1)]
        side_by_side(lambda k: kernel(arrays, sizes, bounds[k], bounds[k + 1]), threads)


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
