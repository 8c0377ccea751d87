"""Compiled passes over pixels (B, H, W, C), PyTorch's channels-last, on the CPU; see ``map_kernels``.

Arrays are flat; height factors are (B, H, C), width factors (B, W, C), others (B, C); ``sizes`` is
(H, W, C, strips). A unit of the work is a strip of the channels of one image; with one strip, features are
read as they lie in memory.
"""

from __future__ import annotations

from typing import Any

from rfga.nn.jobs import arrays, claim, compiled_pass, sizes
from rfga.nn.lanes import compiled, lane_count, load, repeat, store


@compiled
def _strip(unit: int, channels: int, strips: int) -> tuple[int, int, int]:
    """The image of a strip, and its channels from first to last."""
    strip = unit % strips
    return unit // strips, strip * channels // strips, (strip + 1) * channels // strips


@compiled
def _sum_rows(of_rows: Any, sums: Any, channels: int) -> None:
    """Writes the sum of rows that begin ``channels`` apart, of as many values as ``sums`` has."""
    sums[:] = 0
    for begin in range(0, len(of_rows), channels):
        sums += of_rows[begin : begin + len(sums)]


@compiled_pass
def scale(job: Any) -> None:
    """As ``map_kernels.scale``."""
    x, offset, slope, width, base, rise, lift, level, y = arrays(job)[:9]
    rows, columns, channels, strips = sizes(job)
    per_row = repeat(x.dtype.type(1) / x.dtype.type(rows))
    per_column = repeat(x.dtype.type(1) / x.dtype.type(columns))
    begin, end = claim(job)
    for unit in range(begin, end):
        b, first, last = _strip(unit, channels, strips)
        for i in range(b * rows, (b + 1) * rows):
            for j in range(columns):
                pixel, row, column = (i * columns + j) * channels, i * channels, (b * columns + j) * channels
                for c in range(first, last, lane_count(x)):
                    count = last - c
                    factor = load(width, column + c, count)
                    if len(slope):
                        factor = factor * load(slope, row + c, count)
                    if len(base):
                        factor = factor + load(base, b * channels + c, count)
                    made = load(x, pixel + c, count) * (factor + load(offset, row + c, count))
                    if len(rise):
                        along = load(rise, row + c, count) + load(level, b * channels + c, count) * per_row
                        made = made + (along * per_column + load(lift, column + c, count) * per_row)
                    store(y, pixel + c, count, made)


@compiled_pass
def scale_backward(job: Any) -> None:
    """As ``map_kernels.scale_backward``."""
    x, g, offset, slope, width, base, dx, d_offset, d_slope, d_width, d_base = arrays(job)
    rows, columns, channels, strips = sizes(job)
    begin, end = claim(job)
    for unit in range(begin, end):
        b, first, last = _strip(unit, channels, strips)
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
                    if len(base):
                        a = a + load(base, b * channels + c, count)
                    sum_a, sum_w = load(d_offset, row + c, count), load(d_width, column + c, count)
                    store(d_offset, row + c, count, sum_a + both)
                    if len(slope):
                        s, sum_s = load(slope, row + c, count), load(d_slope, row + c, count)
                        store(d_slope, row + c, count, sum_s + both * factor)
                        factor, both = factor * s, both * s
                    if len(dx):
                        store(dx, pixel + c, count, of_g * (factor + a))
                    store(d_width, column + c, count, sum_w + both)
        if len(d_base):
            at, rest = b * channels, channels - last
            _sum_rows(
                d_offset[at * rows + first : (at + channels) * rows - rest],
                d_base[at + first : at + last],
                channels,
            )


@compiled_pass
def mean(job: Any) -> None:
    """As ``map_kernels.mean``."""
    x, height, width, channel = arrays(job)[:4]
    rows, columns, channels, strips = sizes(job)
    begin, end = claim(job)
    for unit in range(begin, end):
        b, first, last = _strip(unit, channels, strips)
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
        at, rest = b * channels, channels - last
        _sum_rows(
            height[at * rows + first : (at + channels) * rows - rest],
            channel[at + first : at + last],
            channels,
        )
        channel[at + first : at + last] /= rows
