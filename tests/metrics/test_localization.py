"""All metrics together: the shape that scripts rely on, thresholds, intervals, speed of the plain form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rfga.metrics.localization import LocalizationMetrics, image_iou
from rfga.metrics.thresholds import ThresholdSources
from rfga.types import Truth
from tests.metrics.made_up import Images, made_up_images

FROM_VAL = {
    "largest": {"0.3": 0.21, "0.5": 0.333, "0.7": 0.4},
    "all": {"0.3": 0.22, "0.5": 0.3, "0.7": 0.45},
}
SOURCES: ThresholdSources = {"val": FROM_VAL, "fixed": 0.2, "label-free": 0.31}
KEYS = {"value", "interval", "threshold", "threshold_source", "normalisation", "contours"}


def scored(
    images: Images, step: float = 0.01, classes: int = 8, replicates: int = 500
) -> LocalizationMetrics:
    metrics = LocalizationMetrics(
        step=step, num_classes=classes, normalisation="max", thresholds=SOURCES, replicates=replicates
    )
    metrics.update(*images.part(range(len(images.ids))))
    return metrics


@pytest.fixture(scope="module")
def boxed() -> LocalizationMetrics:
    return scored(made_up_images(40, "boxes"))


def test_shape_of_the_answer_for_boxes(boxed: LocalizationMetrics) -> None:
    found = boxed.compute()
    assert json.loads(json.dumps(found)) == found
    assert found["images"] == 40
    metrics = found["metrics"]
    assert list(metrics) == [
        "MaxBoxAcc",
        "MaxBoxAccV2",
        "Top1Cls",
        "Top5Cls",
        "Top1Loc",
        "Top5Loc",
        "GTKnownLoc",
    ]
    for name, entries in metrics.items():
        for entry in entries:
            assert set(entry) == KEYS | ({"per_iou"} if name == "MaxBoxAccV2" else set())
            assert 0 <= entry["interval"][0] <= entry["interval"][1] <= 1
            assert 0 <= entry["value"] <= 1
    each_rule = [(source, rule) for source in ("oracle", *SOURCES) for rule in ("largest", "all")]
    assert [(e["threshold_source"], e["contours"]) for e in metrics["MaxBoxAcc"]] == each_rule
    swapped = [(source, {"largest": "all", "all": "largest"}[rule]) for source, rule in each_rule]
    assert [(e["threshold_source"], e["contours"]) for e in metrics["MaxBoxAccV2"]] == swapped
    for name in ("Top1Loc", "Top5Loc", "GTKnownLoc"):
        assert [e["threshold_source"] for e in metrics[name]] == ["oracle", *SOURCES]
        assert {e["contours"] for e in metrics[name]} == {"largest"}
        assert [e["threshold"] for e in metrics[name]][1:] == [0.333, 0.2, 0.31]
        assert metrics[name][0]["threshold"] == metrics["MaxBoxAcc"][0]["threshold"]
    for name in ("Top1Cls", "Top5Cls"):
        (entry,) = metrics[name]
        assert entry["threshold"] is entry["contours"] is None


def test_values_fit_each_other(boxed: LocalizationMetrics) -> None:
    metrics = boxed.compute()["metrics"]
    assert metrics["GTKnownLoc"][0]["value"] == metrics["MaxBoxAcc"][0]["value"]
    assert (
        metrics["Top1Loc"][0]["value"] <= metrics["Top5Loc"][0]["value"] <= metrics["GTKnownLoc"][0]["value"]
    )
    assert metrics["Top1Loc"][0]["value"] > 0
    for entry in metrics["MaxBoxAccV2"]:
        assert entry["value"] == pytest.approx(np.mean(list(entry["per_iou"].values())))
        if entry["threshold_source"] == "val":
            assert entry["threshold"] == FROM_VAL[entry["contours"]]
    for entries in metrics.values():
        low, high = entries[0]["interval"]
        assert low <= entries[0]["value"] <= high
        assert low < high


def test_curves_and_best_thresholds_give_the_entries(boxed: LocalizationMetrics) -> None:
    curves, best, metrics = boxed.curves(), boxed.best_thresholds(), boxed.compute()["metrics"]
    assert set(curves) == {"thresholds", "box_accuracy"}
    assert curves["thresholds"] == np.arange(0, 1, 0.01).tolist()
    for entry in metrics["MaxBoxAccV2"][:2]:
        assert entry["threshold"] == best[entry["contours"]]
        for iou, value in entry["per_iou"].items():
            curve = curves["box_accuracy"][entry["contours"]][iou]
            assert max(curve) == value
            assert curves["thresholds"][curve.index(value)] == best[entry["contours"]][iou]


def test_stored_thresholds_give_the_same_numbers_as_the_oracle(boxed: LocalizationMetrics) -> None:
    again = LocalizationMetrics(
        step=0.01,
        num_classes=8,
        thresholds={"val": json.loads(json.dumps(boxed.best_thresholds()))},
        replicates=0,
    )
    again.update(*made_up_images(40, "boxes").part(range(40)))
    for name, entries in again.compute()["metrics"].items():
        if len(entries) == 4:
            assert entries[0]["value"] == entries[2]["value"], name
            assert entries[1]["value"] == entries[3]["value"], name
        elif len(entries) == 2:
            assert entries[0]["value"] == entries[1]["value"], name


def test_extra_thresholds_never_take_part_in_the_oracle() -> None:
    score_map = np.full((1, 224, 224), 0.3)
    score_map[0, 60:120, 20:180] = 0.45  # the object, which the grid 0, 0.5 misses
    score_map[0, 80:84, 90:94] = 1.0
    truth = Truth((224, 224), boxes=np.array([[20.0, 60.0, 180.0, 120.0]]))
    plain = LocalizationMetrics(step=0.5, replicates=0)
    extra = LocalizationMetrics(step=0.5, thresholds={"fixed": 0.41}, replicates=0)
    for metrics in (plain, extra):
        metrics.update(["a.jpg"], score_map, [truth])
    before, after = plain.compute()["metrics"], extra.compute()["metrics"]
    assert after["MaxBoxAcc"][:2] == before["MaxBoxAcc"]
    assert [entry["value"] for entry in after["MaxBoxAcc"]] == [0.0, 0.0, 1.0, 1.0]
    assert plain.curves() == extra.curves()
    assert plain.best_thresholds() == extra.best_thresholds()


def test_masks_give_pixel_precision_and_classification_only() -> None:
    metrics = scored(made_up_images(4, "masks", classes=4), classes=4)
    found = metrics.compute()["metrics"]
    assert list(found) == ["PxAP", "Top1Cls"]
    (entry,) = found["PxAP"]
    assert (entry["threshold"], entry["contours"], entry["normalisation"]) == (None, None, "max")
    assert entry["interval"][0] <= entry["value"] <= entry["interval"][1]
    assert set(metrics.curves()) == {"precision", "recall"}
    assert metrics.best_thresholds() == {}


def test_the_interval_of_a_maximum_takes_the_maximum_in_each_replicate(boxed: LocalizationMetrics) -> None:
    rng, sums = np.random.default_rng(3), boxed.sums()
    weights_total = sums["box_accuracy_boxed"]
    curve = sums["box_accuracy_correct"][:, 0, 1, :100] / weights_total[:, None]
    expected = np.percentile(curve[1:].max(axis=1), [2.5, 97.5])
    entry = boxed.compute()["metrics"]["MaxBoxAcc"][0]
    assert entry["interval"] == pytest.approx(expected.tolist())
    # and by resampling the images themselves
    per_image = LocalizationMetrics(step=0.01, num_classes=8, replicates=0)
    hits = []
    images = made_up_images(40, "boxes")
    for index in range(40):
        per_image.reset()
        per_image.update(*images.part([index]))
        hits.append(per_image.sums()["box_accuracy_correct"][0, 0, 1])
    resampled = [np.array(hits)[rng.integers(0, 40, 40)].mean(axis=0).max() for _ in range(2000)]
    assert entry["interval"] == pytest.approx(np.percentile(resampled, [2.5, 97.5]).tolist(), abs=0.06)


def test_nothing_seen_gives_nothing() -> None:
    metrics = LocalizationMetrics()
    metrics.update([], np.zeros((0, 224, 224)), [])
    assert metrics.compute() == {"images": 0, "metrics": {}}
    assert metrics.curves() == {}


def test_iou_of_one_image() -> None:
    score_map = np.zeros((224, 224))
    score_map[0:56, 0:112] = 1.0  # the benchmark's box 0, 0, 112, 56: 113 x 57 pixels
    score_map[100:110, 0:10] = 0.5
    # 450 x 100 photograph: x0 = 0, x1 = int(226 * 224 / 450) = 112, y1 = int(25 * 224 / 100) = 56
    assert image_iou(score_map, Truth((100, 450), boxes=np.array([[0.0, 0.0, 226.0, 25.0]])), 0.3) == 1.0
    mask = np.zeros((4, 8), dtype=np.uint8)
    mask[0, :2] = 255
    mask[2:, :] = 128  # from row 112 on, below the second blob
    assert image_iou(score_map, Truth((4, 8), mask=mask), 0.6) == 0.5
    covered = image_iou(score_map, Truth((4, 8), mask=mask), 0.3)
    assert covered == pytest.approx(56 * 56 / (56 * 112 + 10 * 10))
    mask[1:, :] = 128
    assert image_iou(score_map, Truth((4, 8), mask=mask), 0.3) == 0.5
    assert image_iou(np.zeros((224, 224)), Truth((4, 8), mask=np.zeros((4, 8), np.uint8)), 0.3) == 0.0
