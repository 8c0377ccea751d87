from __future__ import annotations

import numpy as np
import pytest

from rfga.geometry.box_evidence import (
    ABOVE,
    BELOW,
    EVIDENCE,
    SEVERAL_AREA,
    box_evidence,
    find_boxes,
    log_odds,
    map_level,
)
from rfga.geometry.boxes import iou
from rfga.geometry.levelsets import component_boxes, components
from rfga.types import FloatArray
from tests.geometry.map_kinds import KINDS


def hill(size_hw: tuple[int, int], centre_yx: tuple[float, float], width: float) -> FloatArray:
    rows, columns = np.indices(size_hw)
    squared = (rows - centre_yx[0]) ** 2 + (columns - centre_yx[1]) ** 2
    return np.asarray(np.exp(-squared / (2 * width**2)))


def named(evidence: FloatArray) -> dict[str, float]:
    return dict(zip(EVIDENCE, evidence.tolist(), strict=True))


def test_components_of_several_thresholds_are_those_of_each(rng: np.random.Generator) -> None:
    for make in KINDS.values():
        score_map = make(rng, (23, 41))
        thresholds = [0.7, 0.1, 0.4, 0.4, 1.0, 0.0]
        found = components(score_map, thresholds)
        assert len(found) == len(thresholds)
        for threshold, boxes in zip(thresholds, found, strict=True):
            assert (boxes[:, :4] == component_boxes(score_map, threshold, 10**6)).all()
            assert (np.diff(boxes[:, 4]) <= 0).all()
    assert [len(part) for part in components(np.zeros((0, 5)), [0.1, 0.2])] == [0, 0]


def test_a_drawn_map() -> None:
    score_map = np.zeros((10, 20))
    score_map[2:8, 0:10] = 0.5
    score_map[3:7, 2:6] = 1.0
    found = find_boxes(score_map, 0.4)
    evidence = named(box_evidence(score_map, found, 0.4, score_map, 0.5)[0])
    assert found.boxes.tolist() == [[0.0, 2.0, 10.0, 8.0]]
    assert evidence["contrast"] == pytest.approx((16 * 1.0 + 44 * 0.5) / 60)
    assert (evidence["fill"], evidence["borders"], evidence["log_odds"]) == (1.0, 1.0, 0.0)
    # 0.28 cuts it alike, 0.52 leaves the core alone
    assert evidence["stable_below"] == 1.0
    assert evidence["stable_above"] == pytest.approx(16 / 60)
    assert evidence["log_area"] == pytest.approx(np.log(60 / 200))
    assert evidence["level"] == pytest.approx(score_map.mean())


def test_mirrored_maps_give_the_same_evidence(rng: np.random.Generator) -> None:
    for index in range(20):
        score_map = np.clip(hill((30, 50), (12, 17 + index / 2), 5) + 0.2 * rng.random((30, 50)), 0, 1)
        plain, mirrored = (
            box_evidence(m, find_boxes(m, 0.3), 0.3, m, 0.8) for m in (score_map, score_map[:, ::-1])
        )
        assert plain == pytest.approx(mirrored)
        assert np.isfinite(plain).all()


def test_stability_is_the_iou_with_the_nearest_box() -> None:
    score_map = np.maximum(hill((40, 70), (20, 15), 6), 0.8 * hill((40, 70), (20, 50), 4))
    found = find_boxes(score_map, 0.3, max_boxes=5)
    evidence = box_evidence(score_map, found, 0.3, score_map, 0.9)
    assert len(evidence) == 2
    for factor, name in ((BELOW, "stable_below"), (ABOVE, "stable_above")):
        others = component_boxes(score_map, 0.3 * factor, 9) + np.array([0, 0, 1, 1])
        for row, edges in zip(evidence, found.boxes, strict=True):
            assert named(row)[name] == pytest.approx(iou(edges[None], others).max())
            assert 0 < named(row)[name] < 1


def test_each_component_has_its_own_evidence() -> None:
    score_map = np.maximum(hill((40, 70), (20, 15), 6), 0.5 * hill((40, 70), (20, 50), 4))
    found = find_boxes(score_map, 0.3, max_boxes=2)
    first, second = (named(row) for row in box_evidence(score_map, found, 0.3, score_map, 0.9))
    assert found.shares[0] == 1
    assert 0 < found.shares[1] < 0.5
    assert first["contrast"] > 1.5 * second["contrast"]
    assert first["log_area"] > second["log_area"]
    assert first["level"] == second["level"]


@pytest.mark.parametrize(("side", "several"), [(2, False), (4, False), (5, True), (9, True)])
def test_a_second_strong_component_warns(side: int, several: bool) -> None:
    score_map = np.zeros((20, 40))
    score_map[2:12, 2:12] = 1.0
    score_map[3 : 3 + side, 20 : 20 + side] = 0.9
    # contours run through the middle of pixels: 81 pixels are enclosed, and (side - 1) squared
    assert several == (2 * (side - 1) ** 2 + 1 >= SEVERAL_AREA * (2 * 81 + 1))
    for threshold in (0.1, 0.5, 0.95):
        assert find_boxes(score_map, threshold).several is several
    weak = np.where(score_map == 0.9, 0.6, score_map)  # seen at a lower threshold, yet not strong
    assert len(find_boxes(weak, 0.3, max_boxes=2).boxes) == 2
    assert not find_boxes(weak, 0.3).several


def test_a_flat_map_has_neither_boxes_nor_evidence() -> None:
    found = find_boxes(np.zeros((5, 9)), 0.2, max_boxes=3)
    assert box_evidence(np.zeros((5, 9)), found, 0.2, np.zeros((2, 3)), 0.7).shape == (0, len(EVIDENCE))
    assert not found.several


def test_odd_numbers_stay_finite() -> None:
    assert (log_odds(0.0), log_odds(1.0)) == (-9.0, 9.0)
    assert log_odds(0.9) == pytest.approx(np.log(9))
    assert map_level([[-3.0, -1.0]]) == 0
    assert map_level([[np.nan, 1.0]]) == 0
    assert map_level([[-500.0, 1.0]]) == -1
