"""What every metric of the registry must do, and what ``update`` refuses."""

from __future__ import annotations

import pickle
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

from rfga.metrics import METRICS
from rfga.metrics.localization import LocalizationMetrics
from rfga.metrics.streaming import StreamedMetric
from rfga.types import UserError
from tests.metrics.made_up import made_up_images

ADDRESSES = [*METRICS.values(), "rfga.metrics.localization:LocalizationMetrics"]
SETTINGS: dict[str, Any] = {"step": 0.05, "num_classes": 8, "thresholds": {"fixed": 0.33}, "replicates": 40}


def make(address: str) -> StreamedMetric:
    module, _, name = address.partition(":")
    made = getattr(import_module(module), name)(**SETTINGS)
    assert isinstance(made, StreamedMetric)
    return made


@pytest.mark.parametrize("address", ADDRESSES)
def test_order_batches_and_merging_change_nothing(address: str) -> None:
    images = made_up_images(9, "both")
    whole, backwards, first, second = (make(address) for _ in range(4))
    whole.update(*images.part(range(9)))
    for index in reversed(range(9)):
        backwards.update(*images.part([index]))
    first.update(*images.part([0, 4, 5]))
    second.update(*images.part([8, 1, 2, 3, 6, 7]))
    first.merge_state(second)
    expected = whole.compute()
    assert expected["images"] == 9
    assert expected["metrics"]
    assert backwards.compute() == expected
    assert first.compute() == expected
    assert first.curves() == whole.curves()


@pytest.mark.parametrize("address", ADDRESSES)
def test_reset_and_pickle(address: str) -> None:
    images = made_up_images(4, "both")
    metric = make(address)
    metric.update(*images.part(range(4)))
    expected = metric.compute()
    again = pickle.loads(pickle.dumps(metric))
    assert again.compute() == expected
    metric.reset()
    assert metric.sums()["images"].sum() == 0
    metric.update(*images.part(range(4)))
    assert metric.compute() == expected


def test_tensors_and_arrays_give_the_same() -> None:
    images = made_up_images(3, "boxes")
    arrays, tensors = make(ADDRESSES[-1]), make(ADDRESSES[-1])
    ids, maps, truths, labels, logits = images.part(range(3))
    arrays.update(ids, maps, truths, labels, logits)
    tensors.update(
        ids,
        torch.from_numpy(maps),
        truths,
        torch.from_numpy(labels),
        torch.from_numpy(logits).requires_grad_(),
    )
    assert tensors.compute() == arrays.compute()


def test_an_empty_batch_adds_nothing() -> None:
    metric = make(ADDRESSES[-1])
    metric.update([], np.zeros((0, 224, 224)), [])
    assert metric.sums()["images"].sum() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score_maps": np.zeros((2, 14, 14))}, "shape \\(N, 224, 224\\), found \\(2, 14, 14\\)"),
        ({"score_maps": np.full((2, 224, 224), 1.5)}, "in \\[0, 1\\], found values from 1.5"),
        ({"score_maps": np.full((2, 224, 224), np.nan)}, "found values from nan"),
        ({"image_ids": ["a"]}, "found 1, 2 and 2"),
        ({"logits": np.zeros((2, 8))}, "give both"),
        ({"labels": [0, 8], "logits": np.zeros((2, 8))}, "labels from 0 to 7, found 0 to 8"),
        ({"labels": [0, 1], "logits": np.zeros((2, 3))}, "8 classes, found 3"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    good = {"image_ids": ["a", "b"], "score_maps": np.zeros((2, 224, 224)), "truths": [None, None]}
    metric = LocalizationMetrics(**SETTINGS)
    with pytest.raises(UserError, match=message):
        metric.update(**{**good, **changes})
    assert metric.sums()["images"].sum() == 0
