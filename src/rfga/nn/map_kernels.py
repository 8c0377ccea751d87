"""Compiled passes over maps (N, H, W), one behind the other (N = B * C), on the CPU.

Each reads and writes every element once. Arrays are flat; ``sizes`` is (H, W); the units of a job are maps.
Arithmetic is that of the arrays' own type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfga.nn.jobs import arrays, claim, compiled_pass, sizes
from rfga.nn.lanes import compiled, lane_count, load, repeat, store, total

Array = NDArray[Any]


@compiled
def _row_buffer(like: Array, columns: int) -> Array:
    """Zeros for a row and the lanes that its last vector has too many."""
    return np.zeros(columns + lane_count(like), like.dtype)


@compiled_pass
def scale(job: Any) -> None:
    """Writes y = x * (base + offset[i] + slope[i] * width[j]) + level / (H * W) + rise[i] / W + lift[j] / H.

    The second half is what gradients of the means add to that of x. Slopes of length 0 are one; a base of
    length 0 is zero, and so are level, rise and lift, which come together.
    """
    x, offset, slope, width, base, rise, lift, level, y = arrays(job)[:9]
    rows, columns, _, _ = sizes(job)
    begin, end = claim(job)
    step, stop, one = lane_count(x), end * rows * columns, x.dtype.type(1)
    per_row, per_column = one / x.dtype.type(rows), one / x.dtype.type(columns)
    w, up = _row_buffer(x, columns), _row_buffer(x, columns)
    for n in range(begin, end):
        w[:columns] = width[n * columns : (n + 1) * columns]
        of_map = base[n] if len(base) else x.dtype.type(0)
        if len(rise):
            up[:columns] = (lift[n * columns : (n + 1) * columns] + level[n] * per_column) * per_row
        for row in range(n * rows, (n + 1) * rows):
            a, s = repeat(offset[row] + of_map), repeat(slope[row] if len(slope) else one)
            for j in range(0, columns, step):
                at = row * columns + j
                made = load(x, at, columns - j) * (a + s * load(w, j, step))
                if len(rise):
                    made = made + (repeat(rise[row] * per_column) + load(up, j, step))
                # What is written beyond this row, the next one writes again: a whole vector is cheaper.
                store(y, at, stop - at, made)


@compiled_pass
def scale_backward(job: Any) -> None:
    """Writes dx (none if of length 0) and the sums of g * x that the factors' gradients are."""
    x, g, offset, slope, width, base, dx, d_offset, d_slope, d_width, d_base = arrays(job)
    rows, columns, _, _ = sizes(job)
    begin, end = claim(job)
    step, stop = lane_count(x), end * rows * columns
    w, over_rows = _row_buffer(x, columns), _row_buffer(x, columns)
    for n in range(begin, end):
        w[:columns] = width[n * columns : (n + 1) * columns]
        over_rows[:] = 0
        of_map = base[n] if len(base) else x.dtype.type(0)
        for row in range(n * rows, (n + 1) * rows):
            a, s = repeat(offset[row] + of_map), repeat(slope[row] if len(slope) else x.dtype.type(1))
            plain = weighted = repeat(x.dtype.type(0))
            for j in range(0, columns, step):
                at = row * columns + j
                of_g, of_w = load(g, at, columns - j), load(w, j, step)
                both = of_g * load(x, at, columns - j)
                if len(dx):
                    store(dx, at, stop - at, of_g * (a + s * of_w))
                plain = plain + both
                weighted = weighted + both * of_w
                store(over_rows, j, step, load(over_rows, j, step) + both * s)
            d_offset[row] = total(plain)
            if len(slope):
                d_slope[row] = total(weighted)
        d_width[n * columns : (n + 1) * columns] = over_rows[:columns]
        if len(d_base):
            d_base[n] = d_offset[n * rows : (n + 1) * rows].sum()


@compiled_pass
def mean(job: Any) -> None:
    """Writes the means over each row, each column and each map, from one reading."""
    x, height, width, channel = arrays(job)[:4]
    rows, columns, _, _ = sizes(job)
    begin, end = claim(job)
    step = lane_count(x)
    over_rows = _row_buffer(x, columns)
    for n in range(begin, end):
        over_rows[:] = 0
        for row in range(n * rows, (n + 1) * rows):
            plain = repeat(x.dtype.type(0))
            for j in range(0, columns, step):
                values = load(x, row * columns + j, columns - j)
                plain = plain + values
                store(over_rows, j, step, load(over_rows, j, step) + values)
            height[row] = total(plain) / columns
        width[n * columns : (n + 1) * columns] = over_rows[:columns] / rows
        channel[n] = height[n * rows : (n + 1) * rows].sum() / rows
