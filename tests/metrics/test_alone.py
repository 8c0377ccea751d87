"""The metrics in somebody else's training loop, by the names that the guide gives."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from torchmetrics import Metric, MetricCollection

import rfga
from rfga.metrics import METRICS
from rfga.types import Truth

NAMES = ("BoxAccuracy", "LocalizationMetrics", "PixelAP", "TopK")


def made_batches(count: int = 3, images: int = 4) -> list[SimpleNamespace]:
    """Maps with a bright rectangle, and boxes that overlap it more or less, in photographs 80 x 60."""
    rng = np.random.default_rng(0)
    batches = []
    for number in range(count):
        maps = np.zeros((images, 224, 224))
        for score_map in maps:
            y, x = rng.integers(0, 100, 2)
            score_map[y : y + 90, x : x + 90] = 1
        batches.append(
            SimpleNamespace(
                ids=[f"{number}-{image}" for image in range(images)],
                maps=maps,
                truths=[Truth((60, 80), boxes=np.array([[10.0, 10.0, 50.0, 50.0]]))] * images,
                labels=rng.integers(0, 10, images),
                logits=rng.normal(size=(images, 10)),
            )
        )
    return batches


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_to_metrics(name: str) -> None:
    assert issubclass(getattr(rfga.metrics, name), Metric)
    assert name in dir(rfga.metrics)


def test_every_registered_metric_has_a_name() -> None:
    assert {address.partition(":")[2] for address in METRICS.values()} < set(NAMES)
    with pytest.raises(AttributeError, match=r"'rfga\.metrics' has no attribute 'Recall'"):
        _ = rfga.metrics.Recall


def test_a_loop_of_batches_sums_up_to_the_whole() -> None:
    batches = made_batches()
    accuracy = rfga.metrics.LocalizationMetrics(num_classes=10, step=0.1)
    for batch in batches:
        accuracy.update(batch.ids, batch.maps, batch.truths, batch.labels, batch.logits)
    found = accuracy.compute()
    accuracy.reset()
    assert not accuracy.update_called
    ids = [name for batch in batches for name in batch.ids]
    truths = [truth for batch in batches for truth in batch.truths]
    maps, labels, logits = (
        np.concatenate([getattr(batch, key) for batch in batches]) for key in ("maps", "labels", "logits")
    )
    accuracy.update(ids, maps, truths, labels, logits)
    assert accuracy.compute() == found
    assert found["images"] == 12
    assert 0 < found["metrics"]["MaxBoxAccV2"][0]["value"] < 1


def test_they_stand_beside_others_in_a_collection() -> None:
    both = MetricCollection(
        {"boxes": rfga.metrics.BoxAccuracy(step=0.1), "classes": rfga.metrics.TopK(num_classes=10)}
    )
    for batch in made_batches():
        both.update(batch.ids, batch.maps, batch.truths, batch.labels, batch.logits)
    assert both["boxes"].compute()["images"] == both["classes"].compute()["images"] == 12
    assert "MaxBoxAcc" in both["boxes"].compute()["metrics"]
    assert "Top1Cls" in both["classes"].compute()["metrics"]
