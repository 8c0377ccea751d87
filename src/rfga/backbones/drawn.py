"""A small network that comes with the package, for a demo without a download: it knows drawn birds alone.

Its weights were learned by ``benchmarks/drawn_weights.py`` from drawings of other seeds than the demo's, and
from one label a picture: bird or no bird. Each scene was drawn with its bird and without. No box, mask,
position, size or species was used. Its batch normalisation has the statistics of scenes without a bird, so
that its features are large where something is not scene. It has seen no photograph: for photographs take
weights from ImageNet.
"""

from __future__ import annotations

from pathlib import Path

DRAWN_NETWORK = "test_byobnet"
"""timm's name of the network: 0.2 million weights."""

DRAWN_WEIGHTS = Path(__file__).with_name("drawn.safetensors")
"""Of that network, without a classifier, in half precision."""
