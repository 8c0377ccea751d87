"""The area of every filled component at every level, and the largest one.

Twice a contour's area is the number of 2x2 quads of the filled component with three pixels in it plus the
number with four: a quad counts once below its third-largest value and once more below its smallest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.buffers import Int32s, new_bytes, new_int32s
from rfga.geometry.kernel import ONE, Index, inlined, kernel
from rfga.geometry.levels.component_sweep import HIGH, LOW, ROOT, SUMMIT, Swept
from rfga.geometry.levels.row_units import Units
from rfga.types import ByteArray


@kernel
def _quad_values(row: ByteArray, below: ByteArray, thirds: ByteArray, leasts: ByteArray) -> None:
    """The third-largest and the smallest value of each quad, at its upper left pixel."""
    for x in range(len(row) - 1):
        low_left, high_left = min(row[x], below[x]), max(row[x], below[x])
        low_right, high_right = min(row[x + 1], below[x + 1]), max(row[x + 1], below[x + 1])
        leasts[x] = min(low_left, low_right)
        thirds[x] = min(max(low_left, low_right), high_left, high_right)


@inlined
def _summit_numbers(summits: Int32s) -> tuple[Int32s, int]:
    """Counts the summits, so that each node knows the number of its own."""
    numbers = new_int32s(len(summits))
    count = 0
    for node in range(len(summits)):
        if summits[node] == node:
            numbers[node] = count
            count += 1
    for node in range(len(summits)):
        numbers[node] = numbers[summits[node]]
    return numbers, count


@kernel
def _count_quads(
    plane: ByteArray, units: Units, numbers: Int32s, lowest: int, counts: NDArray[np.int32]
) -> None:
    """Adds each quad to the table (summit, 2, 256) of third-largest and smallest values.

    Quads at the ends of a unit whose upper pixels are both below ``lowest`` are left out.

    A quad belongs to the summit of the larger of its upper two pixels. One of these is among the quad's three
    largest, so that it is there whenever the quad counts. Where a cut goes through a quad it is the right
    one, as units begin where the row rises.
    """
    rows, columns = plane.shape
    thirds, leasts = new_bytes(columns), new_bytes(columns)
    for y in range(1, rows - 2):
        first, end = units.first[y], units.first[y + 1]
        if first == end or units.first[y + 2] == end:
            continue
        _quad_values(plane[y], plane[y + 1], thirds, leasts)
        for unit in range(first, end):
            of_thirds, of_leasts = counts[numbers[unit], 0], counts[numbers[unit], 1]
            x, stop = Index(units.start[unit] - 1), Index(columns - 1)
            if unit + 1 < end:
                stop = Index(units.start[unit + 1] - 1)
            while x < stop and plane[y, x + ONE] < lowest:
                x += ONE
            while x < stop and plane[y, stop - ONE] < lowest:
                stop -= ONE
            for quad in range(x, stop):
                of_thirds[thirds[quad]] += 1
                of_leasts[leasts[quad]] += 1


@kernel
def doubled_areas(plane: ByteArray, units: Units, swept: Swept) -> tuple[Int32s, Int32s]:
    """Twice the area of the component that each summit names, and the number of each node's summit.

    Args:
        plane: the padded map without holes.
        units: of its foreground.
        swept: its components.

    Returns:
        Areas (summits, 257): column L + 1 belongs to level L; numbers (nodes,). Where a level has a single
        component, which wins whatever its area, this is a part of it.
    """
    numbers, count = _summit_numbers(swept.summits)
    areas = np.zeros((count, 257), dtype=np.int32)
    quads = np.zeros((count, 2, 256), dtype=np.int32)
    if count > 1:  # one component alone needs no area
        several = swept.joins[-1, 2] if len(swept.joins) == count - 1 else 0  # lowest level with several
        _count_quads(plane, units, numbers, several + 1, quads)
    for number in range(count):
        for height in range(255, 0, -1):
            here = quads[number, 0, height] + quads[number, 1, height]
            areas[number, height] = areas[number, height + 1] + here
    for k in range(len(swept.joins)):  # from the highest down, so what ends has all that joined it before
        stays, ends = numbers[swept.joins[k, 0]], numbers[swept.joins[k, 1]]
        for height in range(1, swept.joins[k, 2] + 1):
            areas[stays, height] += areas[ends, height]
    return areas, numbers


@kernel
def largest_roots(filled: ByteArray, units: Units, swept: Swept) -> Int32s:
    """For each level (256,) the root of the component of largest area, -1 where there is none.

    Of components of equal area the one whose topmost, then leftmost pixel comes last wins: that is the
    one with the larger root.
    """
    roots, best = new_int32s(np.int64(256)), new_int32s(np.int64(256))
    for level in range(256):
        roots[level] = best[level] = -1
    spans = swept.spans
    areas, numbers = doubled_areas(filled, units, swept)
    for k in range(len(spans)):
        number, root = numbers[spans[k, SUMMIT]], spans[k, ROOT]
        for level in range(spans[k, LOW], spans[k, HIGH] + 1):
            area = areas[number, level + 1]
            if area > best[level] or (area == best[level] and root > roots[level]):
                best[level], roots[level] = area, root
    return roots
