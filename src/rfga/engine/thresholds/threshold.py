"""Which threshold cuts a score map into object and background, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rfga.engine.run.config import OWN_MAPS
from rfga.engine.run.folder import RunFolder
from rfga.methods import SHARES_OF_OBJECT
from rfga.types import UserError

POSTHOC_KEY = "posthoc"  # in metrics.json: what was measured of maps that are not the method's own
LABEL_FREE_KEY = "label_free"  # in metrics.json: what was estimated without boxes, by normalisation
VAL, LABEL_FREE, FIXED = "val", "label-free", "fixed"
FIXED_THRESHOLDS = {"minmax": 0.3, "max": 0.25, "pas": 0.35, "ivr": 0.02, "none": 0.5}
"""Where nothing better is known, by the normalisation of the maps (measured: docs/measurements.md)."""


@dataclass(frozen=True)
class Threshold:
    """A fraction of the map's maximum, and its source."""

    value: float  # in [0, 1]
    source: (
        str  # val: chosen on boxes of val; label-free: estimated without boxes; fixed: given or by default
    )


def run_threshold(
    metrics: Mapping[str, Any], normalisation: str, maps: str = OWN_MAPS, wanted: float | str = "auto"
) -> Threshold:
    """The threshold that a run knows for such maps, normalised so, unless another one is wanted.

    In this order: chosen on boxes of the validation split, estimated without any box, the fixed default.

    Raises:
        UserError: see ``parse_threshold``.

    Example:
        >>> run_threshold({}, "minmax")
        Threshold(value=0.3, source='fixed')
        >>> run_threshold({"label_free": {"minmax": {"threshold": 0.26}}}, "minmax")
        Threshold(value=0.26, source='label-free')
    """
    given = parse_threshold(wanted)
    if given is not None:
        return Threshold(given, FIXED)
    chosen = val_thresholds(metrics, normalisation, maps)
    if chosen is not None:
        return Threshold(float(chosen["largest"]["0.5"]), VAL)
    estimated = label_free_estimate(metrics, normalisation, maps)
    if estimated is not None:
        return Threshold(estimated, LABEL_FREE)
    return Threshold(FIXED_THRESHOLDS[normalisation], FIXED)


def own_level(photographs: int) -> dict[str, Any]:
    """What a run keeps where a method's maps are shares of object: they are cut at a half."""
    return {
        "estimator": "own level",
        "threshold": FIXED_THRESHOLDS["none"],
        "photographs": photographs,
        "all": {},
    }


def threshold_sentence(threshold: Threshold, given: bool = False, normalisation: str = "minmax") -> str:
    """Where boxes are cut and why there, for whoever reads the output.

    Example:
        >>> threshold_sentence(Threshold(0.26, "label-free"))
        "boxes are cut at 0.26 of each map's maximum (label-free: estimated from photographs, without boxes)"
    """
    why = "given by --threshold" if given else _WHY[threshold.source]
    if normalisation == "none":
        own = "the maps' own level" if threshold.source == LABEL_FREE else why
        share = f"{threshold.value:.3g} of the greatest share of object in the photograph"
        return f"boxes hold what has more than {share} ({threshold.source}: {own})"
    return f"boxes are cut at {threshold.value:.3g} of each map's maximum ({threshold.source}: {why})"


_WHY = {
    VAL: "the best for the boxes of the validation split",
    LABEL_FREE: "estimated from photographs, without boxes",
    FIXED: "the default, since the run knows no other and these photographs are too few to estimate one",
}


def val_thresholds(
    metrics: Mapping[str, Any], normalisation: str, maps: str = OWN_MAPS
) -> Mapping[str, Any] | None:
    """The best threshold for each contour rule and IoU on the validation split, if it was measured."""
    chosen: Mapping[str, Any] | None = measured_of(metrics, maps).get("thresholds", {}).get(normalisation)
    return chosen


def label_free_estimate(metrics: Mapping[str, Any], normalisation: str, maps: str = OWN_MAPS) -> float | None:
    """What was estimated without boxes, if it was."""
    held = measured_of(metrics, maps).get(LABEL_FREE_KEY, {}).get(normalisation)
    if held is None and normalisation == "none" and maps in SHARES_OF_OBJECT:
        return FIXED_THRESHOLDS["none"]  # their own level
    return None if held is None else float(held["threshold"])


def measured_of(metrics: Mapping[str, Any], maps: str) -> Mapping[str, Any]:
    """Evaluations and thresholds of one kind of maps: those of the method's own stand at the top.

    Example:
        >>> measured_of({"evaluations": {"val": {}}, "posthoc": {"gradcam": {"evaluations": {}}}}, "gradcam")
        {'evaluations': {}}
    """
    found: Mapping[str, Any] = metrics if maps == OWN_MAPS else metrics.get(POSTHOC_KEY, {}).get(maps, {})
    return found


def parse_threshold(text: float | str) -> float | None:
    """``auto`` (None), or a number in [0, 1).

    Raises:
        UserError: anything else.

    Example:
        >>> parse_threshold("0.2"), parse_threshold("auto")
        (0.2, None)
    """
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise UserError(f"expected --threshold auto or a number from 0 to below 1, found {text}: correct it")
    return value


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
