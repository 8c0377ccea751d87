"""Cuts each row of a grey map into units: intervals that rise and then fall, and the same upside down.

At any level the part of a unit above the level is one run of pixels, so that a unit can stand for its pixels
in a union-find: it appears at its summit's height and then only grows, to both sides.

    grey   0 2 5 5 3 1 4 9 9 6 2 0
    units    [--- A ---][-- B ---]      A and B meet at the valley's height, 1

The background below a level is cut in the same way with the signs changed: from summit to summit. Heights of
the background are counted downwards (255 - grey), so that both are swept from the highest level down.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.buffers import Int32s, new_bytes, new_int32s
from rfga.geometry.kernel import ONE, Index, inlined, kernel
from rfga.types import ByteArray

OUTSIDE = 0
"""The node of all background that is connected with the border of the map, from the start."""


FOREGROUND, BACKGROUND = np.bool_(False), np.bool_(True)
"""What a kernel works on; of NumPy's type, because Numba compiles anew for every Python constant."""


class Units(NamedTuple):
    """Units of all rows in raster order; those of row y are ``first[y]`` to ``first[y + 1] - 1``."""

    first: Int32s  # (rows + 1,)
    start: Int32s  # (n,) first column of the unit; it ends where the next one, or the row, does
    summit: Int32s  # (n,) column of a highest pixel
    node: Int32s  # (n,) its node in the union-find: units of the background at the border share OUTSIDE
    row: Int32s  # (nodes,) row of each node
    height: ByteArray  # (nodes,) at which each node appears


@kernel
def padded_grey(score_map: NDArray[np.float64]) -> tuple[ByteArray, np.int64]:
    """The map as grey values with a border of zeros all round, and the highest one.

    Rows are filled with zeros to a multiple of 32, which compiled loops like; more border changes nothing.
    """
    height, width = score_map.shape
    plane = np.zeros((height + 2, (width + 2 + 31) // 32 * 32), dtype=np.uint8)
    highest = np.uint8(0)
    for y in range(height):
        source, target = score_map[y], plane[y + 1]
        for x in range(width):
            grey = np.uint8(source[x] * 255.0)
            target[x + 1] = grey
            highest = max(highest, grey)
    return plane, np.int64(highest)


@inlined
def _new_units(rows: int, columns: int) -> Units:
    capacity = rows * (columns // 2 + 2)
    return Units(
        np.zeros(rows + 1, dtype=np.int32),
        new_int32s(capacity),
        new_int32s(capacity),
        new_int32s(capacity),
        new_int32s(capacity),
        new_bytes(capacity),
    )


@inlined
def _trimmed(units: Units, nodes: np.int64) -> Units:
    count = units.first[-1]
    return Units(
        units.first,
        units.start[:count],
        units.summit[:count],
        units.node[:count],
        units.row[:nodes],
        units.height[:nodes],
    )


@kernel
def _cut_row(row: ByteArray, y: int, fore: Units, back: Units, back_node: int) -> int:
    """Adds the units of row ``y`` to both; returns the next free node of the background."""
    unit, hole = fore.first[y], back.first[y]
    back.start[hole], back.summit[hole], back.node[hole] = 0, 0, OUTSIDE
    x, last = Index(0), Index(len(row) - 1)
    here = row[x]
    while True:
        while x < last and row[x + ONE] <= here:
            x += ONE
            here = row[x]
        if x == last:
            break
        if unit > fore.first[y]:  # a valley between two units, not before the first one
            back.summit[hole], back.node[hole] = x, back_node
            back.row[back_node], back.height[back_node] = y, 255 - here
            back_node += 1
        x += ONE
        here = row[x]
        fore.start[unit] = x
        while row[x + ONE] >= here:  # ends before the border, which is zero
            x += ONE
            here = row[x]
        fore.summit[unit], fore.node[unit] = x, unit
        fore.row[unit], fore.height[unit] = y, here
        unit += 1
        hole += 1
        x += ONE
        here = row[x]
        back.start[hole] = x
    if unit > fore.first[y]:  # what comes after the last fall reaches the border
        back.summit[hole], back.node[hole] = last, OUTSIDE
    fore.first[y + 1], back.first[y + 1] = unit, hole + 1
    return back_node


@kernel
def cut_rows(plane: ByteArray) -> tuple[Units, Units]:
    """The units of the foreground and of the background of a padded map."""
    rows, columns = plane.shape
    fore, back = _new_units(rows, columns), _new_units(rows, columns)
    back.row[OUTSIDE], back.height[OUTSIDE] = 0, 255
    back_node = OUTSIDE + 1
    for y in range(rows):
        back_node = _cut_row(plane[y], y, fore, back, back_node)
    return _trimmed(fore, np.int64(fore.first[-1])), _trimmed(back, np.int64(back_node))
