"""The streaming bootstrap: what it estimates, and what it does not depend on."""

from __future__ import annotations

import numpy as np
import pytest

from rfga.metrics.bootstrap import interval, poisson_weights, weighted_sums


def names(count: int) -> list[str]:
    return [f"image {index}.jpg" for index in range(count)]


def mean_samples(values: np.ndarray, ids: list[str], replicates: int = 500) -> np.ndarray:
    weights = poisson_weights(ids, replicates)
    samples: np.ndarray = weighted_sums(weights, values) / weights.sum(axis=1)
    return samples


def test_weights_are_poisson_of_mean_one() -> None:
    weights = poisson_weights(names(400), 500)
    assert (weights[0] == 1).all()
    counts = np.bincount(weights[1:].astype(np.int64).ravel()) / weights[1:].size
    assert counts[:4].tolist() == pytest.approx([0.3679, 0.3679, 0.1839, 0.0613], abs=0.005)
    correlations = np.corrcoef(weights[1:].T) - np.eye(400)
    assert np.abs(correlations).max() < 0.3


def test_weights_depend_on_the_id_alone() -> None:
    ids = names(20)
    order = np.random.default_rng(1).permutation(20)
    whole = poisson_weights(ids, 50)
    assert np.array_equal(poisson_weights([ids[i] for i in order], 50), whole[:, order])
    assert np.array_equal(poisson_weights(ids, 30), whole[:31])


def test_sums_of_parts_are_the_sum(rng: np.random.Generator) -> None:
    ids, values = names(30), rng.integers(0, 50_000, (30, 2, 5))
    parts = [weighted_sums(poisson_weights(ids[i::3], 40), values[i::3]) for i in range(3)]
    assert np.array_equal(sum(parts), weighted_sums(poisson_weights(ids, 40), values))


def test_interval_agrees_with_resampling_by_hand(rng: np.random.Generator) -> None:
    values = (rng.random(400) < 0.7).astype(np.float64)
    samples = mean_samples(values, names(400), replicates=2000)
    by_hand = [values[rng.integers(0, 400, 400)].mean() for _ in range(2000)]
    low, high = interval(samples)
    assert low < samples[0] < high
    assert [low, high] == pytest.approx(np.percentile(by_hand, [2.5, 97.5]).tolist(), abs=0.012)


def test_width_shrinks_as_one_over_root_n(rng: np.random.Generator) -> None:
    values = rng.random(6400)
    widths = {n: np.subtract(*interval(mean_samples(values[:n], names(n)))[::-1]) for n in (100, 1600, 6400)}
    assert widths[100] / widths[1600] == pytest.approx(4, rel=0.25)
    assert widths[1600] / widths[6400] == pytest.approx(2, rel=0.2)


def test_one_image_has_an_interval_too() -> None:
    weights = poisson_weights(["only.jpg"], 100)
    with np.errstate(invalid="ignore"):
        samples = weighted_sums(weights, np.array([0.4])) / weights.sum(axis=1)
    assert np.isnan(samples).any()
    assert interval(samples) == pytest.approx((0.4, 0.4))
    assert interval(samples[:1]) == (0.4, 0.4)
