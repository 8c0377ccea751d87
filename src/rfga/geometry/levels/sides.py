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
from rfga.geometry.levels.row_units import BACKGROUND, FOREGROUND, Units
from rfga.types import ByteArray

LEFT, RIGHT = 0, 1
_NONE, _FORE_LEFT, _FORE_RIGHT, _BACK_LEFT, _BACK_RIGHT = (np.uint8(mark) for mark in (0, 1, 2, 4, 8))
_ONE_BIT, _FORE, _FORE_SHIFT, _BACK_SHIFT = (np.uint8(bits) for bits in (1, 3, 0, 2))


class Sides(NamedTuple):
    """Side pixels in no order, the left ones at index 0, the right ones at 1."""

    counts: Int32s  # (2,)
    node: Int32s  # (2, capacity)
    column: Int32s  # (2, capacity)
    height: ByteArray  # (2, capacity)


@kernel
def _mark(above: ByteArray, row: ByteArray, below: ByteArray, marks: ByteArray) -> None:
    """Marks side pixels of a row at the column before theirs (the compiler likes that).

    The background is the same upside down, but its pixels have four neighbours: diagonal ones do not count.
    """
    for x in range(len(row) - 2):
        here, upper, lower = row[x + 1], above[x + 1], below[x + 1]
        left, right = row[x], row[x + 2]
        highest_left = max(above[x], left, below[x], upper)
        highest_right = max(above[x + 2], right, below[x + 2], upper)
        marks[x] = (
            (_FORE_LEFT if (here > highest_left) & (here >= lower) else _NONE)
            + (_FORE_RIGHT if (here > highest_right) & (here >= lower) else _NONE)
            + (_BACK_LEFT if (here < min(left, upper)) & (here <= lower) else _NONE)
            + (_BACK_RIGHT if (here < min(right, upper)) & (here <= lower) else _NONE)
        )


@kernel
def _marked(marks: ByteArray, fore: Int32s, back: Int32s) -> tuple[int, int]:
    """Writes the columns of marked pixels of the foreground and the background, in order, and counts them."""
    fore_count = back_count = Index(0)
    words = marks.view(np.uint64)  # eight columns at a time: most have no mark
    for word in range(Index(len(words))):
        if words[word] != 0:
            for x in range(Index(8) * word, Index(8) * word + Index(8)):
                fore[fore_count] = back[back_count] = x + ONE  # overwritten by the next one unless it counts
                fore_count += Index((marks[x] & _FORE) != _NONE)
                back_count += Index(marks[x] > _FORE)
    return int(fore_count), int(back_count)


@kernel
def _collect(
    row: ByteArray,
    marks: ByteArray,
    columns: Int32s,
    units: Units,
    y: int,
    sides: Sides,
    background: np.bool_,
) -> None:
    """Adds the marked pixels of row ``y`` at ``columns`` with the nodes of their units."""
    unit, last = Index(units.first[y]), Index(units.first[y + 1] - 1)
    lefts, rights = Index(sides.counts[LEFT]), Index(sides.counts[RIGHT])
    flip, shift = (255, _BACK_SHIFT) if background else (0, _FORE_SHIFT)  # 255 ^ grey = 255 - grey
    for k in range(len(columns)):
        column = Index(columns[k])
        while unit < last and units.start[unit + ONE] <= columns[k]:
            unit += ONE
        node, height, mark = units.node[unit], flip ^ row[column], marks[column - ONE] >> shift
        sides.node[LEFT, lefts] = sides.node[RIGHT, rights] = node
        sides.column[LEFT, lefts] = sides.column[RIGHT, rights] = columns[k]
        sides.height[LEFT, lefts] = sides.height[RIGHT, rights] = height
        lefts += Index(mark & _ONE_BIT)
        rights += Index((mark >> _ONE_BIT) & _ONE_BIT)
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
def side_pixels(plane: ByteArray, fore: Units, back: Units) -> tuple[Sides, Sides]:
    """The side pixels of the foreground and of the background of a padded map.

    Two of a kind never touch in a column, so there are at most half as many as pixels.
    """
    rows, columns = plane.shape
    of_fore, of_back = (
        _new_sides((rows + 1) // 2 * columns + 1),
        _new_sides((rows + 1) // 2 * columns + 1),
    )
    marks = np.zeros(columns, dtype=np.uint8)
    fore_columns, back_columns = new_int32s(columns + 1), new_int32s(columns + 1)
    for y in range(1, rows - 1):
        _mark(plane[y - 1], plane[y], plane[y + 1], marks)
        fore_count, back_count = _marked(marks, fore_columns, back_columns)
        _collect(plane[y], marks, fore_columns[:fore_count], fore, y, of_fore, FOREGROUND)
        _collect(plane[y], marks, back_columns[:back_count], back, y, of_back, BACKGROUND)
    return of_fore, of_back
