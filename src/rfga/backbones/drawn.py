"""A small network that comes with the package, for a demo without a download: it knows drawn birds alone.

Its weights were learned by ``benchmarks/drawn_weights.py`` from drawings of other seeds than the demo's, and
from labels of whole pictures: whether there is a bird, its species, scene, colours and pose. No box, mask,
position or size was used. It has seen no photograph: for photographs take weights from ImageNet.
"""

from __future__ import annotations

from pathlib import Path

DRAWN_NETWORK = "test_byobnet"
"""timm's name of the network: 0.2 million weights."""

DRAWN_WEIGHTS = Path(__file__).with_name("drawn.safetensors")
