"""Thresholds of score maps: the grid that the oracle chooses from, and others that come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rfga.geometry.levelsets import CONTOUR_RULES
from rfga.types import FloatArray, UserError

IOU_THRESHOLDS = (0.3, 0.5, 0.7)
ORACLE = "oracle"
"""The threshold source of the benchmark's own definition: the best threshold of the split that is scored."""

ThresholdsPerRule = Mapping[str, Mapping[str, float]]
ThresholdSources = Mapping[str, float | ThresholdsPerRule]


def threshold_grid(step: float) -> FloatArray:
    """The benchmark's thresholds: 0, step, 2 * step ... below 1.

    Args:
        step: in (0, 1), 0.001 or 0.01 in the benchmark.

    Returns:
        (T,) float64.

    Raises:
        UserError: the step is not in (0, 1).

    Example:
        >>> threshold_grid(0.25)
        array([0.  , 0.25, 0.5 , 0.75])
    """
    if not 0 < step < 1:
        raise UserError(f"expected a threshold step between 0 and 1, found {step}: give 0.001 or 0.01")
    grid = np.arange(0, 1, step)
    return grid[grid < 1]


class ThresholdTable:
    """The columns at which maps are cut: the oracle's grid first, then thresholds of other sources.

    Args:
        step: distance of the grid's thresholds.
        sources: name -> one threshold for all, or rule -> IoU -> threshold, as a run stores them.

    Raises:
        UserError: a threshold is missing or outside [0, 1], or a source is named ``oracle``.

    Example:
        >>> table = ThresholdTable(0.25, {"fixed": 0.2, "label-free": 0.5})
        >>> table.columns
        array([0.  , 0.25, 0.5 , 0.75, 0.2 ])
        >>> table.column("label-free", "largest", 0.5), table.column("fixed", "all", 0.7)
        (2, 4)
    """

    def __init__(self, step: float, sources: ThresholdSources) -> None:
        if ORACLE in sources:
            raise UserError(
                "expected names of threshold sources other than oracle, found it: give another name"
            )
        self.grid = threshold_grid(step)
        self.names = tuple(sources)
        self._values = {
            (name, rule, iou): _checked(name, source, rule, iou)
            for name, source in sources.items()
            for rule in CONTOUR_RULES
            for iou in IOU_THRESHOLDS
        }
        extra = sorted(set(self._values.values()) - set(self.grid.tolist()))
        self.columns = np.concatenate([self.grid, extra])

    def value(self, name: str, rule: str, iou_threshold: float) -> float:
        """The threshold of a source for a contour rule and an IoU."""
        return self._values[name, rule, iou_threshold]

    def column(self, name: str, rule: str, iou_threshold: float) -> int:
        """Where that threshold stands in ``columns``."""
        return int(np.flatnonzero(self.columns == self.value(name, rule, iou_threshold))[0])


def _checked(name: str, source: float | ThresholdsPerRule, rule: str, iou_threshold: float) -> float:
    try:
        value = source[rule][str(iou_threshold)] if isinstance(source, Mapping) else source
    except (KeyError, TypeError):
        raise UserError(
            f"expected thresholds of {name!r} for both contour rules at IoU 0.3, 0.5 and 0.7, found none for "
            f"{rule!r} at {iou_threshold}: give one number or all six"
        ) from None
    if not 0 <= value <= 1:
        raise UserError(
            f"expected a threshold in [0, 1] from {name!r}, found {value}: a fraction of the maximum is meant"
        )
    return float(value)
