"""Thresholds of score maps without any box: what a pool of maps says by its values alone.

An estimator takes a ``Pool`` and gives a score for each of ``THRESHOLDS``, the higher the better. It chooses
ONE threshold for all maps of a run, since the benchmark's thresholds are of that kind too. Which estimator is
any good is measured in docs/thresholds.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rfga.geometry.levelsets import quantise, threshold_levels
from rfga.types import ByteArray, FloatArray

THRESHOLDS: FloatArray = np.arange(100) / 100
"""What is chosen from, as fractions of a map's maximum: 0, 0.01 ... 0.99."""

_VALUES = np.concatenate([[0.0], THRESHOLDS + 0.005])  # of the bins of ``Pool.counts``
_LEAST_VARIANCE = 1e-4  # of a class: a hundredth squared, the width of a bin
_LEAST_SHARE = 1e-3  # of the pixels in a class that is given a variance


@dataclass(frozen=True, eq=False)
class Pool:
    """Score maps of some photographs, each of the photograph's own class.

    Args:
        maps: (n, h, w) in [0, 1].
        photographs: n arrays (H, W, 3) uint8 of any sizes, for estimators that look at colours.

    Example:
        >>> Pool(np.array([[[0.0, 0.5, 1.0]], [[0.0, 0.0, 0.0]]])).counts.shape
        (1, 101)
    """

    maps: FloatArray
    photographs: Sequence[ByteArray] | None = None

    @cached_property
    def usable(self) -> list[int]:
        """Which maps have any pixel above 0; the others say nothing of a threshold."""
        return [index for index, score_map in enumerate(self.maps) if quantise(score_map).any()]

    @cached_property
    def counts(self) -> FloatArray:
        """Of each usable map, how many pixels are foreground at exactly the first j thresholds: (m, 101)."""
        found = np.zeros((len(self.usable), len(THRESHOLDS) + 1))
        for row, index in enumerate(self.usable):
            grey = quantise(self.maps[index])
            levels = threshold_levels(THRESHOLDS, int(grey.max()))
            at_level = np.bincount(grey.ravel(), minlength=256)
            np.add.at(found[row], np.searchsorted(levels, np.arange(256)), at_level)
        return found


class _Classes(NamedTuple):
    """What lies below and above each threshold: shares, sums and sums of squares of values, (..., 100)."""

    share0: FloatArray
    sum0: FloatArray
    square0: FloatArray
    share1: FloatArray
    sum1: FloatArray
    square1: FloatArray


def _classes(counts: FloatArray) -> _Classes:
    shares = counts / counts.sum(axis=-1, keepdims=True)
    moments = [shares * _VALUES**power for power in range(3)]
    below = [moment.cumsum(axis=-1)[..., :-1] for moment in moments]
    above = [m.sum(axis=-1, keepdims=True) - b for m, b in zip(moments, below, strict=True)]
    return _Classes(*below, *[np.maximum(part, 0.0) for part in above])


def _pooled(pool: Pool) -> FloatArray:
    """Counts (101,) of all maps together."""
    total: FloatArray = pool.counts.sum(axis=0)
    return total


def _otsu(counts: FloatArray) -> FloatArray:
    """Variance between the classes as a fraction of the whole, (..., 100); 0 where a class is empty."""
    c = _classes(counts)
    mean = c.sum0 + c.sum1
    variance = np.maximum(c.square0 + c.square1 - mean**2, 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = c.share0 * c.share1 * (c.sum0 / c.share0 - c.sum1 / c.share1) ** 2 / variance
    return np.nan_to_num(between, nan=0.0, posinf=0.0)


def otsu(pool: Pool) -> FloatArray:
    """The classes lie far apart: variance between them as a fraction of the whole (Otsu, IEEE SMC 1979).

    Example:
        >>> two_levels = np.array([[[0.2] * 6 + [1.0] * 4]])
        >>> best_threshold(otsu(Pool(two_levels)))
        0.6
    """
    return _otsu(_pooled(pool))


def otsu_median(pool: Pool) -> FloatArray:
    """Near to Otsu's thresholds of the single maps: minus the mean distance, which is best at their median.

    Example:
        >>> maps = np.array([[[0.2] * 6 + [1.0] * 4], [[0.1] * 6 + [1.0] * 4], [[0.8] * 6 + [1.0] * 4]])
        >>> best_threshold(otsu_median(Pool(maps)))
        0.6
    """
    own = np.array([best_threshold(curve) for curve in _otsu(pool.counts)], dtype=np.float64)
    distances: FloatArray = np.abs(THRESHOLDS[:, None] - own)
    return np.asarray(-distances.mean(axis=1), dtype=np.float64)


def cross_entropy(pool: Pool) -> FloatArray:
    """The map with two values, the classes' means, is near to the map (Li and Lee, Pattern Recognition 1993).

    Minus the cross entropy of the two, less what is the same at all thresholds: the sum over both classes of
    (sum of values) * log(mean value).

    Example:
        >>> two_levels = np.array([[[0.2] * 6 + [1.0] * 4]])
        >>> best_threshold(cross_entropy(Pool(two_levels)))
        0.6
    """
    c = _classes(_pooled(pool))
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [s * np.log(s / n) for s, n in ((c.sum0, c.share0), (c.sum1, c.share1))]
    score: FloatArray = np.nan_to_num(parts[0], nan=0.0) + np.nan_to_num(parts[1], nan=0.0)
    return np.where((c.share0 > 0) & (c.share1 > 0), score, -np.inf)


def minimum_error(pool: Pool) -> FloatArray:
    """Two Gaussians explain the values with few errors (Kittler and Illingworth, Pattern Recognition 1986).

    Example:
        >>> two_levels = np.array([[[0.2] * 6 + [1.0] * 4]])
        >>> 0.2 <= best_threshold(minimum_error(Pool(two_levels))) < 1
        True
    """
    c = _classes(_pooled(pool))
    error = np.ones(len(THRESHOLDS))
    with np.errstate(divide="ignore", invalid="ignore"):
        for share, total, square in ((c.share0, c.sum0, c.square0), (c.share1, c.sum1, c.square1)):
            variance = np.maximum(square / share - (total / share) ** 2, _LEAST_VARIANCE)
            error += share * np.log(variance) - 2 * share * np.log(share)
    large = np.minimum(c.share0, c.share1) >= _LEAST_SHARE
    return np.where(large, -error, -np.inf)


def maximum_entropy(pool: Pool) -> FloatArray:
    """The values within both classes are as various as can be (Kapur, Sahoo and Wong, CVGIP 1985).

    Example:
        >>> ramp = np.arange(256).reshape(1, 1, 256) / 255
        >>> 0.45 <= best_threshold(maximum_entropy(Pool(ramp))) <= 0.55
        True
    """
    counts = _pooled(pool)
    shares = counts / counts.sum()
    parts = np.zeros_like(shares)
    np.log(shares, out=parts, where=shares > 0)
    entropy = -(shares * parts)
    below, entropy0 = shares.cumsum()[:-1], entropy.cumsum()[:-1]
    above = 1 - below
    with np.errstate(divide="ignore", invalid="ignore"):
        score: FloatArray = np.log(below * above) + entropy0 / below + (entropy.sum() - entropy0) / above
    return np.where(np.isfinite(score) & (above > 1e-12), score, -np.inf)


def best_threshold(scores: FloatArray) -> float | None:
    """The threshold with the highest score, in the middle of equal neighbours; None where no score is finite.

    Args:
        scores: (100,), one for each of ``THRESHOLDS``.

    Example:
        >>> best_threshold(-np.abs(THRESHOLDS - 0.25)), best_threshold(np.full(100, -np.inf))
        (0.25, None)
    """
    finite = np.isfinite(scores)
    if not finite.any():
        return None
    highest = scores[finite].max()
    best = np.flatnonzero(finite & (scores >= highest - 1e-9 * max(1.0, abs(float(highest)))))
    run = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)[0]
    return float(THRESHOLDS[run[len(run) // 2]])
