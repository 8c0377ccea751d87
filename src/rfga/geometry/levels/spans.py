"""From a map to the benchmark's boxes at all 256 levels: each box once, with the levels it holds for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.buffers import Int32s, new_int32_table
from rfga.geometry.kernel import inlined, kernel
from rfga.geometry.levels.areas import doubled_areas, largest_roots
from rfga.geometry.levels.component_sweep import (
    HIGH,
    LOW,
    ROOT,
    SUMMIT,
    X0,
    X1,
    Y0,
    Y1,
    Swept,
    sweep,
)
from rfga.geometry.levels.holes import fill_holes, raised_units
from rfga.geometry.levels.links import unit_links
from rfga.geometry.levels.row_units import BACKGROUND, FOREGROUND, OUTSIDE, Units, cut_rows, padded_grey
from rfga.geometry.levels.sides import Sides, no_sides, side_pixels
from rfga.types import ByteArray, IntArray

LEVELS = 256


class Filled(NamedTuple):
    """A map without holes: its components are those that lie in no hole, and everything inside them."""

    plane: ByteArray
    units: Units
    swept: Swept  # levels, roots and summits of the components; their boxes have no sides


@inlined
def _components(plane: ByteArray, units: Units, sides: Sides) -> Swept:
    return sweep(units, unit_links(plane, units, FOREGROUND), sides, plane.shape, FOREGROUND)


@inlined
def _holes(plane: ByteArray, units: Units, sides: Sides) -> Swept:
    return sweep(units, unit_links(plane, units, BACKGROUND), sides, plane.shape, BACKGROUND)


@inlined
def _filled(plane: ByteArray, fore: Units, back: Units, holes: Swept) -> Filled:
    filled = fill_holes(plane, back, holes)
    units = raised_units(filled, fore)
    return Filled(
        filled,
        units,
        sweep(units, unit_links(filled, units, FOREGROUND), no_sides(), plane.shape, FOREGROUND),
    )


@kernel
def _write_box(
    target: Int32s,
    place: np.int64,
    source: Int32s,
    k: int | np.int64,
    grown: np.int64,
    map_hw: tuple[int, int],
) -> None:
    """Box ``k`` of the padded map, grown on each side, as x, y, min(x + w, W - 1), min(y + h, H - 1)."""
    target[place, X0] = source[k, X0] - 1 - grown
    target[place, Y0] = source[k, Y0] - 1 - grown
    target[place, X1] = min(source[k, X1] + grown, map_hw[1] - 1)
    target[place, Y1] = min(source[k, Y1] + grown, map_hw[0] - 1)


@kernel
def _new_spans(capacity: int | np.int64, highest: np.int64) -> Int32s:
    """Spans whose first is the box of the levels above everything, [0, 0, 0, 0]."""
    spans = np.zeros((capacity, 6), dtype=np.int32)
    spans[0, LOW], spans[0, HIGH] = highest, LEVELS - 1
    return spans


@inlined
def _all_spans(found: Swept, holes: Swept, map_hw: tuple[int, int], highest: np.int64) -> Int32s:
    """Every component, and every hole with the ring of pixels around it."""
    spans = _new_spans(len(found.spans) + len(holes.spans) + 1, highest)
    count = np.int64(1)
    for k in range(len(found.spans)):
        _write_box(spans, count, found.spans, k, np.int64(0), map_hw)
        spans[count, LOW], spans[count, HIGH] = found.spans[k, LOW], found.spans[k, HIGH]
        count += 1
    for k in range(len(holes.spans)):
        if holes.spans[k, ROOT] != OUTSIDE:
            _write_box(spans, count, holes.spans, k, np.int64(1), map_hw)
            spans[count, LOW], spans[count, HIGH] = 254 - holes.spans[k, HIGH], 254 - holes.spans[k, LOW]
            count += 1
    return spans[:count]


@inlined
def _winning_spans(found: Swept, roots: Int32s, map_hw: tuple[int, int], highest: np.int64) -> Int32s:
    """The boxes of the components with these roots; filling changed neither their roots nor their boxes."""
    spans = _new_spans(len(found.spans) + LEVELS, highest)
    count = np.int64(1)
    for k in range(len(found.spans)):
        root, level, last = found.spans[k, ROOT], found.spans[k, LOW], found.spans[k, HIGH]
        while level <= last:
            if roots[level] == root:
                _write_box(spans, count, found.spans, k, np.int64(0), map_hw)
                spans[count, LOW] = level
                while level < last and roots[level + 1] == root:
                    level += 1
                spans[count, HIGH] = level
                count += 1
            level += 1
    return spans[:count]


@kernel
def level_spans(
    score_map: NDArray[np.float64], want_largest: bool | np.bool_, want_all: bool | np.bool_
) -> tuple[Int32s, Int32s, np.int64]:
    """The benchmark's boxes at every level, for both contour rules.

    Args:
        score_map: (h, w) float64 in [0, 1], C-contiguous, h and w at least 1.
        want_largest: otherwise the first result is empty.
        want_all: otherwise the second result is empty.

    Returns:
        Spans (k, 6) of the largest rule and of the all rule: x0, y0, x1, y1, lowest and highest level of
        that box; and the map's highest grey value.
    """
    map_hw = score_map.shape
    plane, highest = padded_grey(score_map)
    fore, back = cut_rows(plane)
    fore_sides, back_sides = side_pixels(plane, fore, back)
    found = _components(plane, fore, fore_sides)
    holes = _holes(plane, back, back_sides if want_all else no_sides())
    every, largest = new_int32_table(np.int64(0), np.int64(6)), new_int32_table(np.int64(0), np.int64(6))
    if want_all:
        every = _all_spans(found, holes, map_hw, highest)
    if want_largest:
        filled = _filled(plane, fore, back, holes)
        roots = largest_roots(filled.plane, filled.units, filled.swept)
        largest = _winning_spans(found, roots, map_hw, highest)
    return largest, every, highest


@kernel
def components_at(score_map: NDArray[np.float64], thresholds: NDArray[np.float64]) -> IntArray:
    """The components above each of some thresholds that lie in no other's hole.

    Args:
        score_map: (h, w) float64 in [0, 1], C-contiguous, h and w at least 1.
        thresholds: (T,) fractions of the map's maximum.

    Returns:
        (n, 7) int64: xmin, ymin, xmax, ymax of its pixels, twice its contour's area, a number that rises in
        raster order of first pixels, and the index of its threshold, which rises.
    """
    plane, highest = padded_grey(score_map)
    fore, back = cut_rows(plane)
    found = _components(plane, fore, side_pixels(plane, fore, back)[0])
    filled = _filled(plane, fore, back, _holes(plane, back, no_sides()))
    areas, numbers = doubled_areas(filled.plane, filled.units, filled.swept)
    area_of_root = np.empty(len(fore.start), dtype=np.int64)
    alive = np.empty((len(found.spans) * len(thresholds), 7), dtype=np.int64)
    count = 0
    for index in range(len(thresholds)):
        level = int(thresholds[index] * highest)
        area_of_root[:] = -1
        for k in range(len(filled.swept.spans)):
            if filled.swept.spans[k, LOW] <= level <= filled.swept.spans[k, HIGH]:
                number = numbers[filled.swept.spans[k, SUMMIT]]
                area_of_root[filled.swept.spans[k, ROOT]] = areas[number, level + 1]
        for k in range(len(found.spans)):
            root = found.spans[k, ROOT]
            if found.spans[k, LOW] <= level <= found.spans[k, HIGH] and area_of_root[root] >= 0:
                for side in range(4):
                    alive[count, side] = found.spans[k, side] - 1
                alive[count, 4], alive[count, 5], alive[count, 6] = area_of_root[root], root, index
                count += 1
    return alive[:count]
