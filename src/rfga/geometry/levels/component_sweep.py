"""Joins nodes from the highest level down (Kruskal) and notes every box a component has on its way.

A node is a root of the union-find, and then stands for its component, or points towards one. The root is
always the component's smallest node; nodes are numbered in raster order, so the root is the unit that holds
the component's topmost, then leftmost pixel. At level L all pixels higher than L are there, so what happens
at height h changes the components from level h - 1 down.

A component is established once it lasted a whole level. Nodes that join at the height at which they appear
belong to the same summit of the landscape; where two established components join, the one with the smaller
root keeps its summit's name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rfga.geometry.buffers import Int32s, new_int32_table, new_int32s
from rfga.geometry.kernel import Index, inlined, kernel
from rfga.geometry.levels.links import Links
from rfga.geometry.levels.row_units import OUTSIDE, Units
from rfga.geometry.levels.sides import LEFT, RIGHT, Sides
from rfga.types import ByteArray

# columns of the table of components, one row a node
X0, Y0, X1, Y1, SINCE, BORN, PARENT, NAME = 0, 1, 2, 3, 4, 5, 6, 7

# columns of a span, beside its box in the first four
LOW, HIGH, ROOT, SUMMIT = 4, 5, 6, 7


class Swept(NamedTuple):
    """The life of all components of a map."""

    spans: Int32s  # (k, 8) box x0, y0, x1, y1 (inclusive), lowest and highest level, root, summit
    joins: Int32s  # (j, 3) summit that stays, summit that ends, height; from the highest down
    summits: Int32s  # (nodes,) the node that names each node's summit


@kernel
def _by_height(heights: ByteArray) -> tuple[Int32s, Int32s]:
    """Counting sort: indices in rising order of height, and where each height begins (257,)."""
    begins = np.zeros(257, dtype=np.int32)
    for height in heights:
        begins[np.int64(height) + 1] += 1
    for height in range(256):
        begins[height + 1] += begins[height]
    place = new_int32s(np.int64(256))
    for height in range(256):
        place[height] = begins[height]
    order = new_int32s(len(heights))
    for index in range(len(heights)):
        height = heights[index]
        order[place[height]] = index
        place[height] += 1
    return order, begins


@inlined
def _root(table: Int32s, node: int) -> np.uintp:
    """The root of a node's component; the path to it is halved."""
    place = Index(node)
    parent = Index(table[place, PARENT])
    while parent != place:
        grandparent = table[parent, PARENT]
        table[place, PARENT] = grandparent
        place = Index(grandparent)
        parent = Index(table[place, PARENT])
    return place


@kernel
def _close(table: Int32s, root: np.uintp, level: int | np.int64, spans: Int32s, counts: Any) -> None:
    """Notes the box that a component had on the levels above ``level``, before it changes."""
    since = table[root, SINCE]
    if since <= level:
        return
    k = Index(counts[0])  # element by element: views of arrays are slow in compiled loops
    for column in range(4):
        spans[k, column] = table[root, column]
    spans[k, LOW], spans[k, HIGH] = level + 1, since
    spans[k, ROOT], spans[k, SUMMIT] = root, table[root, NAME]
    table[root, SINCE] = level
    counts[0] += 1


@inlined
def _join(table: Int32s, pair: tuple[np.uintp, np.uintp], level: int, swept: Swept, counts: Any) -> None:
    """Makes two components one, from ``level`` down; ``pair`` has the smaller root first."""
    stays, ends = pair
    stays_established, ends_established = table[stays, BORN] > level, table[ends, BORN] > level
    y0, y1 = min(table[stays, Y0], table[ends, Y0]), max(table[stays, Y1], table[ends, Y1])
    x0, x1 = min(table[stays, X0], table[ends, X0]), max(table[stays, X1], table[ends, X1])
    changed = (x0 != table[stays, X0]) | (x1 != table[stays, X1])
    changed |= (y0 != table[stays, Y0]) | (y1 != table[stays, Y1])
    if changed:
        _close(table, stays, level, swept.spans, counts)
    _close(table, ends, level, swept.spans, counts)
    table[stays, X0], table[stays, Y0], table[stays, X1], table[stays, Y1] = x0, y0, x1, y1
    table[stays, BORN] = max(table[stays, BORN], table[ends, BORN])
    table[ends, PARENT] = stays
    name, other = table[stays, NAME], table[ends, NAME]
    if stays_established and ends_established:
        k = Index(counts[1])
        swept.joins[k, 0], swept.joins[k, 1], swept.joins[k, 2] = name, other, level + 1
        counts[1] += 1
    elif ends_established:
        swept.summits[Index(name)] = other
        table[stays, NAME] = other
    else:
        swept.summits[Index(other)] = name


@inlined
def _name_summits(summits: Int32s) -> None:
    """Lets every node point at its summit's name itself."""
    for node in range(len(summits)):
        name = node
        while summits[name] != name:
            summits[name] = summits[summits[name]]
            name = summits[name]
        summits[node] = name


@inlined
def _new_table(units: Units, plane_hw: tuple[int, int], background: np.bool_, with_boxes: np.bool_) -> Int32s:
    table = new_int32_table(len(units.height), np.int64(8))
    for node in range(len(table)):
        table[node, X0], table[node, X1] = plane_hw[1], -1  # set by its side pixels at the same height
        # Without boxes all rows count as one, so that a span ends only where the component does.
        table[node, Y0] = table[node, Y1] = units.row[node] if with_boxes else 0
        table[node, SINCE] = table[node, BORN] = np.int32(units.height[node]) - 1
        table[node, PARENT] = table[node, NAME] = node
    if background:  # the outside has a box that nothing changes
        table[OUTSIDE, X0], table[OUTSIDE, Y0], table[OUTSIDE, Y1] = -1, -1, plane_hw[0]
        table[OUTSIDE, X1] = plane_hw[1]
    return table


@kernel
def sweep(units: Units, links: Links, sides: Sides, plane_hw: tuple[int, int], background: np.bool_) -> Swept:
    """All boxes of all components, each with the levels on which the component has it.

    For the background, whose components are the holes, levels are inverted: 254 - L. Its outside has the
    smallest node, so that it is the root of all that has joined it; its own boxes have no meaning.
    """
    table = _new_table(units, plane_hw, background, np.bool_(len(sides.node[LEFT]) > 0))
    nodes, lefts, rights = len(table), sides.counts[LEFT], sides.counts[RIGHT]
    swept = Swept(
        new_int32_table(3 * nodes + lefts + rights, np.int64(8)),
        new_int32_table(nodes, np.int64(3)),
        new_int32s(nodes),
    )
    for node in range(nodes):
        swept.summits[node] = node
    counts = np.zeros(2, dtype=np.int64)  # of spans, of joins
    links_order, links_begin = _by_height(links.height)
    left_order, left_begin = _by_height(sides.height[LEFT, :lefts])
    right_order, right_begin = _by_height(sides.height[RIGHT, :rights])
    for height in range(255, 0, -1):
        level = height - 1
        for position in range(links_begin[height], links_begin[height + 1]):
            k = Index(links_order[Index(position)])
            a, b = _root(table, links.first[k]), _root(table, links.second[k])
            if a != b:
                _join(table, (min(a, b), max(a, b)), level, swept, counts)
        for position in range(left_begin[height], left_begin[height + 1]):
            k = Index(left_order[Index(position)])
            root = _root(table, sides.node[LEFT, k])
            if sides.column[LEFT, k] < table[root, X0]:
                _close(table, root, level, swept.spans, counts)
                table[root, X0] = sides.column[LEFT, k]
        for position in range(right_begin[height], right_begin[height + 1]):
            k = Index(right_order[Index(position)])
            root = _root(table, sides.node[RIGHT, k])
            if sides.column[RIGHT, k] > table[root, X1]:
                _close(table, root, level, swept.spans, counts)
                table[root, X1] = sides.column[RIGHT, k]
    for node in range(nodes):
        if table[node, PARENT] == node:
            _close(table, Index(node), np.int64(-1), swept.spans, counts)
    _name_summits(swept.summits)
    return Swept(swept.spans[: counts[0]], swept.joins[: counts[1]], swept.summits)
