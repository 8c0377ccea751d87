from __future__ import annotations

import numpy as np
import pytest

from rfga.metrics.bootstrap import interval, poisson_weights
from rfga.metrics.localization import LocalizationMetrics
from rfga.metrics.replicates import paired_interval, replicate_values
from rfga.types import FloatArray
from tests.metrics.made_up import Images, made_up_images


def measured(images: Images, replicates: int = 40) -> LocalizationMetrics:
    metrics = LocalizationMetrics(step=0.01, num_classes=8, replicates=replicates)
    metrics.update(*images.part(range(len(images.ids))))
    return metrics


@pytest.mark.parametrize("kind", ["boxes", "masks", "both"])
def test_replicates_are_those_behind_each_interval(kind: str) -> None:
    metrics = measured(made_up_images(12, kind))
    entries = metrics.compute()["metrics"]
    found = replicate_values(metrics)
    assert found.keys() == entries.keys()
    for name, values in found.items():
        assert values.shape == (41,)
        assert values[0] == entries[name][0]["value"]
        assert list(interval(values)) == entries[name][0]["interval"]


def test_replicates_of_classification_are_weighted_means() -> None:
    images = made_up_images(12, "boxes")
    weights = poisson_weights(images.ids, 40)
    right = images.logits.argmax(1) == images.labels
    expected = (weights * right).sum(1) / weights.sum(1)
    np.testing.assert_allclose(replicate_values(measured(images))["Top1Cls"], expected)


def test_replicate_without_images_is_no_number() -> None:
    values = replicate_values(measured(made_up_images(1, "boxes"), replicates=60))
    empty = poisson_weights(made_up_images(1, "boxes").ids, 60)[:, 0] == 0
    assert empty.any()
    for own in values.values():
        np.testing.assert_array_equal(np.isnan(own), empty)


def pair(
    rng: np.random.Generator, effect: float, seeds: int = 1
) -> tuple[list[FloatArray], list[FloatArray]]:
    easy = rng.normal(0.5, 0.1, 501)  # what both models have in common, replicate by replicate
    theirs = [easy + rng.normal(0, 0.001, 501) for _ in range(seeds)]
    return [values + effect + rng.normal(0, 0.001, 501) for values in theirs], theirs


def test_what_both_models_share_is_not_in_the_interval(rng: np.random.Generator) -> None:
    ours, theirs = pair(rng, 0.01)
    low, high = paired_interval(ours, theirs)
    assert 0.006 < low < 0.01 < high < 0.014
    unpaired_low, unpaired_high = interval(ours[0])
    assert unpaired_high - unpaired_low > 20 * (high - low)
    assert paired_interval(theirs, ours) == pytest.approx((-high, -low))


def test_seeds_are_averaged_before_the_percentiles(rng: np.random.Generator) -> None:
    ours, theirs = pair(rng, 0.01, seeds=3)
    expected = np.percentile((np.mean(ours, axis=0) - np.mean(theirs, axis=0))[1:], (2.5, 97.5))
    assert paired_interval(ours, theirs) == pytest.approx(tuple(expected))
    with pytest.raises(ValueError, match="zip"):
        paired_interval(ours, theirs[:2])
