"""Filled maps against the definition: the lowest way out of the map, over four neighbours."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from numpy.typing import NDArray

from rfga.geometry.levels.holes import fill_holes, raised_units
from rfga.geometry.levels.row_units import cut_rows, padded_grey
from rfga.geometry.levels.sides import no_sides
from rfga.geometry.levels.spans import _holes
from tests.geometry.map_kinds import KINDS


def flooded(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Water comes in from the border, always over the lowest pixel first."""
    level = np.full(plane.shape, -1)
    queue = [(int(plane[y, x]), y, x) for y in range(len(plane)) for x in (0, plane.shape[1] - 1)]
    queue += [(int(plane[y, x]), y, x) for y in (0, len(plane) - 1) for x in range(plane.shape[1])]
    heapq.heapify(queue)
    while queue:
        height, y, x = heapq.heappop(queue)
        if level[y, x] >= 0:
            continue
        level[y, x] = height
        for other_y, other_x in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= other_y < len(plane) and 0 <= other_x < plane.shape[1] and level[other_y, other_x] < 0:
                heapq.heappush(queue, (max(height, int(plane[other_y, other_x])), other_y, other_x))
    return level.astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_filled_as_water_would(rng: np.random.Generator, kind: str) -> None:
    for size_hw in ((1, 1), (7, 12), (31, 20)):
        plane, _ = padded_grey(KINDS[kind](rng, size_hw))
        fore, back = cut_rows(plane)
        filled = fill_holes(plane, back, _holes(plane, back, no_sides()))
        assert np.array_equal(filled, flooded(plane))
        raised = raised_units(filled, fore)
        for unit, y in enumerate(raised.row):
            ends = [*raised.start[raised.first[y] + 1 : raised.first[y + 1]], plane.shape[1]]
            part = filled[y, raised.start[unit] : ends[unit - raised.first[y]]]
            assert part.max() == raised.height[unit] == filled[y, raised.summit[unit]]
