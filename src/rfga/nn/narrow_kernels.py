"""``map_kernels`` for maps whose rows are at most two vectors wide, as 14 values are.

What is the same for all rows of a map, and the sums over its rows, then stay in registers. In memory, the sum
of each row waits until that of the row before is there.
"""

from __future__ import annotations

from typing import Any

from rfga.nn.jobs import arrays, claim, compiled_pass, sizes
from rfga.nn.lanes import lane_count, load, repeat, store, total


@compiled_pass
def scale(job: Any) -> None:
    """As ``map_kernels.scale``."""
    x, offset, slope, width, base, rise, lift, level, y = arrays(job)[:9]
    rows, columns, _, _ = sizes(job)
    begin, end = claim(job)
    step, stop, one = lane_count(x), end * rows * columns, x.dtype.type(1)
    per_row, per_column = one / x.dtype.type(rows), one / x.dtype.type(columns)
    for n in range(begin, end):
        w0, w1 = load(width, n * columns, columns), load(width, n * columns + step, columns - step)
        of_map = base[n] if len(base) else x.dtype.type(0)
        up0 = up1 = repeat(x.dtype.type(0))
        if len(rise):
            whole, share = repeat(level[n] * per_column * per_row), repeat(per_row)
            up0 = load(lift, n * columns, columns) * share + whole
            up1 = load(lift, n * columns + step, columns - step) * share + whole
        for row in range(n * rows, (n + 1) * rows):
            a, s = repeat(offset[row] + of_map), repeat(slope[row] if len(slope) else one)
            at = row * columns
            made0 = load(x, at, columns) * (a + s * w0)
            made1 = load(x, at + step, columns - step) * (a + s * w1)
            if len(rise):
                along = repeat(rise[row] * per_column)
                made0, made1 = made0 + (along + up0), made1 + (along + up1)
            # What is written beyond this row, the next one writes again: a whole vector is cheaper.
            store(y, at, stop - at, made0)
            if columns > step:
                store(y, at + step, stop - at - step, made1)


@compiled_pass
def scale_backward(job: Any) -> None:
    """As ``map_kernels.scale_backward``."""
    x, g, offset, slope, width, base, dx, d_offset, d_slope, d_width, d_base = arrays(job)
    rows, columns, _, _ = sizes(job)
    begin, end = claim(job)
    step, stop = lane_count(x), end * rows * columns
    for n in range(begin, end):
        w0, w1 = load(width, n * columns, columns), load(width, n * columns + step, columns - step)
        sum0 = sum1 = repeat(x.dtype.type(0))
        of_map = base[n] if len(base) else x.dtype.type(0)
        for row in range(n * rows, (n + 1) * rows):
            a, s = repeat(offset[row] + of_map), repeat(slope[row] if len(slope) else x.dtype.type(1))
            at = row * columns
            g0, g1 = load(g, at, columns), load(g, at + step, columns - step)
            both0, both1 = g0 * load(x, at, columns), g1 * load(x, at + step, columns - step)
            if len(dx):
                store(dx, at, stop - at, g0 * (a + s * w0))
                if columns > step:
                    store(dx, at + step, stop - at - step, g1 * (a + s * w1))
            d_offset[row] = total(both0 + both1)
            if len(slope):
                d_slope[row] = total(both0 * w0 + both1 * w1)
            sum0, sum1 = sum0 + both0 * s, sum1 + both1 * s
        store(d_width, n * columns, columns, sum0)
        store(d_width, n * columns + step, columns - step, sum1)
        if len(d_base):
            d_base[n] = d_offset[n * rows : (n + 1) * rows].sum()


@compiled_pass
def mean(job: Any) -> None:
    """As ``map_kernels.mean``."""
    x, height, width, channel = arrays(job)[:4]
    rows, columns, _, _ = sizes(job)
    begin, end = claim(job)
    step = lane_count(x)
    per_row = repeat(x.dtype.type(1) / x.dtype.type(rows))
    for n in range(begin, end):
        sum0 = sum1 = repeat(x.dtype.type(0))
        for row in range(n * rows, (n + 1) * rows):
            at = row * columns
            of0, of1 = load(x, at, columns), load(x, at + step, columns - step)
            height[row] = total(of0 + of1) / columns
            sum0, sum1 = sum0 + of0, sum1 + of1
        store(width, n * columns, columns, sum0 * per_row)
        store(width, n * columns + step, columns - step, sum1 * per_row)
        channel[n] = height[n * rows : (n + 1) * rows].sum() / rows
