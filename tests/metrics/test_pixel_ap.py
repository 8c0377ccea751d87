"""PxAP: recorded values, numpy's histogram, and curves drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rfga.geometry.maps import resize_mask
from rfga.metrics.pixel_ap import PixelAP, pixel_average_precision, score_histograms
from rfga.metrics.thresholds import threshold_grid
from tests import oracles
from tests.metrics.made_up import made_up_images, recorded_masks


@pytest.mark.parametrize("step", [0.01, 0.001])
def test_recorded_metric(shared: Path, step: float) -> None:
    golden = shared / "golden"
    expected = json.loads((golden / "mask_metric_expected.json").read_text())[f"step={step}"]
    ids, maps, truths = recorded_masks(golden)
    metric = PixelAP(step=step, replicates=0)
    metric.update(ids, maps, truths)
    foreground, background = metric.sums()["pixels"][0].sum(axis=-1)
    assert (foreground, background) == (expected["gt_true_hist_sum"], expected["gt_false_hist_sum"])
    assert metric.compute()["metrics"]["PxAP"][0]["value"] == pytest.approx(expected["pxap"] / 100, abs=1e-9)


@pytest.mark.parametrize("step", [0.001, 0.01, 0.07, 0.3, 1 / 3, 0.5])
def test_histograms_equal_numpys_even_on_the_edges(rng: np.random.Generator, step: float) -> None:
    grid = threshold_grid(step)
    edges = np.concatenate([grid, [1.0]])
    scores = np.concatenate([edges, np.nextafter(edges[1:], 0), np.nextafter(edges[:-1], 1), rng.random(999)])
    mask = rng.choice(np.array([0, 128, 255], dtype=np.uint8), scores.shape)
    bins = [*grid, 1.0, 2.0, 3.0]
    foreground, background = score_histograms(scores, mask, grid)
    assert np.array_equal(foreground, np.histogram(scores[mask == 255], bins=bins)[0])
    assert np.array_equal(background, np.histogram(scores[mask == 0], bins=bins)[0])


def test_made_up_images_agree_with_the_oracle() -> None:
    images = made_up_images(5, "masks")
    metric = PixelAP(step=0.01, replicates=0)
    metric.update(images.ids, images.maps, images.truths)
    masks = [
        resize_mask(truth.mask) for truth in images.truths if truth is not None and truth.mask is not None
    ]
    expected = oracles.pixel_ap(images.maps, np.array(masks), 0.01)
    assert metric.compute()["metrics"]["PxAP"][0]["value"] == pytest.approx(expected, abs=1e-12)


def test_average_precision_drawn_by_hand() -> None:
    # from the top bin: 1 of 1 right, then 1 of 3, then 4 of 6; the first bin only sets the start
    curve = pixel_average_precision([3, 0, 1, 0], [0, 2, 0, 0])
    assert curve.recall.tolist() == [0.0, 0.25, 0.25, 1.0]
    assert np.isnan(curve.precision[0])
    assert curve.precision[1:].tolist() == [1.0, 1 / 3, 4 / 6]
    assert float(curve.area) == pytest.approx(0.25 * 1.0 + 0.75 * 4 / 6)


def test_many_histograms_at_once(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 50, (2, 7, 12))
    together = pixel_average_precision(*pixels)
    assert together.area.tolist() == [
        float(pixel_average_precision(f, b).area) for f, b in zip(*pixels, strict=True)
    ]


def test_boxes_give_no_pixel_precision_and_an_empty_truth_none() -> None:
    metric = PixelAP(step=0.1)
    images = made_up_images(2, "boxes")
    metric.update(images.ids, images.maps, images.truths)
    assert metric.compute() == {"images": 2, "metrics": {}}
    assert metric.curves() == {}


def test_curves_end_with_everything_recalled() -> None:
    metric = PixelAP(step=0.1)
    images = made_up_images(2, "masks")
    metric.update(images.ids, images.maps, images.truths)
    curves = metric.curves()
    assert len(curves["precision"]) == len(curves["recall"])
    assert curves["recall"] == sorted(curves["recall"])
    assert curves["recall"][-1] == 1.0
    assert np.isfinite(curves["precision"]).all()
