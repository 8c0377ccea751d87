"""A small network that comes with the package, for a demo without a download: it knows drawn birds alone.

Its weights were learned by ``benchmarks/drawn_weights.py`` from drawings of other seeds than the demo's, and
from one label a picture: bird or no bird. Each scene was drawn with its bird and without. No box, mask,
position, size or species was used. Its batch normalisation has the statistics of scenes without a bird, so
that its features are large where something is not scene. It has seen no photograph: for photographs take
weights from ImageNet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm

from rfga.backbones.base import Backbone
from rfga.backbones.stages import drop_unused, named_stages, watch_trial
from rfga.backbones.stride import limit_stride
from rfga.backbones.weights import load_weights, read_weights

DRAWN_WEIGHTS = Path(__file__).with_name("drawn.safetensors")
"""Of the network, without a classifier, in half precision."""


class DrawnBirds(Backbone):
    """A network of 0.2 million weights (timm's ``test_byobnet``), for colours from -1 to 1.

    How its input is scaled cannot be found by trial, since the statistics that it holds are of other pictures
    than those with birds; so it has a name of its own.

    Args:
        pretrained: with the weights that come with the package, which know drawn birds and nothing else.
        output_stride: pixels of the image per pixel of the last map.

    Example:
        >>> import torch
        >>> DrawnBirds(pretrained=True).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 256, 4, 6])
    """

    def __init__(self, *, pretrained: bool = False, output_stride: int = 16) -> None:
        network: Any = timm.create_model("test_byobnet", num_classes=0)
        limit_stride(network, output_stride)
        trial = watch_trial(network, network.forward_features)
        drop_unused(network, trial)
        half = (0.5, 0.5, 0.5)
        super().__init__(network, network.forward_features, named_stages(trial), mean=half, std=half)
        if pretrained:
            load_weights(network, read_weights(DRAWN_WEIGHTS), str(DRAWN_WEIGHTS))
