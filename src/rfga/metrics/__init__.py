"""The metrics of localization and classification, streamed over images in one pass.

Importing this package does not import torch; ``rfga.metrics.localization`` does.
"""

METRICS = {
    "box_accuracy": "rfga.metrics.box_accuracy:BoxAccuracy",
    "pixel_ap": "rfga.metrics.pixel_ap:PixelAP",
    "top_k": "rfga.metrics.top_k:TopK",
}
"""Name -> "module:Class" of a ``rfga.metrics.streaming.StreamedMetric``; all of them are reported."""
