"""Score maps of many kinds, for comparing level sets with the plain oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.maps import score_maps
from tests import oracles

Map = NDArray[np.float64]
SizeHW = tuple[int, int]
Rng = np.random.Generator


def _upsampled(cells: int) -> Callable[[Rng, SizeHW], Map]:
    return lambda rng, size_hw: score_maps(rng.normal(size=(cells, cells)), size_hw=size_hw)


def _plateaus(rng: Rng, size_hw: SizeHW) -> Map:
    greys = rng.integers(2, 7)
    return np.round(_upsampled(5)(rng, size_hw) * greys) / greys


def _rings(rng: Rng, size_hw: SizeHW) -> Map:
    """Rings around several centres; where they cross, the higher one shows."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    result = np.zeros(size_hw)
    for _ in range(rng.integers(1, 5)):
        centre_y, centre_x = rng.uniform(0, size_hw[0]), rng.uniform(0, size_hw[1])
        distance = np.hypot(y - centre_y, x - centre_x)
        result = np.maximum(result, (distance % rng.uniform(3, 9) < rng.uniform(1, 3)) * rng.uniform(0.2, 1))
    return result


def _nested_holes(rng: Rng, size_hw: SizeHW) -> Map:
    """Frames within frames at random heights, with gaps here and there."""
    result = np.zeros(size_hw)
    for depth in range(0, min(size_hw) // 2, rng.integers(1, 3)):
        inner = result[depth : size_hw[0] - depth, depth : size_hw[1] - depth]
        inner[:] = rng.integers(0, 6) / 5
        if rng.random() < 0.3:
            inner[rng.integers(inner.shape[0]), rng.integers(inner.shape[1])] = rng.integers(0, 6) / 5
    return result


def _ties(rng: Rng, size_hw: SizeHW) -> Map:
    """Copies of one small shape, many of them of equal area."""
    shape = rng.integers(0, 3, (rng.integers(1, 5), rng.integers(1, 5))) / 2
    result = np.zeros(size_hw)
    for _ in range(rng.integers(2, 12)):
        copy = np.rot90(shape, int(rng.integers(4))) * rng.choice([0.6, 1.0])
        y, x = rng.integers(0, size_hw[0]), rng.integers(0, size_hw[1])
        room = result[y : y + copy.shape[0], x : x + copy.shape[1]]
        room[:] = copy[: room.shape[0], : room.shape[1]]
    return result


def _lines(rng: Rng, size_hw: SizeHW) -> Map:
    result = np.zeros(size_hw)
    for _ in range(rng.integers(1, 8)):
        steps = np.linspace(0, 1, 2 * max(size_hw))
        ends = rng.uniform(0, 1, (2, 2)) * (np.array(size_hw) - 1)
        y, x = np.round(ends[0] + steps[:, None] * (ends[1] - ends[0])).astype(int).T
        result[y, x] = rng.uniform(0.1, 1)
    return result


def _points(rng: Rng, size_hw: SizeHW) -> Map:
    return np.where(rng.random(size_hw) < rng.uniform(0.01, 0.3), rng.integers(1, 5, size_hw) / 4, 0.0)


def _borders(rng: Rng, size_hw: SizeHW) -> Map:
    """High along some borders of the map, something in the middle."""
    result = rng.integers(0, 3, size_hw) / 8
    for edge in (result[0], result[-1], result[:, 0], result[:, -1]):
        if rng.random() < 0.7:
            edge[:] = rng.integers(1, 5) / 4
    return result


def _checkerboard(rng: Rng, size_hw: SizeHW) -> Map:
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    cell = rng.integers(1, 4)
    fields: Map = ((y // cell + x // cell) % 2) * rng.uniform(0.3, 0.9)
    fields += rng.integers(0, 2, size_hw) * rng.choice([0.0, 0.1])
    return fields


def _constant(rng: Rng, size_hw: SizeHW) -> Map:
    return np.full(size_hw, rng.choice([0.0, 0.003, 0.004, 0.5, 1.0]))


def _noise(rng: Rng, size_hw: SizeHW) -> Map:
    return rng.random(size_hw)


def _few_greys(rng: Rng, size_hw: SizeHW) -> Map:
    greys = rng.integers(1, 5)
    return rng.integers(0, greys + 1, size_hw) / greys


KINDS: dict[str, Callable[[Rng, SizeHW], Map]] = {
    "upsampled 7": _upsampled(7),
    "upsampled 14": _upsampled(14),
    "upsampled 28": _upsampled(28),
    "plateaus": _plateaus,
    "rings": _rings,
    "nested holes": _nested_holes,
    "ties": _ties,
    "lines": _lines,
    "points": _points,
    "borders": _borders,
    "checkerboard": _checkerboard,
    "constant": _constant,
    "noise": _noise,
    "few greys": _few_greys,
}


def some_thresholds(score_map: Map, most: int) -> NDArray[np.float64]:
    """Thresholds in the middle of different levels, at most ``most``, and 0."""
    grey = (score_map.astype(np.float64) * 255).astype(np.uint8)
    highest = max(int(grey.max()), 1)
    present = np.unique(grey)
    levels = present[np.linspace(0, len(present) - 1, min(most, len(present))).astype(int)]
    return np.array([0.0, *((levels[levels < highest] + 0.5) / highest)])


def mismatches(
    found: dict[str, list[NDArray[np.int64]]], score_map: Map, thresholds: NDArray[np.float64]
) -> int:
    """How many thresholds and rules have other boxes than the oracle."""
    count = 0
    for rule, groups in found.items():
        for threshold, boxes in zip(thresholds.tolist(), groups, strict=True):
            count += sorted(boxes.tolist()) != sorted(oracles.boxes_at(score_map, threshold, rule))
    return count
