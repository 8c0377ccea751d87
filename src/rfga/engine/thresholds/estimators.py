"""Thresholds that no box was needed for: the registry of estimators, and what a run keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rfga.engine.run.config import ESTIMATED
from rfga.engine.run.options import resolve
from rfga.geometry.auto_threshold.values import Pool, best_threshold
from rfga.geometry.maps import score_maps
from rfga.types import ByteArray, FloatArray

ESTIMATORS = {
    "cross-entropy": "rfga.geometry.auto_threshold.values:cross_entropy",
    "otsu": "rfga.geometry.auto_threshold.values:otsu",
    "otsu-median": "rfga.geometry.auto_threshold.values:otsu_median",
    "minimum-error": "rfga.geometry.auto_threshold.values:minimum_error",
    "maximum-entropy": "rfga.geometry.auto_threshold.values:maximum_entropy",
    "stability": "rfga.geometry.auto_threshold.boxes:stable_boxes",
    "grabcut": "rfga.geometry.auto_threshold.colours:agreement_with_colours",
}
"""Name -> function of a ``Pool`` that gives a score for each threshold (compared in docs/thresholds.md)."""

DEFAULT_ESTIMATOR = "cross-entropy"
QUICK_ESTIMATORS = tuple(name for name, where in ESTIMATORS.items() if ".values:" in where)
"""Those that need nothing but how often each value occurs."""


def estimator_scores(pool: Pool, estimator: str = DEFAULT_ESTIMATOR) -> FloatArray:
    """An estimator's score for each of ``auto_threshold.values.THRESHOLDS``: (100,), higher is better.

    Args:
        pool: score maps, each of its photograph's own class.
        estimator: a name in ``ESTIMATORS``.

    Raises:
        UserError: there is no such estimator, or it needs photographs that the pool has not.
    """
    scores: FloatArray = resolve(ESTIMATORS, estimator, "threshold estimator")(pool)
    return scores


def estimate_threshold(
    maps: FloatArray,
    photographs: Sequence[ByteArray] | None = None,
    estimator: str = DEFAULT_ESTIMATOR,
) -> float | None:
    """One threshold for many score maps, without any box.

    Args:
        maps: (n, h, w) in [0, 1], each of its photograph's own class.
        photographs: n arrays (H, W, 3) uint8, for ``grabcut``.
        estimator: a name in ``ESTIMATORS``.

    Returns:
        In [0, 1), a fraction of each map's maximum; None where the maps do not say anything, as when all of
        them are zeros.

    Raises:
        UserError: there is no such estimator, or it needs photographs.

    Example:
        >>> import numpy as np
        >>> maps = np.full((3, 20, 30), 0.2)
        >>> maps[:, 5:15, 10:20] = 0.9
        >>> 0.2 < estimate_threshold(maps) < 0.9
        True
    """
    pool = Pool(maps, photographs)
    return best_threshold(estimator_scores(pool, estimator)) if pool.usable else None


def estimates(raw_maps: FloatArray, normalisations: Sequence[str] = ESTIMATED) -> dict[str, Any]:
    """What a run keeps: for each normalisation the default estimator's threshold, and those of other ones.

    Args:
        raw_maps: (n, h, w) as the method gave them, each of its photograph's own class.
        normalisations: names in ``rfga.geometry.maps.NORMALISATIONS``.

    Returns:
        Normalisation -> ``estimator``, ``threshold``, ``photographs`` (their number) and ``all`` (estimator
        -> threshold); a normalisation under which the maps do not say anything is left out.

    Example:
        >>> import numpy as np
        >>> raw = np.zeros((2, 7, 9)); raw[:, 2:5, 3:6] = 4.0
        >>> found = estimates(raw, ["minmax"])["minmax"]
        >>> found["estimator"], found["photographs"], sorted(found["all"]) == sorted(QUICK_ESTIMATORS)
        ('cross-entropy', 2, True)
    """
    found: dict[str, Any] = {}
    for how in normalisations:
        pool = Pool(score_maps(raw_maps, how))
        if not pool.usable:
            continue
        every = {name: best_threshold(estimator_scores(pool, name)) for name in QUICK_ESTIMATORS}
        if every[DEFAULT_ESTIMATOR] is not None:
            found[how] = {
                "estimator": DEFAULT_ESTIMATOR,
                "threshold": every[DEFAULT_ESTIMATOR],
                "photographs": len(pool.usable),
                "all": every,
            }
    return found


def choose_normalisation(agreements: Mapping[str, float]) -> str:
    """The normalisation whose maps an estimator agrees with best; of equals the first.

    No command uses it: it was measured to be no better than always taking minmax (docs/thresholds.md).

    Args:
        agreements: normalisation -> highest score of an estimator whose scores can be compared between
            normalisations (``otsu``, ``stability``, ``grabcut``).

    Example:
        >>> choose_normalisation({"minmax": 0.61, "pas": 0.66, "ivr": 0.66})
        'pas'
    """
    return max(agreements, key=lambda name: agreements[name])
