"""The convolution along profiles against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rfga.nn.profile_conv import ProfileConv


@pytest.mark.parametrize("shape", [(3, 4, 7), (2, 5, 1), (1, 1, 9), (5, 1, 40), (0, 4, 5)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_values_and_gradients_are_those_of_conv1d(shape: tuple[int, int, int], kernel_size: int) -> None:
    torch.manual_seed(0)
    conv = ProfileConv(shape[1], kernel_size).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    g = torch.randn(shape, dtype=torch.float64)
    leaves = [x, conv.weight]
    found, expected = conv(x), F.conv1d(x, conv.weight, padding=kernel_size // 2)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    for one, other in zip(
        torch.autograd.grad(found, leaves, g), torch.autograd.grad(expected, leaves, g), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_single_precision_agrees_to_five_digits() -> None:
    torch.manual_seed(0)
    conv, x = ProfileConv(96, 3), torch.randn(4, 96, 14, requires_grad=True)
    found = torch.autograd.grad(conv(x).square().sum(), [x, conv.weight])
    double = conv.double()
    expected = torch.autograd.grad(double(x.double()).square().sum(), [x, double.weight])
    for one, other in zip(found, expected, strict=True):
        assert (one.double() - other).abs().max() <= 1e-5 * other.abs().max()


def test_it_is_a_conv1d_with_its_weights() -> None:
    conv = ProfileConv(6, 3, groups=3)
    assert isinstance(conv, nn.Conv1d)
    assert {name: value.shape for name, value in conv.state_dict().items()} == {"weight": (6, 2, 3)}


@pytest.mark.parametrize("groups", [1, 2])
def test_under_autocast_and_in_groups(groups: int) -> None:
    conv, x = ProfileConv(4, 3, groups), torch.randn(2, 4, 7, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float32
