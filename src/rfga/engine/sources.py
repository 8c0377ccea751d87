"""Which thresholds an evaluation reports beside the oracle's."""

from __future__ import annotations

from typing import Any

from rfga.engine.config import OWN_MAPS
from rfga.engine.run_folder import RunFolder
from rfga.engine.thresholds import FIXED_THRESHOLDS, val_thresholds


def threshold_sources(
    run: RunFolder, split: str, normalisation: str, given: float | None, *, maps: str = OWN_MAPS
) -> dict[str, Any]:
    """The validation split's thresholds where this is another split, and a fixed one.

    Args:
        run: may hold thresholds chosen on its validation split.
        split: that is evaluated; on val itself the oracle is that choice.
        normalisation: of the maps.
        given: the user's threshold; None takes the default of the normalisation.
        maps: the method's own, or the name of another kind; thresholds belong to their kind of maps.
    """
    sources: dict[str, Any] = {}
    chosen = val_thresholds(run.read_metrics(), normalisation, maps)
    if chosen is not None and split != "val":
        sources["val"] = chosen
    sources["fixed"] = FIXED_THRESHOLDS[normalisation] if given is None else given
    return sources
