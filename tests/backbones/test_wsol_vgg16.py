"""VGG16's three forms against the layers written out one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Taps
from rfga.backbones.wsol_vgg16 import WsolVgg16
from tests.contract_cases import made_images

Pool = tuple[int, int, int]  # side, stride, padding
BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # timm's numbers of the convolutions


def made(stride: int = 16) -> WsolVgg16:
    torch.manual_seed(0)
    return WsolVgg16(output_stride=stride, width=1 / 16).eval()


def blocks(net: WsolVgg16, x: Tensor, pools: Sequence[Pool | None]) -> Tensor:
    """The five blocks, each followed by a max pool or by nothing."""
    for numbers, pool in zip(BLOCKS, pools, strict=True):
        for number in numbers:
            conv = net.network.get_submodule(f"features.{number}")
            assert isinstance(conv, nn.Conv2d)
            x = F.conv2d(x, conv.weight, conv.bias, padding=1).relu()
        if pool is not None:
            x = F.max_pool2d(x, *pool)
    return x


@torch.no_grad()
@pytest.mark.parametrize(("stride", "pools"), [(16, 4), (8, 3)])
def test_the_last_pools_are_dropped_and_a_convolution_follows(stride: int, pools: int) -> None:
    net, (images, _) = made(stride), made_images()
    maps = blocks(net, images, [(2, 2, 0)] * pools + [None] * (5 - pools))
    conv6 = net.neck[0] if isinstance(net.neck, nn.Sequential) else None
    assert isinstance(conv6, nn.Conv2d)
    expected = F.conv2d(maps, conv6.weight, conv6.bias, padding=1).relu()
    assert expected.shape == (2, 64, 64 // stride, 96 // stride)
    torch.testing.assert_close(net(images), expected)


@torch.no_grad()
@pytest.mark.parametrize(("stride", "steps"), [(16, (2, 2, 2, 2, 1)), (8, (2, 2, 2, 1, 1))])
def test_without_the_neck_all_pools_overlap_and_an_average_follows(
    stride: int, steps: tuple[int, ...]
) -> None:
    net, (images, _) = made(stride), made_images()
    net.leave_out_neck()
    expected = F.avg_pool2d(blocks(net, images, [(3, step, 1) for step in steps]), 3, 1, 1)
    assert expected.shape == (2, 32, 64 // stride, 96 // stride)
    assert net.out_channels == 32
    torch.testing.assert_close(net(images), expected)
    assert not list(net.neck.parameters())


@torch.no_grad()
@pytest.mark.parametrize(("stride", "fourth"), [(16, (3, 2, 1)), (8, None)])
def test_with_taps_the_fourth_pool_is_wide_and_two_convolutions_follow(
    stride: int, fourth: Pool | None
) -> None:
    net, (images, _) = made(stride), made_images()
    taps = net.open_taps()
    assert taps == Taps(("features.23", 32), ("features.29", 32), 32)
    last, (early, middle) = net.forward_places(images, [taps.early[0], taps.middle[0]])
    pools: list[Pool | None] = [*[(2, 2, 0)] * 3, fourth, None]
    expected = blocks(net, images, pools)
    torch.testing.assert_close(middle, expected)
    assert early.shape == middle.shape == (2, 32, 64 // stride, 96 // stride)
    assert not torch.equal(early, middle)
    for module in net.neck.modules():
        if isinstance(module, nn.Conv2d):
            expected = F.conv2d(expected, module.weight, module.bias, padding=1).relu()
    torch.testing.assert_close(last, expected)
    assert sum(p.numel() for p in net.neck.parameters()) == 2 * (32 * 32 * 9 + 32)


def test_its_neck_starts_by_he_and_that_of_the_taps_by_xavier() -> None:
    net = made()
    weight = net.neck.get_parameter("0.weight")
    assert weight.shape == (64, 32, 3, 3)
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
    net.open_taps()
    weight = net.neck.get_parameter("2.weight")
    assert weight.abs().max() <= math.sqrt(6 / (32 * 9 * 2))
    heads = net.start_heads(nn.Conv2d(32, 64, 3))
    assert heads.weight.abs().max() <= math.sqrt(6 / (96 * 9))
    assert heads.bias is not None
    assert not heads.bias.any()


@torch.no_grad()
def test_layers_erase_after_the_third_pool_and_the_last_two_blocks() -> None:
    net, (images, _) = made(), made_images()
    sizes = [tuple(maps.shape[1:]) for maps in net.forward_places(images, net.erasing_places)[1]]
    assert sizes == [(16, 8, 12), (32, 8, 12), (32, 4, 6)]
    for place, untouched in (("features.16", "features.15"), ("features.22", "features.16")):
        twin = made()
        twin.attach(place, nn.Threshold(1e9, 0.0))
        gone, before = twin.forward_places(images, [place, untouched])[1]
        assert not gone.any()
        assert before.any()
