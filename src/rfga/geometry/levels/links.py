"""At which height neighbouring units meet: the edges of the union-find.

Between the summits of two neighbouring units one only falls and the other only rises, so the height at which
they meet is found where the two cross; no other pixel needs to be looked at.

Where three units all meet each other, the weakest of the three meetings is never needed: at its height the
other two have joined all three already. Two units of a row and a unit beside both are such a triangle:

    row y       [----- A -----][----- A' -----]
    row y + 1       [--------- B --------]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.buffers import Int32s, new_bytes, new_int32s
from rfga.geometry.kernel import Index, inlined, kernel
from rfga.geometry.levels.row_units import OUTSIDE, Units
from rfga.types import ByteArray

NO_LINK = 0

Bools = NDArray[np.bool_]


class Links(NamedTuple):
    """Pairs of nodes and the height at which they meet, in no order."""

    first: Int32s  # (m,)
    second: Int32s  # (m,)
    height: ByteArray  # (m,)


@inlined
def _new_links(capacity: int) -> Links:
    return Links(
        new_int32s(capacity),
        new_int32s(capacity),
        new_bytes(capacity),
    )


@kernel
def _crossing_8(plane: ByteArray, falls: np.uintp, rises: np.uintp, x: int, end: int, summit: int) -> int:
    """The best step from a falling row to a rising one, straight or diagonally: max of min(p, q).

    Row ``falls`` falls from column ``x`` to ``end``; ``rises`` rises from one later to its ``summit``.
    """
    best = NO_LINK
    if end == summit:  # the last step is straight
        if x <= end:
            best = int(min(plane[falls, Index(end)], plane[rises, Index(end)]))
        end -= 1
    before = NO_LINK
    while x <= end:
        ahead, here = int(plane[rises, Index(x + 1)]), int(plane[falls, Index(x)])
        if ahead >= here:
            return max(best, before, here)
        before = ahead
        x += 1
    return max(best, before)


@kernel
def _crossing_4(plane: ByteArray, rises: np.uintp, falls: np.uintp, x: int, end: int) -> int:
    """The lowest straight step between a rising and a falling row, as a height: 255 - min of max(p, q)."""
    before = 255
    while x <= end:
        down, up = int(plane[falls, Index(x)]), int(plane[rises, Index(x)])
        if down <= up:
            return 255 - min(before, up)
        before = down
        x += 1
    return 255 - before


@kernel
def _link_rows(
    plane: ByteArray, units: Units, y: int, background: np.bool_, links: Links, count: int, dropped: Bools
) -> int:
    """Adds the links between the units of row ``y`` and the next, and marks links within rows as dropped.

    The pairs come from left to right; the latest waits at ``links[count]`` until its triangle is known.
    """
    a, b = units.first[y], units.first[y + 1]
    end_a, end_b = b, units.first[y + 2]
    starts, summits, nodes = units.start, units.summit, units.node
    firsts, seconds, heights = links.first, links.second, links.height
    columns = plane.shape[1]
    flip = 255 if background else 0
    before, between, reached, waits = 0, 0, a, False  # a meeting at height 0 is always the weakest
    while a < end_a and b < end_b:
        stop_a = starts[Index(a + 1)] if a + 1 < end_a else columns
        stop_b = starts[Index(b + 1)] if b + 1 < end_b else columns
        stop = min(stop_a, stop_b)
        summit_a, summit_b = summits[Index(a)], summits[Index(b)]
        begin = max(starts[Index(a)], starts[Index(b)])
        falls, rises = Index(y + (summit_a > summit_b)), Index(y + (summit_a <= summit_b))
        left, right = min(summit_a, summit_b), max(summit_a, summit_b)
        if not background:
            height = _crossing_8(plane, falls, rises, max(left, begin - 1), min(stop - 1, right), right)
        elif nodes[Index(a)] == OUTSIDE and nodes[Index(b)] == OUTSIDE:
            height = 255
        else:
            height = _crossing_4(plane, falls, rises, max(left, begin), min(stop - 1, right))
        before_goes = (before <= height) & (before <= between)  # of equals the first is the weakest
        here_goes = (height < before) & (height <= between)
        dropped[Index(reached)] |= not (before_goes | here_goes)
        count += waits & (not before_goes)
        place = Index(count)
        firsts[place], seconds[place], heights[place] = nodes[Index(a)], nodes[Index(b)], height
        before, waits = height, (not here_goes) & (height != NO_LINK)
        a += stop_a == stop
        b += stop_b == stop
        upper, lower = flip ^ plane[Index(y), Index(stop - 1)], flip ^ plane[Index(y + 1), Index(stop - 1)]
        through_a = (stop_a < stop_b) | ((stop_a == stop_b) & (upper <= lower))
        reached, between = (a, upper) if through_a else (b, lower)
    return count + waits


@kernel
def unit_links(plane: ByteArray, units: Units, background: np.bool_) -> Links:
    """The meetings of neighbouring units, 8-neighbours in the foreground and 4-neighbours in the background.

    Args:
        plane: the padded map.
        units: of its foreground or background.
        background: which of the two.
    """
    rows, _ = plane.shape
    links = _new_links(3 * len(units.start) + 1)
    dropped = np.zeros(len(units.start), dtype=np.bool_)
    flip = 255 if background else 0  # 255 ^ grey = 255 - grey
    count = int(np.int64(0))
    for y in range(rows):
        if y < rows - 1:
            count = _link_rows(plane, units, y, background, links, count, dropped)
        for unit in range(units.first[y] + 1, units.first[y + 1]):
            height = flip ^ plane[y, units.start[unit] - 1]
            links.first[count], links.second[count] = units.node[unit - 1], units.node[unit]
            links.height[count] = height
            count += height != NO_LINK and not dropped[unit]
    return Links(links.first[:count], links.second[:count], links.height[:count])
