"""Which thresholds an evaluation reports beside the oracle's."""

from __future__ import annotations

from typing import Any

from rfga.engine.run.config import OWN_MAPS
from rfga.engine.run.folder import RunFolder
from rfga.engine.thresholds.threshold import (
    FIXED,
    FIXED_THRESHOLDS,
    LABEL_FREE,
    VAL,
    label_free_estimate,
    val_thresholds,
)


def threshold_sources(
    run: RunFolder, split: str, normalisation: str, given: float | None, *, maps: str = OWN_MAPS
) -> dict[str, Any]:
    """What was estimated without boxes, the validation split's thresholds on another split, and a fixed one.

    Args:
        run: may hold an estimate, and thresholds chosen on its validation split.
        split: that is evaluated; on val itself the oracle is that choice.
        normalisation: of the maps.
        given: the user's threshold; None takes the default of the normalisation.
        maps: the method's own, or the name of another kind; thresholds belong to their kind of maps.
    """
    sources: dict[str, Any] = {}
    metrics = run.read_metrics()
    estimated = label_free_estimate(metrics, normalisation, maps)
    if estimated is not None:  # first, to stand beside the oracle
        sources[LABEL_FREE] = estimated
    chosen = val_thresholds(metrics, normalisation, maps)
    if chosen is not None and split != "val":
        sources[VAL] = chosen
    sources[FIXED] = FIXED_THRESHOLDS[normalisation] if given is None else given
    return sources
