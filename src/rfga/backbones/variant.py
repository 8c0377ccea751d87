"""What the benchmark's variants have in common: timm's network as the source, two output strides.

The variants are those of Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right"
(CVPR 2020, arXiv:2001.07437), with the weights that the papers of the field started from.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import timm
import torch
from torch import nn

from rfga.backbones.narrow import narrow
from rfga.backbones.timm_network import TimmNetwork

STRIDES = (16, 8)


def source_network(
    name: str, unused: tuple[str, ...], *, pretrained: bool, output_stride: int, width: float, **options: Any
) -> TimmNetwork:
    """A network of timm without the parts that a variant does not use.

    Args:
        name: timm's name with the tag of the weights.
        unused: parts that are taken out, so that files of weights may hold them and need not.
        pretrained: load these weights, downloading them where they are not cached.
        output_stride: of the variant, checked here.
        width: fraction of the channels; only the whole network can be pretrained.
        **options: for timm.

    Raises:
        ValueError: another output stride than 16 or 8, or weights for a network of another width.
    """
    if output_stride not in STRIDES:
        raise ValueError(
            "expected output stride 16 (14 x 14 maps of 224 x 224 pixels) or 8 (28 x 28) of a variant of the "
            f"benchmark, found {output_stride}: give one of these, or take timm's {name.partition('.')[0]}"
        )
    if pretrained and width != 1:
        raise ValueError(f"expected width 1 with pretrained weights, found {width:g}: leave one of them out")
    with nullcontext() if width == 1 else torch.device("meta"):
        network: TimmNetwork = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    for part in unused:
        setattr(network, part, nn.Identity())
    if width != 1:
        narrow(network, width)
    return network


def convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the maps' size."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)
