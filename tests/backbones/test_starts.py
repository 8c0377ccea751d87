"""First values: their spread is that of the formula, biases are zero, other layers stay."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rfga.backbones.starts import start_he, start_xavier


def layers() -> nn.Sequential:
    """Two convolutions of different shapes; fan-in 9*20 and 60, fan-out 9*60 and 40."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(20, 60, 3),
        nn.BatchNorm2d(60),
        nn.Sequential(nn.Conv2d(60, 40, 1)),
        nn.Conv2d(40, 8, 1, bias=False),
    )


def weights(network: nn.Sequential) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_xavier() -> None:
    network = layers()
    assert start_xavier(network) is network
    for conv, fans in zip(weights(network), (180 + 540, 60 + 40, 40 + 8), strict=True):
        bound = math.sqrt(6 / fans)
        assert 0.95 * bound < conv.weight.abs().max() <= bound
        assert conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert conv.bias is None or not conv.bias.any()


def test_he() -> None:
    network = layers()
    assert start_he(network) is network
    for conv, fan_out in zip(weights(network), (540, 40, 8), strict=True):
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.1)
        assert conv.weight.abs().max() > 2.5 * math.sqrt(2 / fan_out)  # normal, not uniform
        assert conv.bias is None or not conv.bias.any()


def test_other_layers_stay() -> None:
    network = layers()
    nn.init.constant_(network.get_parameter("1.weight"), 3)
    start_he(start_xavier(network))
    assert (network.get_parameter("1.weight") == 3).all()
