"""A bootstrap over images that streams: every image draws its own weights, from its id.

Resampling n images with replacement gives each a count that is nearly Poisson(1); drawing these counts
independently needs one pass and constant memory (Chamandy et al., "Estimating uncertainty for massive data
streams", 2012). The draw depends on the id alone, so neither order nor the number of processes matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from rfga.types import FloatArray

REPLICATES = 500
CONFIDENCE_PERCENTILES = (2.5, 97.5)


def poisson_weights(image_ids: Sequence[str], replicates: int = REPLICATES) -> FloatArray:
    """How often each image counts: once in row 0, the sample itself, and Poisson(1) times in each replicate.

    Args:
        image_ids: N ids; equal ids draw equal weights.
        replicates: number R of resampled data sets.

    Returns:
        (1 + R, N) float64 whole numbers.

    Example:
        >>> weights = poisson_weights(["a.jpg", "b.jpg"], replicates=3)
        >>> weights.shape, weights[0]
        ((4, 2), array([1., 1.]))
    """
    weights = np.ones((1 + replicates, len(image_ids)))
    for index, image_id in enumerate(image_ids):
        digest = blake2b(image_id.encode(), digest_size=16).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
        weights[1:, index] = generator.poisson(1.0, replicates)
    return weights


def weighted_sums(weights: FloatArray, values: NDArray[np.generic]) -> NDArray[np.floating]:
    """Sums of per-image values, in the sample (row 0) and in each replicate.

    Whole numbers below 2**53 add up exactly, so sums of parts equal the sum of the whole.

    Args:
        weights: (1 + R, N) as ``poisson_weights`` gives them.
        values: (N, ...) of any real type.

    Returns:
        (1 + R, ...) whole numbers in a float type that holds them exactly.

    Example:
        >>> weighted_sums(np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([[1, 5], [2, 6]]))
        array([[ 3., 11.],
               [ 4., 12.]])
    """
    # Sums of yes and no below 2**24 are exact in float32 too, in half the time.
    small = values.dtype == np.bool_ and weights.sum(axis=1).max(initial=0) < 2**24
    kind = np.float32 if small else np.float64
    sums: NDArray[np.floating] = weights.astype(kind) @ values.reshape(len(values), -1).astype(kind)
    return sums.reshape(len(weights), *values.shape[1:])


def interval(samples: FloatArray) -> tuple[float, float]:
    """The 95 % interval of a statistic: the percentiles 2.5 and 97.5 of its replicates.

    Args:
        samples: (1 + R,), the value itself, then its replicates; replicates that drew no image are NaN.

    Returns:
        Lower and upper end; the value twice where no replicate is defined.

    Example:
        >>> interval(np.array([0.5, 0.0, 1.0, np.nan]))
        (0.025, 0.975)
    """
    replicates = samples[1:][np.isfinite(samples[1:])]
    if not len(replicates):
        return float(samples[0]), float(samples[0])
    low, high = np.percentile(replicates, CONFIDENCE_PERCENTILES)
    return float(low), float(high)
