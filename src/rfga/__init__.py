"""rfga: from class labels to boxes. Importing it is cheap; torch is loaded when a name needs it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rfga.version import __version__

if TYPE_CHECKING:
    from rfga.engine.localizing.load import load
    from rfga.engine.localizing.localizer import Localizer
    from rfga.engine.localizing.photographs import Found
    from rfga.metrics.localization import LocalizationMetrics
    from rfga.nn.rfga import RFGA
    from rfga.types import Prediction, Sample, Truth, UserError

_HOMES = {
    "Found": "rfga.engine.localizing.photographs",
    "RFGA": "rfga.nn.rfga",
    "Localizer": "rfga.engine.localizing.localizer",
    "LocalizationMetrics": "rfga.metrics.localization",
    "Prediction": "rfga.types",
    "Sample": "rfga.types",
    "Truth": "rfga.types",
    "UserError": "rfga.types",
    "load": "rfga.engine.localizing.load",
}

__all__ = [
    "RFGA",
    "Found",
    "LocalizationMetrics",
    "Localizer",
    "Prediction",
    "Sample",
    "Truth",
    "UserError",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home when it is first asked for."""
    if name == "metrics":
        return import_module("rfga.metrics")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, those not loaded yet among them."""
    return sorted([*__all__, "metrics"])
