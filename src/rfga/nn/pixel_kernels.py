"""Compiled passes over pixels (B, H, W, C), PyTorch's channels-last, on the CPU; see ``map_kernels``.

Arrays are flat; height factors are (B, H, C), width factors (B, W, C); ``sizes`` is (H, W, C, strips). A part
of the work is a strip of the channels of one image; with one strip, features are read as they lie in memory.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from rfga.nn.lanes import compiled, lane_count, load, store

Array = NDArray[Any]
Sizes = tuple[int, int, int, int]


@compiled
def _part(part: int, sizes: Sizes) -> tuple[int, int, int]:
    """The image of a part, and its channels from first to last."""
    _, _, channels, strips = sizes
    strip = part % strips
    return part // strips, strip * channels // strips, (strip + 1) * channels // strips


@compiled
def scale(arrays: tuple[Array, ...], sizes: Sizes, begin: int, end: int) -> None:
    """As ``map_kernels.scale``."""
    x, offset, slope, width, rise, lift, y = arrays
    rows, columns, channels, _ = sizes
    for part in range(begin, end):
        b, first, last = _part(part, sizes)
        for i in range(b * rows, (b + 1) * rows):
            for j in range(columns):
                pixel, row, column = (i * columns + j) * channels, i * channels, (b * columns + j) * channels
                for c in range(first, last, lane_count(x)):
                    count = last - c
                    factor = load(width, column + c, count)
                    if len(slope):
                        factor = factor * load(slope, row + c, count)
                    made = load(x, pixel + c, count) * (factor + load(offset, row + c, count))
                    if len(rise):
                        made = made + (load(rise, row + c, count) + load(lift, column + c, count))
                    store(y, pixel + c, count, made)


@compiled
def scale_backward(arrays: tuple[Array, ...], sizes: Sizes, begin: int, end: int) -> None:
    """As ``map_kernels.scale_backward``."""
    x, g, offset, slope, width, dx, d_offset, d_slope, d_width = arrays
    rows, columns, channels, _ = sizes
    for part in range(begin, end):
        b, first, last = _part(part, sizes)
        for column in range(b * columns * channels, (b + 1) * columns * channels, channels):
            d_width[column + first : column + last] = 0
        for i in range(b * rows, (b + 1) * rows):
            row = i * channels
            d_offset[row + first : row + last] = 0
            if len(slope):
                d_slope[row + first : row + last] = 0
            for j in range(columns):
                pixel, column = (i * columns + j) * channels, (b * columns + j) * channels
                for c in range(first, last, lane_count(x)):
                    # All is loaded before anything is stored: addresses that agree in their last twelve
                    # bits, as those of features with 1024 channels do, make a load wait for a store.
                    count = last - c
                    of_g, factor = load(g, pixel + c, count), load(width, column + c, count)
                    both, a = of_g * load(x, pixel + c, count), load(offset, row + c, count)
                    sum_a, sum_w = load(d_offset, row + c, count), load(d_width, column + c, count)
                    store(d_offset, row + c, count, sum_a + both)
                    if len(slope):
                        s, sum_s = load(slope, row + c, count), load(d_slope, row + c, count)
                        store(d_slope, row + c, count, sum_s + both * factor)
                        factor, both = factor * s, both * s
                    if len(dx):
                        store(dx, pixel + c, count, of_g * (factor + a))
                    store(d_width, column + c, count, sum_w + both)


@compiled
def mean(arrays: tuple[Array, ...], sizes: Sizes, begin: int, end: int) -> None:
    """As ``map_kernels.mean``."""
    x, height, width = arrays
    rows, columns, channels, _ = sizes
    for part in range(begin, end):
        b, first, last = _part(part, sizes)
        for column in range(b * columns * channels, (b + 1) * columns * channels, channels):
            width[column + first : column + last] = 0
        for i in range(b * rows, (b + 1) * rows):
            row = i * channels
            height[row + first : row + last] = 0
            for j in range(columns):
                pixel, column = (i * columns + j) * channels, (b * columns + j) * channels
                for c in range(first, last, lane_count(x)):
                    count = last - c
                    values, over_rows = load(x, pixel + c, count), load(width, column + c, count)
                    store(height, row + c, count, load(height, row + c, count) + values)
                    store(width, column + c, count, over_rows + values)
            height[row + first : row + last] /= columns
        for column in range(b * columns * channels, (b + 1) * columns * channels, channels):
            width[column + first : column + last] /= rows
