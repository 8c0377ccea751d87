"""Compiled passes over maps (N, H, W), one behind the other (N = B * C), on the CPU.

Each reads and writes every element once. Arrays are flat; ``sizes`` is (H, W); maps ``begin`` to ``end`` are
worked on. Arithmetic is that of the arrays' own type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfga.nn.lanes import compiled, lane_count, load, repeat, store, total

Array = NDArray[Any]
Sizes = tuple[int, int]


@compiled
def _row_buffer(like: Array, columns: int) -> Array:
    """Zeros for a row and the lanes that its last vector has too many."""
    return np.zeros(columns + lane_count(like), like.dtype)


@compiled
def scale(arrays: tuple[Array, ...], sizes: Sizes, begin: int, end: int) -> None:
    """Writes y = x * (offset[i] + slope[i] * width[j]) + (rise[i] + lift[j]).

    Without slopes (length 0) they are one, without rise and lift they are zero.
    """
    x, offset, slope, width, rise, lift, y = arrays
    rows, columns = sizes
    step, stop, one = lane_count(x), end * rows * columns, x.dtype.type(1)
    w, up = _row_buffer(x, columns), _row_buffer(x, columns)
    for n in range(begin, end):
        w[:columns] = width[n * columns : (n + 1) * columns]
        if len(rise):
            up[:columns] = lift[n * columns : (n + 1) * columns]
        for row in range(n * rows, (n + 1) * rows):
            a, s = repeat(offset[row]), repeat(slope[row] if len(slope) else one)
            for j in range(0, columns, step):
                at = row * columns + j
                made = load(x, at, columns - j) * (a + s * load(w, j, step))
                if len(rise):
                    made = made + (repeat(rise[row]) + load(up, j, step))
                # What is written beyond this row, the next one writes again: a whole vector is cheaper.
                store(y, at, stop - at, made)


@compiled
def scale_backward(arrays: tuple[Array, ...], sizes: Sizes, begin: int, end: int) -> None:
    """Writes dx (none if of length 0) and the sums of g * x that the factors' gradients are."""
    x, g, offset, slope, width, dx, d_offset, d_slope, d_width = arrays
    rows, columns = sizes
    step, stop = lane_count(x), end * rows * columns
    w, over_rows = _row_buffer(x, columns), _row_buffer(x, columns)
    for n in range(begin, end):
        w[:columns] = width[n * columns : (n + 1) * columns]
        over_rows[:] = 0
        for row in range(n * rows, (n + 1) * rows):
            a, s = repeat(offset[row]), repeat(slope[row] if len(slope) else x.dtype.type(1))
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


@compiled
def mean(arrays: tuple[Array, ...], sizes: Sizes, begin: int, end: int) -> None:
    """Writes the means over each row and each column, from one reading."""
    x, height, width = arrays
    rows, columns = sizes
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
