"""The best IoU of all levels against boxes listed one threshold at a time."""

from __future__ import annotations

import numpy as np
import pytest

from rfga.geometry.levelsets import CONTOUR_RULES
from rfga.metrics.box_accuracy import best_iou_at_thresholds
from rfga.metrics.level_iou import best_iou_at_levels, mark_correct
from tests import oracles
from tests.geometry.map_kinds import KINDS


@pytest.mark.parametrize("kind", ["upsampled 14", "rings", "noise", "constant", "ties"])
def test_best_iou_equals_the_oracles(rng: np.random.Generator, kind: str) -> None:
    score_map = KINDS[kind](rng, (26, 41))
    truth = np.sort(rng.integers(0, 26, (3, 2, 2)), axis=1).reshape(3, 4)
    thresholds = np.arange(0, 1, 0.07)
    for rule in CONTOUR_RULES:
        expected = [
            max(
                oracles.formula_iou(box, other)
                for box in oracles.boxes_at(score_map, threshold, rule)
                for other in truth.tolist()
            )
            for threshold in thresholds.tolist()
        ]
        assert best_iou_at_thresholds(score_map, truth, thresholds, rule).tolist() == expected


def test_marks_follow_the_best_iou(rng: np.random.Generator) -> None:
    score_map, truth = KINDS["upsampled 7"](rng, (30, 50)), np.array([[5, 3, 30, 25]])
    thresholds, limits = np.arange(0, 1, 0.01), np.array([0.3, 0.5, 0.7])
    hits = np.zeros((2, 3, 100), dtype=np.bool_)
    mark_correct(score_map, truth, thresholds, limits, hits)
    best, highest = best_iou_at_levels(score_map, truth, True, True)
    at = best[:, (thresholds * highest).astype(int)]
    assert np.array_equal(hits, at[:, None] >= limits[:, None])
    assert hits.any()
    assert not hits.all()
