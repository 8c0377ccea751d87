"""Entries of the report."""

from __future__ import annotations

import json

import numpy as np

from rfga.metrics.entries import entry, ratio


def test_an_entry_is_plain_json() -> None:
    made = entry(
        np.array([0.5, 0.4, 0.6]), threshold=0.2, source="fixed", normalisation="max", contours="all"
    )
    assert json.loads(json.dumps(made)) == made
    assert made["interval"][0] < made["value"] < made["interval"][1]


def test_what_has_no_meaning_is_none() -> None:
    made = entry(np.array([1.0]))
    assert made["threshold"] is None
    assert made["threshold_source"] is None
    assert made["normalisation"] is None
    assert made["contours"] is None
    assert "per_iou" not in made


def test_ratio_divides_along_the_replicates() -> None:
    sums = np.arange(12.0).reshape(2, 3, 2)
    found = ratio(sums, np.array([2.0, 0.0]))
    assert np.array_equal(found[0], sums[0] / 2)
    assert np.isnan(found[1]).all()
