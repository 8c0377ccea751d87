from __future__ import annotations

import numpy as np
import pytest

from rfga.engine.evaluating.baselines import BASELINES, centre_gaussian, evaluate_baseline, whole_image
from rfga.metrics.box_accuracy import benchmark_truth, best_iou_at_thresholds
from rfga.types import UserError
from tests import oracles
from tests.engine.tiny import QUIET
from tests.engine.toy import ToyDataset

CENTRE, WHOLE = "centre-Gaussian baseline", "whole-image baseline"


@pytest.mark.parametrize("normalisation", ["minmax", "max", "pas", "ivr"])
def test_gaussian_is_round_and_falls_from_the_middle(normalisation: str) -> None:
    found = centre_gaussian(normalisation)
    assert (found.shape, found.max()) == ((224, 224), 1.0)
    for turned in (found.T, found[::-1], found[:, ::-1]):
        np.testing.assert_allclose(found, turned, rtol=0, atol=1e-12)
    assert found[112, 112] == found.max()
    row = found[112, 112:]
    assert (np.diff(row) <= 0).all()
    assert row[0] > row[-1]


def test_boxes_of_the_gaussian_are_centred_squares_of_every_size() -> None:
    truths = np.array([[[112 - half, 112 - half, 111 + half, 111 + half]] for half in (8, 30, 75, 110)])
    for truth in truths:
        found = best_iou_at_thresholds(centre_gaussian(), truth, np.linspace(0, 1, 1001), "largest")
        assert found.max() > 0.85


def test_whole_image_is_scored_as_one_box_over_everything() -> None:
    toy = ToyDataset()
    ious = []
    for sample in toy.samples("test"):
        truth = toy.truth(sample)
        assert truth is not None
        assert truth.boxes is not None
        boxes = benchmark_truth(truth.boxes, truth.size_hw).tolist()
        ious.append(max(oracles.pixel_set_iou([0, 0, 223, 223], box) for box in boxes))
    found = evaluate_baseline(WHOLE, toy, "test", "ivr", QUIET)["metrics"]
    expected = np.mean([[iou >= limit for iou in ious] for limit in (0.3, 0.5, 0.7)])
    assert found["MaxBoxAccV2"][0]["value"] == pytest.approx(expected)
    assert found["MaxBoxAcc"][0]["value"] == found["GTKnownLoc"][0]["value"]
    assert not any(name.startswith("Top") for name in found)


def test_whole_image_has_the_share_of_object_pixels_as_precision() -> None:
    toy = ToyDataset(per_split=3, masks=True)
    found = evaluate_baseline(WHOLE, toy, "val", runtime=QUIET)["metrics"]
    assert list(found) == ["PxAP"]
    masks = [truth.mask for sample in toy.samples("val") if (truth := toy.truth(sample)) is not None]
    known = np.concatenate([mask[mask != 128] for mask in masks if mask is not None])
    assert found["PxAP"][0]["value"] == pytest.approx(float((known == 255).mean()), abs=0.01)


def test_normalisation_of_the_gaussian_is_named_and_whole_image_ignores_it() -> None:
    toy = ToyDataset(per_split=2)
    entries = evaluate_baseline(CENTRE, toy, "val", "ivr", QUIET)["metrics"]["MaxBoxAcc"]
    assert {entry["normalisation"] for entry in entries} == {"ivr"}
    assert np.array_equal(whole_image("minmax"), whole_image("ivr"))


@pytest.mark.parametrize("name", BASELINES)
def test_photographs_without_truth_are_left_out(name: str) -> None:
    toy = ToyDataset(per_split=4)
    toy.unfit = {"1.png"}
    assert evaluate_baseline(name, toy, "val", runtime=QUIET)["images"] == 3
    with pytest.raises(UserError, match="expected boxes or masks of the split train of toy, found none"):
        evaluate_baseline(name, ToyDataset(), "train", runtime=QUIET)
