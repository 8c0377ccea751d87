"""Boxes of level sets: recorded from the benchmark's program, against a plain oracle, and drawn by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rfga.geometry.levelsets import (
    CONTOUR_RULES,
    benchmark_boxes,
    component_boxes,
    foreground,
    level_boxes,
    quantise,
)
from rfga.geometry.maps import score_maps
from rfga.types import UserError
from tests import oracles

THRESHOLDS = np.arange(0, 1, 0.05)


def drawn(*rows: str) -> NDArray[np.float64]:
    """A map from rows of digits, 9 for 1.0 and a dot for 0."""
    return np.array([[0.0 if sign == "." else int(sign) / 9 for sign in row] for row in rows])


@pytest.mark.parametrize("name", ["boxes.npz", "boxes_fine.npz"])
@pytest.mark.parametrize("rule", CONTOUR_RULES)
def test_recorded_boxes(shared: Path, name: str, rule: str) -> None:
    with np.load(shared / "golden" / name) as recorded:
        ids = [key.removeprefix("map_") for key in recorded.files if key.startswith("map_")]
        assert ids
        for image in ids:
            counts = recorded[f"{rule}_counts_{image}"]
            expected = np.split(recorded[f"{rule}_boxes_{image}"], np.cumsum(counts)[:-1])
            found = benchmark_boxes(recorded[f"map_{image}"], recorded["thresholds"], rule)
            for a, b in zip(found, expected, strict=True):
                assert sorted(a.tolist()) == sorted(b.tolist()), image


@pytest.mark.parametrize("rule", CONTOUR_RULES)
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (6, 1), (5, 8), (23, 17)])
@pytest.mark.parametrize("greys", [2, 4, 256])
def test_random_maps_agree_with_the_oracle(
    rng: np.random.Generator, rule: str, size_hw: tuple[int, int], greys: int
) -> None:
    for _ in range(6):
        score_map = rng.integers(0, greys, size_hw) / (greys - 1)
        found = benchmark_boxes(score_map, THRESHOLDS, rule)
        for threshold, boxes in zip(THRESHOLDS, found, strict=True):
            assert sorted(boxes.tolist()) == sorted(oracles.boxes_at(score_map, threshold, rule))


def test_smooth_maps_agree_with_the_oracle(rng: np.random.Generator) -> None:
    score_map = score_maps(rng.normal(size=(5, 7)), size_hw=(60, 90))
    found = level_boxes(score_map, THRESHOLDS)
    for rule in CONTOUR_RULES:
        for threshold, boxes in zip(THRESHOLDS, found[rule].at_thresholds(), strict=True):
            assert sorted(boxes.tolist()) == sorted(oracles.boxes_at(score_map, threshold, rule))


def test_a_ring_has_a_box_for_its_hole_in_the_all_rule() -> None:
    ring = drawn(
        ".......",
        ".99999.",
        ".9...9.",
        ".99999.",
        ".......",
    )
    assert benchmark_boxes(ring, [0.5], "largest")[0].tolist() == [[1, 1, 6, 4]]
    # the hole's border runs along the ring's pixels beside it, without the corners: the same box here
    assert benchmark_boxes(ring, [0.5], "all")[0].tolist() == [[1, 1, 6, 4]] * 2
    assert component_boxes(ring, 0.5, max_boxes=5).tolist() == [[1, 1, 5, 3]]


def test_of_equal_components_the_one_that_comes_last_wins() -> None:
    twins = drawn(
        "99..99",
        "99..99",
        "......",
    )
    assert benchmark_boxes(twins, [0.0], "largest")[0].tolist() == [[4, 0, 5, 2]]
    assert component_boxes(twins, 0.0, max_boxes=2).tolist() == [[4, 0, 5, 1], [0, 0, 1, 1]]


def test_a_thin_ring_wins_over_its_hole_of_equal_area() -> None:
    diamond = drawn(
        "...9...",
        "..9.9..",
        "...9...",
        "......9",
    )
    # the last pixel has area 0; ring and hole both have area 2
    assert benchmark_boxes(diamond, [0.5], "largest")[0].tolist() == [[2, 0, 5, 3]]


def test_a_component_in_a_hole_is_part_of_the_ring_around_it() -> None:
    target = drawn(
        "9999999",
        "9.....9",
        "9..9..9",
        "9.....9",
        "9999999",
    )
    assert component_boxes(target, 0.5, max_boxes=9).tolist() == [[0, 0, 6, 4]]
    assert [3, 2, 4, 3] in benchmark_boxes(target, [0.5], "all")[0].tolist()


def test_an_empty_map_has_the_benchmarks_zero_box_and_no_component() -> None:
    empty = np.zeros((4, 6))
    for rule in CONTOUR_RULES:
        assert [boxes.tolist() for boxes in benchmark_boxes(empty, [0.0, 0.9], rule)] == [[[0, 0, 0, 0]]] * 2
    assert component_boxes(empty, 0.0).shape == (0, 4)
    assert not foreground(empty, 0.0).any()


def test_a_full_map_is_covered_whole() -> None:
    full = np.ones((4, 6))
    assert benchmark_boxes(full, [0.0], "largest")[0].tolist() == [[0, 0, 5, 3]]
    assert component_boxes(full, 0.9).tolist() == [[0, 0, 5, 3]]


def test_components_come_largest_first_and_as_many_as_asked() -> None:
    three = drawn(
        "9..55555",
        "...55555",
        "99......",
        "99..8888",
        "99..8888",
    )
    assert component_boxes(three, 0.1, max_boxes=3).tolist() == [[3, 0, 7, 1], [4, 3, 7, 4], [0, 2, 1, 4]]
    assert component_boxes(three, 0.7, max_boxes=1).tolist() == [[4, 3, 7, 4]]


def test_foreground_is_cut_in_grey_values() -> None:
    assert quantise([0.0, 0.999, 1.0]).tolist() == [0, 254, 255]
    # 0.5 * 255 = 127.5 -> 127, level int(0.5 * 255) = 127: not above
    assert foreground(np.array([[0.5, 0.503, 1.0]]), 0.5).tolist() == [[False, True, True]]
    assert not foreground(np.array([[0.2, 1.0]]), 1.0).any()


def test_foregrounds_are_held_once() -> None:
    two_levels = drawn("..59")
    found = level_boxes(two_levels, np.arange(0, 1, 0.001))["all"]
    assert len(found.starts) == 2
    assert len(found.at_thresholds()) == 1000
    assert found.of_threshold.tolist() == [0] * 553 + [1] * 447


def test_unknown_rule() -> None:
    with pytest.raises(UserError, match="largest and all, found 'smallest'"):
        benchmark_boxes(np.eye(2), [0.5], "smallest")
