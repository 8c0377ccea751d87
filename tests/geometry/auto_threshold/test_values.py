"""Thresholds without boxes, on made-up maps whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from rfga.geometry.auto_threshold import boxes as auto_threshold_boxes
from rfga.geometry.auto_threshold import colours as auto_threshold_colours
from rfga.geometry.auto_threshold import values as auto_threshold
from rfga.geometry.auto_threshold.values import THRESHOLDS, Pool, best_threshold
from rfga.geometry.levelsets import component_boxes, foreground
from rfga.types import FloatArray, UserError

OF_VALUES: list[Callable[[Pool], FloatArray]] = [
    auto_threshold.cross_entropy,
    auto_threshold.otsu,
    auto_threshold.otsu_median,
    auto_threshold.minimum_error,
    auto_threshold.maximum_entropy,
]


def two_levels(rng: np.random.Generator, low: float, high: float, share: float) -> FloatArray:
    """Eight maps (24, 40): a rectangle at ``high`` on ``low``, both with noise, and one pixel at 1."""
    maps = rng.normal(low, 0.03, (8, 24, 40))
    rows = max(2, round(24 * share / 0.5))
    maps[:, 2 : 2 + min(rows, 20), 10:30] = rng.normal(high, 0.03, (8, min(rows, 20), 20))
    maps[:, 6, 20] = 1.0
    return np.asarray(maps.clip(0, 1), dtype=np.float64)


@pytest.mark.parametrize("estimator", OF_VALUES)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
@pytest.mark.parametrize(("low", "high"), [(0.15, 0.6), (0.3, 0.85), (0.1, 0.45)])
def test_threshold_lies_between_two_levels(
    estimator: Callable[[Pool], FloatArray],
    low: float,
    high: float,
    share: float,
    rng: np.random.Generator,
) -> None:
    maps = two_levels(rng, low, high, share)
    found = best_threshold(estimator(Pool(maps)))
    assert found is not None
    assert low < found < high
    again = best_threshold(estimator(Pool(maps[::-1].copy())))
    assert again == found  # whatever the order of the photographs


def test_counts_are_those_of_the_foreground(rng: np.random.Generator) -> None:
    maps = rng.random((3, 13, 21)) * np.array([0.4, 0.013, 1.0])[:, None, None]
    counts = Pool(maps).counts
    assert (counts.sum(axis=1) == 13 * 21).all()
    for row, score_map in zip(counts, maps, strict=True):
        for k, threshold in enumerate(THRESHOLDS):
            assert row[k + 1 :].sum() == foreground(score_map, threshold).sum()


def test_cross_entropy_is_li_and_lees(rng: np.random.Generator) -> None:
    score_map = rng.beta(0.6, 1.5, (40, 60))
    score_map /= score_map.max()
    costs = []
    for threshold in THRESHOLDS[1:]:
        above = foreground(score_map, threshold)
        copy = np.where(above, score_map[above].mean(), score_map[~above].mean())
        costs.append((score_map * np.log(np.maximum(score_map, 1e-12) / copy)).sum())
    found = best_threshold(auto_threshold.cross_entropy(Pool(score_map[None])))
    assert found == pytest.approx(THRESHOLDS[1:][int(np.argmin(costs))], abs=0.021)  # bins of a hundredth


def test_otsu_is_opencvs(rng: np.random.Generator) -> None:
    grey = np.concatenate([rng.normal(70, 15, 4000), rng.normal(180, 25, 1500)]).clip(0, 255)
    grey[0] = 255
    image = grey.astype(np.uint8).reshape(50, 110)
    expected, _ = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    found = best_threshold(auto_threshold.otsu(Pool(image[None] / 255.0)))
    assert found == pytest.approx(expected / 255, abs=0.02)


def test_maps_of_zeros_do_not_count(rng: np.random.Generator) -> None:
    maps = two_levels(rng, 0.2, 0.7, 0.25)
    more = np.concatenate([np.zeros((5, *maps.shape[1:])), maps])
    assert Pool(more).usable == list(range(5, 13))
    for estimator in [*OF_VALUES, auto_threshold_boxes.stable_boxes]:
        assert np.array_equal(estimator(Pool(more)), estimator(Pool(maps)))
    assert not Pool(np.zeros((2, 4, 6))).usable


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({20: 1.0}, 0.2),
        ({20: 1.0, 21: 1.0, 22: 1.0}, 0.21),
        ({20: 1.0, 60: 1.0, 61: 1.0, 62: 1.0}, 0.2),  # of equal stretches, the first
        ({3: -np.inf, 4: np.nan, 70: 2.0}, 0.7),
    ],
)
def test_best_threshold(scores: dict[int, float], expected: float) -> None:
    curve = np.zeros(100)
    curve[list(scores)] = list(scores.values())
    assert best_threshold(curve) == expected


def test_boxes_are_those_of_the_thresholds(rng: np.random.Generator) -> None:
    blurred = np.asarray(cv2.GaussianBlur(rng.random((30, 45)), (0, 0), 4), np.float64)
    score_map = (blurred - blurred.min()) / (blurred.max() - blurred.min())
    found = auto_threshold_boxes.largest_boxes(Pool(score_map[None]))[0]
    for k in (5, 30, 55, 80):
        x0, y0, x1, y1 = component_boxes(score_map, THRESHOLDS[k])[0]
        # The benchmark's boxes end one pixel later, but not beyond the map.
        assert found[k].tolist() == [x0, y0, min(x1 + 1, 44), min(y1 + 1, 29)]


def test_the_stable_stretch_is_found_and_the_whole_map_is_not() -> None:
    maps = np.full((3, 30, 50), 0.3)  # below 0.3 the box is the whole map, however stable
    maps[:, 5:20, 10:35] = 0.8
    maps[:, 8:12, 12:16] = 1.0
    found = best_threshold(auto_threshold_boxes.stable_boxes(Pool(maps)))
    assert found == pytest.approx(0.55, abs=0.02)
    steps = np.zeros((1, 30, 50))
    for level in range(1, 21):  # a staircase: no threshold is better than another by more than its steps
        steps[0, 5 : 25 - level // 2, level : 50 - level] = level / 20
    assert best_threshold(auto_threshold_boxes.stable_boxes(Pool(steps))) is not None


def blurred(size_hw: tuple[int, int], box: tuple[int, int, int, int]) -> FloatArray:
    x0, y0, x1, y1 = box
    solid = np.zeros(size_hw)
    solid[y0:y1, x0:x1] = 1.0
    soft = cv2.GaussianBlur(solid, (0, 0), 5)
    return np.asarray(soft / soft.max(), dtype=np.float64)


def test_colours_lead_to_the_object(rng: np.random.Generator) -> None:
    box, photographs = (14, 10, 46, 32), []
    for _ in range(3):
        photograph = rng.integers(0, 40, (48, 72, 3), dtype=np.uint8)
        photograph[10:32, 14:46] = rng.integers(180, 220, (22, 32, 3), dtype=np.uint8)
        photographs.append(photograph)
    maps = np.stack([blurred((48, 72), box)] * 3)
    pool = Pool(maps, photographs)
    found = best_threshold(auto_threshold_colours.agreement_with_colours(pool))
    assert found == best_threshold(auto_threshold_colours.agreement_with_colours(pool))
    assert found is not None
    assert np.abs(component_boxes(maps[0], found)[0] - np.array([14, 10, 45, 31])).max() <= 2
    grown = np.sqrt(
        maps
    )  # the same order of the pixels: the same seeds, hence the same mask at another value
    higher = best_threshold(auto_threshold_colours.agreement_with_colours(Pool(grown, photographs)))
    assert higher == pytest.approx(np.sqrt(found), abs=0.02)


def test_colours_need_photographs() -> None:
    with pytest.raises(UserError, match="expected photographs beside the score maps, found none: choose"):
        auto_threshold_colours.agreement_with_colours(Pool(np.ones((1, 4, 6))))


def test_colours_of_flat_maps_say_nothing() -> None:
    flat = Pool(np.ones((1, 20, 30)), [np.zeros((20, 30, 3), np.uint8)])
    assert best_threshold(auto_threshold_colours.agreement_with_colours(flat)) is None
