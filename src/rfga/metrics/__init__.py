"""The metrics of localization and classification, streamed over images in one pass.

Each is a ``torchmetrics.Metric`` and works alone, in any training loop: ``update``, ``compute``, ``reset``.
Importing this package does not import torch; asking for one of its classes does.

Example:
    >>> import numpy as np
    >>> from rfga import Truth, metrics
    >>> accuracy = metrics.BoxAccuracy(step=0.1)
    >>> score_map = np.zeros((1, 224, 224)); score_map[0, 56:112, 112:168] = 1.0
    >>> accuracy.update(["a.jpg"], score_map, [Truth((80, 60), boxes=np.array([[30.0, 20.0, 45.0, 40.0]]))])
    >>> accuracy.compute()["metrics"]["MaxBoxAcc"][0]["value"]
    1.0
"""

from importlib import import_module
from typing import Any

METRICS = {
    "box_accuracy": "rfga.metrics.box_accuracy:BoxAccuracy",
    "pixel_ap": "rfga.metrics.pixel_ap:PixelAP",
    "top_k": "rfga.metrics.top_k:TopK",
}
"""Name -> "module:Class" of a ``rfga.metrics.streaming.StreamedMetric``; all of them are reported."""

_HOMES = {
    "LocalizationMetrics": "rfga.metrics.localization:LocalizationMetrics",
    **{address.partition(":")[2]: address for address in METRICS.values()},
}


def __getattr__(name: str) -> Any:
    """Load a class from its home when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """The public names, those not loaded yet among them."""
    return sorted(["METRICS", *_HOMES])
