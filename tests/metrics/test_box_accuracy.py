"""MaxBoxAcc and MaxBoxAccV2: recorded values, a plain oracle, and boxes drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rfga.geometry.levelsets import CONTOUR_RULES
from rfga.metrics.box_accuracy import BoxAccuracy, benchmark_truth, best_iou_at_thresholds
from rfga.metrics.thresholds import IOU_THRESHOLDS
from rfga.types import Truth
from tests import oracles
from tests.metrics.made_up import made_up_images, recorded_boxes


@pytest.mark.parametrize("step", [0.01, 0.001])
def test_recorded_metric(shared: Path, step: float) -> None:
    golden = shared / "golden"
    expected = json.loads((golden / "box_metric_expected.json").read_text())
    ids, maps, truths = recorded_boxes(golden)
    metric = BoxAccuracy(step=step, replicates=0)
    metric.update(ids, maps, truths)
    found, curves = metric.compute()["metrics"], metric.curves()
    for name in ("MaxBoxAcc", "MaxBoxAccV2"):
        for entry in found[name]:
            of_rule = expected[f"step={step},contours={entry['contours']}"]
            percents = of_rule["box_accuracy_at_iou"]
            if name == "MaxBoxAcc":
                assert entry["value"] == pytest.approx(percents["50"] / 100, abs=1e-9)
                if of_rule["num_correct_iou50"]:
                    counts = 24 * np.array(curves["box_accuracy"][entry["contours"]]["0.5"])
                    assert counts.tolist() == pytest.approx(of_rule["num_correct_iou50"])
            else:
                assert entry["value"] == pytest.approx(of_rule["mean"] / 100, abs=1e-9)
                for iou in IOU_THRESHOLDS:
                    assert entry["per_iou"][str(iou)] == pytest.approx(
                        percents[f"{iou * 100:.0f}"] / 100, abs=1e-9
                    )


def test_made_up_images_agree_with_the_oracle() -> None:
    images = made_up_images(6, "boxes")
    metric = BoxAccuracy(step=0.05, replicates=0)
    metric.update(images.ids, images.maps, images.truths)
    curves = metric.curves()
    truths = [
        benchmark_truth(truth.boxes, truth.size_hw).tolist()
        for truth in images.truths
        if truth is not None and truth.boxes is not None
    ]
    for rule in CONTOUR_RULES:
        for iou in IOU_THRESHOLDS:
            expected = [
                np.mean(
                    [
                        oracles.correct_at(m, t, at, iou, rule)
                        for m, t in zip(images.maps, truths, strict=True)
                    ]
                )
                for at in curves["thresholds"]
            ]
            assert curves["box_accuracy"][rule][str(iou)] == pytest.approx(expected)
    assert 0 < max(curves["box_accuracy"]["largest"]["0.5"]) <= 1


def test_truth_is_scaled_then_cut() -> None:
    # 29 * 224 / 100 = 64.96; 7 * 224 / 300 = 5.2; the far edges too are cut, not rounded
    assert benchmark_truth([[29, 7, 99, 299]], size_hw=(300, 100)).tolist() == [[64, 5, 221, 223]]
    assert benchmark_truth([[0, 0, 100, 300]], size_hw=(300, 100)).tolist() == [[0, 0, 224, 224]]


def test_best_of_several_truth_boxes() -> None:
    score_map = np.zeros((6, 10))
    score_map[1:3, 2:5] = 1.0  # the benchmark's box: 2, 1, 5, 3
    truths = np.array([[7, 4, 9, 5], [2, 1, 5, 3]])
    assert best_iou_at_thresholds(score_map, truths, [0.0, 0.9], "largest").tolist() == [1.0, 1.0]
    assert best_iou_at_thresholds(score_map, truths[:1], [0.0], "all").tolist() == [0.0]


def test_iou_exactly_at_the_limit_is_correct() -> None:
    score_map = np.zeros((1, 224, 224))
    score_map[0, 10:19, 0:9] = 1.0  # box 0, 10, 9, 19: 10 x 10 pixels
    truth = Truth((224, 224), boxes=np.array([[0.0, 10.0, 9.0, 14.0]]))  # 10 x 5 pixels, IoU 0.5
    metric = BoxAccuracy(step=0.5, replicates=0)
    metric.update(["a"], score_map, [truth])
    assert metric.compute()["metrics"]["MaxBoxAccV2"][0]["per_iou"] == {"0.3": 1.0, "0.5": 1.0, "0.7": 0.0}


def test_images_without_boxes_are_not_counted() -> None:
    images = made_up_images(6, "both")
    boxed = [1, 3, 5]
    alone, mixed = BoxAccuracy(step=0.05), BoxAccuracy(step=0.05)
    alone.update(*images.part(boxed))
    mixed.update(*images.part(range(6)))
    assert alone.compute()["metrics"] == mixed.compute()["metrics"]
    nothing = BoxAccuracy()
    nothing.update(["a"], np.zeros((1, 224, 224)), [None])
    assert nothing.compute() == {"images": 1, "metrics": {}}
    assert nothing.curves() == {}
