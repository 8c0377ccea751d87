"""The same network with a fraction of its channels, for quick trials and tests."""

from __future__ import annotations

import torch
from torch import nn

COLOURS = 3


def narrow(network: nn.Module, width: float) -> None:
    """Leave ``width`` times the channels in every convolution and normalisation, in place, with new weights.

    The network may be on the "meta" device, so that the wide one never takes memory. Names stay the same.

    Args:
        network: of dense convolutions and batch normalisations alone.
        width: such that every number of channels stays whole.

    Raises:
        ValueError: ``width`` leaves a part of a channel.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 32, 1))
        >>> narrow(net, 1 / 8)
        >>> net(torch.zeros(2, 3, 6, 9)).shape
        torch.Size([2, 4, 4, 7])
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            _narrow_convolution(module, width)
        elif isinstance(module, nn.BatchNorm2d):
            _narrow_normalisation(module, width)


def scaled(channels: int, width: float) -> int:
    """``width`` times ``channels``.

    Raises:
        ValueError: that is not a whole number above zero.

    Example:
        >>> scaled(48, 1 / 16)
        3
    """
    left = channels * width
    if left < 1 or left != int(left):
        raise ValueError(
            f"expected a width that leaves whole channels, found {width:g} of {channels}: "
            "give 1, 1/2, 1/4, 1/8 or 1/16"
        )
    return int(left)


def _narrow_convolution(conv: nn.Conv2d, width: float) -> None:
    if conv.in_channels != COLOURS:
        conv.in_channels = scaled(conv.in_channels, width)
    conv.out_channels = scaled(conv.out_channels, width)
    conv.weight = nn.Parameter(torch.empty(conv.out_channels, conv.in_channels, *conv.kernel_size))
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        conv.bias = nn.Parameter(torch.zeros(conv.out_channels))


def _narrow_normalisation(norm: nn.BatchNorm2d, width: float) -> None:
    norm.num_features = scaled(norm.num_features, width)
    norm.weight, norm.bias = (nn.Parameter(torch.empty(norm.num_features)) for _ in range(2))
    norm.running_mean, norm.running_var = (torch.empty(norm.num_features) for _ in range(2))
    norm.num_batches_tracked = torch.tensor(0)
    norm.reset_parameters()
