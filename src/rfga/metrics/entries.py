"""One number of a report, with everything that belongs to it: interval, threshold, source, rule."""

from __future__ import annotations

from typing import NotRequired, TypedDict

import numpy as np

from rfga.metrics.bootstrap import interval
from rfga.types import FloatArray


class Entry(TypedDict):
    """What ``--json`` says of one value; None stands where something has no meaning for the metric."""

    value: float  # fraction of 1
    interval: list[float]  # [low, high], 95 %
    threshold: float | dict[str, float] | None  # in [0, 1], or one for each IoU
    threshold_source: str | None
    normalisation: str | None
    contours: str | None
    per_iou: NotRequired[dict[str, float]]


Entries = dict[str, list[Entry]]


def entry(
    samples: FloatArray,
    *,
    threshold: float | dict[str, float] | None = None,
    source: str | None = None,
    normalisation: str | None = None,
    contours: str | None = None,
) -> Entry:
    """An entry made of the samples (1 + R,) of its statistic: the value, then its bootstrap replicates.

    Example:
        >>> entry(np.array([0.5, 0.4, 0.6]))["value"]
        0.5
    """
    low, high = interval(samples)
    return {
        "value": float(samples[0]),
        "interval": [low, high],
        "threshold": threshold,
        "threshold_source": source,
        "normalisation": normalisation,
        "contours": contours,
    }


def ratio(sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Sums (1 + R, ...) over counts (1 + R,); NaN where a replicate drew no image.

    Example:
        >>> ratio(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([4.0, 0.0]))
        array([[0.25, 0.5 ],
               [ nan,  nan]])
    """
    divisor = counts.reshape(-1, *[1] * (sums.ndim - 1))
    result: FloatArray = sums / np.where(divisor > 0, divisor, np.nan)
    return result
