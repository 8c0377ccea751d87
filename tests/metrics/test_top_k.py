"""Top-k classification and localization."""

from __future__ import annotations

import numpy as np
import pytest

from rfga.metrics.top_k import TopK, true_class_ranks
from rfga.types import Truth
from tests.metrics.made_up import made_up_images


def test_ranks_drawn_by_hand() -> None:
    logits = np.array(
        [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [2.0, 2.0, 2.0], [2.0, 2.0, 2.0], [np.nan, 0.0, 9.0]]
    )
    assert true_class_ranks(logits, np.array([0, 2, 0, 2, 2])).tolist() == [0, 2, 0, 2, 3]


def four_images() -> tuple[np.ndarray, list[Truth], list[int], np.ndarray]:
    """Boxes right, right, wrong, wrong; classes right, second, right, last of seven."""
    maps = np.zeros((4, 224, 224))
    maps[:, 50:100, 20:120] = 1.0
    right, wrong = np.array([[20.0, 50.0, 120.0, 100.0]]), np.array([[130.0, 130.0, 200.0, 200.0]])
    truths = [Truth((224, 224), boxes=boxes) for boxes in (right, right, wrong, wrong)]
    logits = np.tile(np.arange(7.0)[::-1], (4, 1))
    return maps, truths, [0, 1, 0, 6], logits


def test_box_and_class_must_both_be_right() -> None:
    maps, truths, labels, logits = four_images()
    metric = TopK(step=0.1, num_classes=7, thresholds={"fixed": 0.2, "high": 1.0}, replicates=20)
    metric.update(list("abcd"), maps, truths, labels, logits)
    found = metric.compute()["metrics"]
    assert {name: entries[0]["value"] for name, entries in found.items()} == {
        "Top1Cls": 0.5,
        "Top5Cls": 0.75,
        "Top1Loc": 0.25,
        "Top5Loc": 0.5,
    }
    # at 1.0 nothing is above the threshold
    assert [entry["value"] for entry in found["Top1Loc"]] == [0.25, 0.25, 0.0]
    assert [entry["threshold_source"] for entry in found["Top1Loc"]] == ["oracle", "fixed", "high"]


def test_top_5_is_left_out_at_five_classes() -> None:
    images = made_up_images(3, "boxes", classes=5)
    metric = TopK(step=0.1, num_classes=5)
    metric.update(images.ids, images.maps, images.truths, images.labels, images.logits)
    assert set(metric.compute()["metrics"]) == {"Top1Cls", "Top1Loc"}


def test_masks_give_classification_only_and_no_logits_nothing() -> None:
    images = made_up_images(3, "masks")
    metric = TopK(step=0.1, num_classes=8)
    metric.update(images.ids, images.maps, images.truths, images.labels)
    assert metric.compute() == {"images": 3, "metrics": {}}
    metric.update(images.ids, images.maps, images.truths, images.labels, images.logits)
    found = metric.compute()["metrics"]
    assert set(found) == {"Top1Cls", "Top5Cls"}
    expected = np.mean(images.logits.argmax(axis=1) == images.labels)
    assert found["Top1Cls"][0]["value"] == pytest.approx(expected)
