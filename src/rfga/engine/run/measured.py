"""The form of metrics.json: whoever made a run folder may have written anything into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def wrong_part(held: Mapping[str, Any]) -> str | None:
    """The first entry of metrics.json that is not of its form; None where all are. Unknown ones may be there.

    Example:
        >>> wrong_part({"history": [{"epoch": 1, "train_loss": 0.5}]}) is None
        True
        >>> wrong_part({"thresholds": {"minmax": {"largest": {"0.5": "high"}}}})
        'thresholds'
    """
    return next((name for name, check in _ENTRIES.items() if name in held and not check(held[name])), None)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _number(value) and math.isfinite(value)


def _fraction(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _each(check: Check, **needed: Check) -> Check:
    """A mapping whose values all pass ``check``, and that holds what is needed."""
    return lambda value: (
        isinstance(value, dict)
        and all(map(check, value.values()))
        and all(name in value and wanted(value[name]) for name, wanted in needed.items())
    )


def _anything(value: Any) -> bool:
    return True


def _model(value: Any) -> bool:
    """A regression with as many means, deviations and weights as names."""
    numbers = _list_of(_finite)
    columns = {"means": numbers, "deviations": numbers, "weights": numbers}
    fields = _each(_anything, names=_list_of(_text), intercept=_finite, of_class=numbers, **columns)
    return (
        fields(value)
        and value.keys() == {"names", "intercept", "of_class", *columns}
        and {len(value[name]) for name in columns} == {len(value["names"])}
        and 0 not in value["deviations"]
    )


_entry = _each(_anything, value=_number)
_evaluation = _each(_anything, dataset=_text, split=_text, images=_number, metrics=_each(_list_of(_entry)))
_ENTRIES: dict[str, Check] = {
    "evaluations": _each(_evaluation),
    "thresholds": _each(
        lambda chosen: _each(_each(_fraction))(chosen) and "0.5" in chosen.get("largest", ())
    ),
    "label_free": _each(_each(_anything, threshold=_fraction)),
    "history": _list_of(_each(_number, epoch=_number)),
    "confidence": _each(_each(_anything, source=_text, plain=_model, looked=_model)),
    "posthoc": _each(lambda kind: isinstance(kind, dict) and wrong_part(kind) is None),
}
