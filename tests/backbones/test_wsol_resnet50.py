"""ResNet50 with finer maps: the same values as timm's network where both have them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from rfga.backbones.base import Taps
from rfga.backbones.narrow import narrow
from rfga.backbones.wsol_resnet50 import WsolResnet50
from tests.contract_cases import made_images


def made(stride: int = 16) -> WsolResnet50:
    torch.manual_seed(0)
    return WsolResnet50(output_stride=stride, width=1 / 16).eval()


def at(net: WsolResnet50, place: str, images: Tensor) -> Tensor:
    return net.forward_places(images, [place])[1][0]


@torch.no_grad()
@pytest.mark.parametrize(("stride", "stage"), [(16, "layer4"), (8, "layer3")])
def test_every_second_value_of_the_finer_stage_is_timms(stride: int, stage: str) -> None:
    """A convolution that skips pixels gives a part of what it gives without skipping."""
    torch.manual_seed(1)
    plain: Any = timm.create_model("resnet50", num_classes=0)
    narrow(plain, 1 / 16)
    net, (images, _) = made(stride), made_images()
    net.network.load_state_dict(plain.state_dict())
    seen: list[Tensor] = []
    plain.get_submodule(f"{stage}.0").register_forward_hook(lambda module, args, out: seen.append(out))
    plain.eval().forward_features(images)
    finer = at(net, f"{stage}.0", images)
    assert finer.shape[2:] == (64 // stride, 96 // stride)
    torch.testing.assert_close(finer[:, :, ::2, ::2], seen[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_stages_before_are_timms_own() -> None:
    torch.manual_seed(1)
    plain: Any = timm.create_model("resnet50", num_classes=0)
    narrow(plain, 1 / 16)
    images, _ = made_images()
    expected = plain.eval().forward_intermediates(images, intermediates_only=True)
    net = made(8)
    net.network.load_state_dict(plain.state_dict())
    found = net.forward_stages(images)
    for stage, maps in zip(("act1", "layer1", "layer2"), expected, strict=False):
        torch.testing.assert_close(found[stage], maps)


@pytest.mark.parametrize(("stride", "strides"), [(16, (1, 2, 2, 1)), (8, (1, 2, 1, 1))])
def test_strides_of_the_stages(stride: int, strides: tuple[int, ...]) -> None:
    network = made(stride).network
    for number, expected in enumerate(strides, start=1):
        block = network.get_submodule(f"layer{number}.0")
        found = {m.stride for m in block.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)}
        assert found == ({(2, 2)} if expected == 2 else set())


@torch.no_grad()
def test_taps_and_erasing_places() -> None:
    net, (images, _) = made(), made_images()
    assert net.open_taps() == Taps(("layer3.0", 64), ("layer3", 64), 64)
    assert net.stages == ("act1", "layer1", "layer2", "layer3", "layer4")
    assert net.erasing_places == ("layer3.0", "layer4.0", "layer4.2")
    torch.testing.assert_close(at(net, "layer4.2", images), net(images))  # the last block
    assert not torch.equal(at(net, "layer3.0", images), at(net, "layer3", images))
    net.attach("layer3.0", nn.Threshold(1e9, 0.0))
    assert not at(net, "layer3.0", images).any()
    assert at(net, "layer2", images).any()


def test_heads_start_by_he() -> None:
    head = made().start_heads(nn.Conv2d(64, 64, 3))
    assert head.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
    assert head.weight.abs().max() > math.sqrt(6 / (128 * 9))


def test_it_has_no_neck() -> None:
    net, (images, _) = made(), made_images()
    before = net(images)
    net.leave_out_neck()
    net.leave_out_dropout()
    assert torch.equal(net(images), before)
    assert not [name for name in net.state_dict() if not name.startswith("network.")]
