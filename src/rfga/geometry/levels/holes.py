"""Fills the holes of a grey map: every pixel is raised until water on it could run off the map."""

from __future__ import annotations

import numpy as np

from rfga.geometry.buffers import Int32s, new_bytes, new_int32s
from rfga.geometry.kernel import ONE, Index, inlined, kernel
from rfga.geometry.levels.component_sweep import Swept
from rfga.geometry.levels.row_units import OUTSIDE, Units
from rfga.types import ByteArray


@inlined
def _spill_heights(swept: Swept) -> Int32s:
    """For each basin's node the grey value at which it joins the outside; 255 if it never does."""
    spills = new_int32s(len(swept.summits))
    for node in range(len(spills)):
        spills[node] = 255
    spills[OUTSIDE] = 0
    for k in range(len(swept.joins) - 1, -1, -1):  # last first: then that of the one that stays is known
        stays, ends, height = swept.joins[k]
        spills[ends] = 255 - height if stays == OUTSIDE else spills[stays]
    return spills


@kernel
def fill_holes(plane: ByteArray, units: Units, swept: Swept) -> ByteArray:
    """The padded map with its holes filled.

    The way out of a pixel leads down its unit to the lowest pixel and from there over the basin's spill.

    Args:
        plane: the padded map.
        units: of its background.
        swept: the joins of its background.
    """
    spills = _spill_heights(swept)
    filled = plane.copy()
    for y in range(1, len(plane) - 1):
        row = filled[y]
        for unit in range(units.first[y] + 1, units.first[y + 1] - 1):  # the first and the last are outside
            node = units.node[unit]
            spill = np.uint8(spills[swept.summits[node]])
            if spill > 255 - units.height[node]:
                low = Index(units.summit[unit])  # the pixels below the spill lie around the lowest
                x = low
                while row[x] < spill:
                    row[x] = spill
                    x += ONE
                x = low - ONE
                while row[x] < spill:
                    row[x] = spill
                    x -= ONE
    return filled


@inlined
def raised_units(filled: ByteArray, units: Units) -> Units:
    """The foreground's units once holes are filled: the same intervals with their new summits.

    Each still rises and then falls: filling levels what lies below the spills on both sides of its summit.
    Where that drowns the summit, the higher of the two is the new one.

    Args:
        filled: the padded map without holes.
        units: of the foreground of the map with holes.
    """
    count = len(units.start)
    summits, heights = new_int32s(count), new_bytes(count)
    for unit in range(count):
        y, x = units.row[unit], units.summit[unit]
        x += filled[y, x + 1] > filled[y, x]
        summits[unit], heights[unit] = x, filled[y, x]
    return Units(units.first, units.start, summits, units.node, units.row, heights)
