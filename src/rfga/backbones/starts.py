"""First values of new convolutions, as the benchmark's networks start theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

Layers = TypeVar("Layers", bound=nn.Module)


def start_xavier(layers: Layers) -> Layers:
    """Xavier uniform weights (Glorot and Bengio, AISTATS 2010, equation 16) and zero biases.

    Example:
        >>> float(start_xavier(nn.Conv2d(6, 6, 1)).weight.detach().abs().max()) <= (6 / 12) ** 0.5
        True
    """
    return _start(layers, nn.init.xavier_uniform_)


def start_he(layers: Layers) -> Layers:
    """Normal weights of variance 2 / fan-out (He et al., ICCV 2015, equation 14) and zero biases.

    Example:
        >>> start_he(nn.Sequential(nn.Conv2d(6, 6, 1)))[0].bias.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    return _start(layers, _he)


def _he(weight: Tensor) -> Tensor:
    return nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def _start(layers: Layers, rule: Callable[[Tensor], Tensor]) -> Layers:
    for module in layers.modules():
        if isinstance(module, nn.Conv2d):
            rule(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return layers
