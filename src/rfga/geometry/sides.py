"""The few pixels that can move the left or right side of a component's box.

A pixel of the foreground is one of them where it is higher than its three neighbours in the next column
outward and not lower than those above and below it (of equals the uppermost counts):

    1 7 .        7 > 1, 2, 3 to its left, 7 > the pixel above, 7 >= the one below: it can move the left side
    2 7 .        not: an equal pixel stands above
    3 9 .        it can, too: at the levels 7 and 8

All others appear together with, or after, a neighbour of the same component that reaches as far. Conversely,
of a component's pixels in its outermost column the highest is always such a pixel, so none is missed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rfga.geometry.buffers import Int32s, new_int32_table, new_int32s
from rfga.geometry.kernel import ONE, Index, inlined, kernel
from rfga.geometry.row_units import Units
from rfga.types import ByteArray

LEFT, RIGHT = 0, 1
_NONE, _LEFT, _RIGHT = np.uint8(0), np.uint8(1), np.uint8(2)


class Sides(NamedTuple):
    """Side pixels in no order, the left ones at index 0, the right ones at 1."""

    counts: Int32s  # (2,)
    node: Int32s  # (2, capacity)
    column: Int32s  # (2, capacity)
    height: ByteArray  # (2, capacity)


@kernel
def _mark_foreground(above: ByteArray, row: ByteArray, below: ByteArray, marks: ByteArray) -> None:
    """Marks side pixels of the foreground at the column before theirs (the compiler likes that)."""
    for x in range(len(row) - 2):
        here, upper, lower = row[x + 1], above[x + 1], below[x + 1]
        left = max(above[x], row[x], below[x], upper)
        right = max(above[x + 2], row[x + 2], below[x + 2], upper)
        marks[x] = (_LEFT if (here > left) & (here >= lower) else _NONE) + (
            _RIGHT if (here > right) & (here >= lower) else _NONE
        )


@kernel
def _mark_background(above: ByteArray, row: ByteArray, below: ByteArray, marks: ByteArray) -> None:
    """The same upside down; pixels of the background have four neighbours, so diagonal ones do not count."""
    for x in range(len(row) - 2):
        here, upper, lower = row[x + 1], above[x + 1], below[x + 1]
        left, right = min(row[x], upper), min(row[x + 2], upper)
        marks[x] = (_LEFT if (here < left) & (here <= lower) else _NONE) + (
            _RIGHT if (here < right) & (here <= lower) else _NONE
        )


@kernel
def _marked(marks: ByteArray, columns: Int32s) -> int:
    """Writes the columns of marked pixels, in order, and returns how many there are."""
    count = Index(0)
    words = marks.view(np.uint64)  # eight columns at a time: most have no mark
    for word in range(Index(len(words))):
        if words[word] != 0:
            for x in range(Index(8) * word, Index(8) * word + Index(8)):
                columns[count] = x + ONE  # overwritten by the next one unless it counts
                count += Index(marks[x] != _NONE)
    return int(count)


@kernel
def _collect(
    row: ByteArray, marks: ByteArray, columns: Int32s, units: Units, y: int, sides: Sides, flip: int
) -> None:
    """Adds the marked pixels of row ``y`` with the nodes of their units."""
    unit, last = Index(units.first[y]), Index(units.first[y + 1] - 1)
    lefts, rights = Index(sides.counts[LEFT]), Index(sides.counts[RIGHT])
    for k in range(_marked(marks, columns)):
        column = Index(columns[k])
        while unit < last and units.start[unit + ONE] <= columns[k]:
            unit += ONE
        node, height, mark = units.node[unit], flip ^ row[column], marks[column - ONE]
        sides.node[LEFT, lefts] = sides.node[RIGHT, rights] = node
        sides.column[LEFT, lefts] = sides.column[RIGHT, rights] = columns[k]
        sides.height[LEFT, lefts] = sides.height[RIGHT, rights] = height
        lefts += Index(mark & _LEFT)
        rights += Index(mark >> 1)
    sides.counts[LEFT], sides.counts[RIGHT] = lefts, rights


@inlined
def _new_sides(capacity: int | np.int64) -> Sides:
    return Sides(
        np.zeros(2, dtype=np.int32),
        new_int32_table(np.int64(2), capacity),
        new_int32_table(np.int64(2), capacity),
        np.empty((2, capacity), dtype=np.uint8),
    )


@kernel
def no_sides() -> Sides:
    """Where the sides of boxes are not asked for."""
    return _new_sides(np.int64(0))


@kernel
def side_pixels(plane: ByteArray, units: Units, background: np.bool_) -> Sides:
    """The side pixels of the foreground, or of the background, of a padded map.

    Two of them never touch in a column, so there are at most half as many as pixels.
    """
    rows, columns = plane.shape
    sides = _new_sides((rows + 1) // 2 * columns + 1)
    marks = np.zeros(columns, dtype=np.uint8)
    marked = new_int32s(columns + 1)
    flip = 255 if background else 0  # 255 ^ grey = 255 - grey
    for y in range(1, rows - 1):
        if background:
            _mark_background(plane[y - 1], plane[y], plane[y + 1], marks)
        else:
            _mark_foreground(plane[y - 1], plane[y], plane[y + 1], marks)
        _collect(plane[y], marks, marked, units, y, sides, flip)
    return sides
