"""All levels at once against contours followed one threshold at a time; zero mismatches are allowed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from rfga.geometry.levels.spans import components_at, level_spans
from rfga.geometry.levelsets import CONTOUR_RULES, benchmark_boxes, level_boxes
from tests.geometry.map_kinds import KINDS, mismatches, some_thresholds

SIZES_HW = [(1, 1), (1, 13), (9, 1), (2, 2), (5, 8), (17, 11), (24, 40), (33, 32)]

small_maps = arrays.arrays(
    np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)
).map(lambda greys: greys / 4)


def compared(score_map: NDArray[np.floating], most_thresholds: int) -> int:
    thresholds = some_thresholds(np.asarray(score_map, np.float64), most_thresholds)
    found = {rule: boxes.at_thresholds() for rule, boxes in level_boxes(score_map, thresholds).items()}
    return mismatches(found, np.asarray(score_map, np.float64), thresholds)


@pytest.mark.parametrize("kind", KINDS)
def test_small_maps(rng: np.random.Generator, kind: str) -> None:
    for size_hw in SIZES_HW:
        for _ in range(6):
            assert compared(KINDS[kind](rng, size_hw), most_thresholds=24) == 0, size_hw


@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_the_benchmarks_size(rng: np.random.Generator, kind: str) -> None:
    assert compared(KINDS[kind](rng, (224, 224)), most_thresholds=12) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["upsampled 14", "noise", "nested holes"])
def test_float_types(rng: np.random.Generator, kind: str, dtype: type[np.floating]) -> None:
    assert compared(KINDS[kind](rng, (45, 70)).astype(dtype), most_thresholds=40) == 0


def test_maps_that_are_views(rng: np.random.Generator) -> None:
    score_map = KINDS["upsampled 7"](rng, (40, 31))
    for view in (score_map.T, score_map[::-1], score_map[:, 3::2]):
        assert compared(view, most_thresholds=20) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_five_thousand_maps(kind: str) -> None:
    rng = np.random.default_rng(list(KINDS).index(kind))
    for index in range(360):
        longest = (8, 24, 60)[index % 3] if index % 60 else 448
        size_hw = (int(rng.integers(1, longest + 1)), int(rng.integers(1, longest + 1)))
        assert compared(KINDS[kind](rng, size_hw), most_thresholds=16) == 0, (index, size_hw)


@settings(max_examples=300, deadline=None)
@given(small_maps)
def test_any_small_map(score_map: NDArray[np.float64]) -> None:
    assert compared(score_map, most_thresholds=9) == 0


@settings(max_examples=200, deadline=None)
@given(small_maps, st.sampled_from([0.0, 0.3, 0.5, 0.8]))
def test_transposition(score_map: NDArray[np.float64], threshold: float) -> None:
    swapped = [1, 0, 3, 2]
    for rule in CONTOUR_RULES:
        boxes = benchmark_boxes(score_map, [threshold], rule)[0]
        transposed = benchmark_boxes(score_map.T, [threshold], rule)[0][:, swapped]
        if rule == "largest":
            areas = np.sort(components_at(np.ascontiguousarray(score_map), np.array([threshold]))[:, 4])
            if len(areas) > 1 and areas[-1] == areas[-2]:
                continue  # of equals the raster order decides, which transposition changes
        assert sorted(boxes.tolist()) == sorted(transposed.tolist())


def test_every_level_has_exactly_one_largest_box(rng: np.random.Generator) -> None:
    largest, every, highest = level_spans(KINDS["noise"](rng, (20, 35)) * 0.7, True, True)
    levels = np.concatenate([np.arange(low, high + 1) for low, high in largest[:, 4:]])
    assert sorted(levels.tolist()) == list(range(256))
    assert highest < 255
    # what wins is one of all
    for box in largest:
        assert any(
            box[:4].tolist() == other[:4].tolist() and other[4] <= box[4] and box[5] <= other[5]
            for other in every
        )


def test_threads_do_not_disturb_each_other(rng: np.random.Generator) -> None:
    maps = [KINDS["upsampled 14"](rng, (64, 90)) for _ in range(24)]
    alone = [level_spans(score_map, True, True) for score_map in maps]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda score_map: level_spans(score_map, True, True), maps * 3))
    for index, spans in enumerate(together):
        expected = alone[index % 24]
        assert np.array_equal(spans[0], expected[0])
        assert np.array_equal(spans[1], expected[1])
