"""Compiled passes over feature maps on the CPU: each reads and writes every element once, nothing more.

Two layouts are known: maps (N, H, W), one behind the other (N = B * C), and pixels (B, H, W, C), where the
channels of a pixel lie together (PyTorch's channels-last). Arithmetic is that of the arrays' own type.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar, cast

import numba
import torch
from numpy.typing import NDArray

Array = NDArray[Any]  # float32 or float64, C order
Kernel = TypeVar("Kernel", bound=Callable[..., None])

BLOCK = 256  # channels that are worked on together in the channels-last layout: their sums stay in the cache
SMALL = 1 << 15  # elements below which threads cost more than they bring


def _compiled(function: Kernel) -> Kernel:
    """Sums may be reordered, as in any parallel sum; nothing else about the arithmetic is loosened."""
    compiled = numba.njit(
        nogil=True,
        cache=True,
        boundscheck=False,
        error_model="numpy",
        fastmath={"reassoc", "contract", "nsz"},
    )(function)
    return cast("Kernel", compiled)


@_compiled
def scale_maps(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """Writes y = x * (offset[i] + slope[i] * width[j]) for the maps ``begin`` to ``end``."""
    x, offset, slope, width, y = arrays
    for n in range(begin, end):
        for i in range(x.shape[1]):
            a, s = offset[n, i], slope[n, i]
            for j in range(x.shape[2]):
                y[n, i, j] = x[n, i, j] * (a + s * width[n, j])


@_compiled
def scale_maps_backward(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """dx, and the sums of g * x that the factors' gradients are: over each row, and over each column."""
    x, g, offset, slope, width, dx, d_offset, d_slope, d_width = arrays
    for n in range(begin, end):
        for j in range(x.shape[2]):
            d_width[n, j] = 0
        for i in range(x.shape[1]):
            a, s = offset[n, i], slope[n, i]
            row = weighted = x[n, i, 0] * 0
            for j in range(x.shape[2]):
                both = g[n, i, j] * x[n, i, j]
                dx[n, i, j] = g[n, i, j] * (a + s * width[n, j])
                row += both
                weighted += both * width[n, j]
                d_width[n, j] += both * s
            d_offset[n, i], d_slope[n, i] = row, weighted


@_compiled
def mean_maps(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """The means over each row and each column, from one reading."""
    x, height, width = arrays
    rows, columns = x.shape[1], x.shape[2]
    for n in range(begin, end):
        for j in range(columns):
            width[n, j] = 0
        for i in range(rows):
            total = x[n, i, 0] * 0
            for j in range(columns):
                total += x[n, i, j]
                width[n, j] += x[n, i, j]
            height[n, i] = total / columns
        for j in range(columns):
            width[n, j] /= rows


@_compiled
def spread_maps(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """Adds height[i] + width[j] to dx: the means backwards, once their gradients are divided by W and H."""
    dx, height, width = arrays
    for n in range(begin, end):
        for i in range(dx.shape[1]):
            a = height[n, i]
            for j in range(dx.shape[2]):
                dx[n, i, j] += a + width[n, j]


# Rows of one dimension (the channels of a pixel), since the compiler uses vector instructions for these.


@_compiled
def _scale_row(x: Array, offset: Array, slope: Array, width: Array, y: Array) -> None:
    for c in range(len(x)):
        y[c] = x[c] * (offset[c] + slope[c] * width[c])


@_compiled
def _scale_row_backward(rows: tuple[Array, ...], sums: tuple[Array, ...]) -> None:
    x, g, offset, slope, width, dx = rows
    d_offset, d_slope, d_width = sums
    for c in range(len(x)):
        both = g[c] * x[c]
        dx[c] = g[c] * (offset[c] + slope[c] * width[c])
        d_offset[c] += both
        d_slope[c] += both * width[c]
        d_width[c] += both * slope[c]


@_compiled
def _add_row(x: Array, height: Array, width: Array) -> None:
    for c in range(len(x)):
        height[c] += x[c]
        width[c] += x[c]


@_compiled
def _spread_row(dx: Array, height: Array, width: Array) -> None:
    for c in range(len(dx)):
        dx[c] += height[c] + width[c]


@_compiled
def scale_pixels(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """As ``scale_maps`` for some blocks of channels; offset and slope (B, H, C), width (B, W, C)."""
    x, offset, slope, width, y = arrays
    blocks = (x.shape[3] + BLOCK - 1) // BLOCK
    for part in range(begin, end):
        b, first = part // blocks, part % blocks * BLOCK
        last = min(first + BLOCK, x.shape[3])
        for i in range(x.shape[1]):
            a, s = offset[b, i, first:last], slope[b, i, first:last]
            for j in range(x.shape[2]):
                _scale_row(x[b, i, j, first:last], a, s, width[b, j, first:last], y[b, i, j, first:last])


@_compiled
def scale_pixels_backward(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """As ``scale_maps_backward``; d_offset, d_slope and d_width start at zero."""
    x, g, offset, slope, width, dx, d_offset, d_slope, d_width = arrays
    blocks = (x.shape[3] + BLOCK - 1) // BLOCK
    for part in range(begin, end):
        b, first = part // blocks, part % blocks * BLOCK
        last = min(first + BLOCK, x.shape[3])
        for i in range(x.shape[1]):
            a, s = offset[b, i, first:last], slope[b, i, first:last]
            d_a, d_s = d_offset[b, i, first:last], d_slope[b, i, first:last]
            for j in range(x.shape[2]):
                rows = (x[b, i, j, first:last], g[b, i, j, first:last], a, s, width[b, j, first:last])
                _scale_row_backward((*rows, dx[b, i, j, first:last]), (d_a, d_s, d_width[b, j, first:last]))


@_compiled
def mean_pixels(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """As ``mean_maps``; height (B, H, C) and width (B, W, C) start at zero."""
    x, height, width = arrays
    rows, columns, channels = x.shape[1], x.shape[2], x.shape[3]
    blocks = (channels + BLOCK - 1) // BLOCK
    for part in range(begin, end):
        b, first = part // blocks, part % blocks * BLOCK
        last = min(first + BLOCK, channels)
        for i in range(rows):
            for j in range(columns):
                _add_row(x[b, i, j, first:last], height[b, i, first:last], width[b, j, first:last])
        height[b, :, first:last] /= columns
        width[b, :, first:last] /= rows


@_compiled
def spread_pixels(arrays: tuple[Array, ...], begin: int, end: int) -> None:
    """As ``spread_maps``."""
    dx, height, width = arrays
    blocks = (dx.shape[3] + BLOCK - 1) // BLOCK
    for part in range(begin, end):
        b, first = part // blocks, part % blocks * BLOCK
        last = min(first + BLOCK, dx.shape[3])
        for i in range(dx.shape[1]):
            for j in range(dx.shape[2]):
                _spread_row(dx[b, i, j, first:last], height[b, i, first:last], width[b, j, first:last])


def run(kernel: Callable[[tuple[Array, ...], int, int], None], arrays: tuple[Array, ...]) -> None:
    """Call a kernel on all maps (N, H, W), or channel blocks of pixels (B, H, W, C), on PyTorch's threads."""
    shape = arrays[0].shape
    parts = shape[0] if len(shape) == 3 else shape[0] * -(-shape[3] // BLOCK)
    threads = 1 if arrays[0].size < SMALL else min(torch.get_num_threads(), parts)
    if threads < 2:
        kernel(arrays, 0, parts)
        return
    bounds = [parts * k // threads for k in range(threads + 1)]
    others = [
        _pool(os.getpid(), threads - 1).submit(kernel, arrays, bounds[k], bounds[k + 1])
        for k in range(1, threads)
    ]
    kernel(arrays, 0, bounds[1])
    for other in others:
        other.result()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process: a forked one inherits none that live."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"rfga-{process}")
