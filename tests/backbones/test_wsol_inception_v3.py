"""InceptionV3 cut and padded: sizes of every stage, timm's values where both have them, the added neck."""

from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Taps
from rfga.backbones.chance import Dropout
from rfga.backbones.narrow import narrow
from rfga.backbones.wsol_inception_v3 import WsolInceptionV3
from tests.contract_cases import made_images


def made(stride: int = 16) -> WsolInceptionV3:
    torch.manual_seed(0)
    return WsolInceptionV3(output_stride=stride, width=1 / 16).eval()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
@pytest.mark.parametrize(("stride", "last_hw"), [(16, (14, 20)), (8, (28, 40))])
def test_sizes_of_all_stages(stride: int, last_hw: tuple[int, int]) -> None:
    stages = made(stride).forward_stages(torch.randn(1, 3, 224, 320))
    sizes = {name: tuple(maps.shape[2:]) for name, maps in stages.items()}
    assert sizes == {
        "Conv2d_2b_3x3": (110, 158),  # its first convolution is padded, its second is not
        "Conv2d_4a_3x3": (54, 78),
        "Mixed_5d": (28, 40),
        "Mixed_6e": last_hw,
        "neck": last_hw,
    }


@torch.no_grad()
@pytest.mark.parametrize("stride", [16, pytest.param(8, marks=pytest.mark.slow)])
def test_every_second_value_of_the_finer_block_is_timms(stride: int) -> None:
    """timm's Mixed_6a skips pixels and has no padding: its first value lies at our second row and column."""
    torch.manual_seed(1)
    plain = timm.create_model("inception_v3", num_classes=0)
    narrow(plain, 1 / 16)
    net = made(stride)
    names = net.network.state_dict()
    net.network.load_state_dict({name: value for name, value in plain.state_dict().items() if name in names})
    before = torch.rand(2, 18, 18, 26)
    ours = net.network.get_submodule("Mixed_6a")(before)
    given = F.max_pool2d(before, 3, 2, ceil_mode=True) if stride == 16 else before
    timms = plain.eval().get_submodule("Mixed_6a")(given)
    assert ours.shape == (2, 48, *given.shape[2:])
    found = ours[:, :, 1:-1:2, 1:-1:2]
    assert found.shape == timms.shape
    torch.testing.assert_close(found, timms, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_neck_is_two_convolutions_started_by_xavier() -> None:
    net, (images, _) = made(), made_images()
    expected = net.forward_stages(images)["Mixed_6e"]
    convolutions = [module for module in net.neck.modules() if isinstance(module, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convolutions] == [(48, 64), (64, 64)]
    for conv in convolutions:
        assert conv.weight.abs().max() <= math.sqrt(6 / (9 * (conv.in_channels + conv.out_channels)))
        expected = F.conv2d(expected, conv.weight, conv.bias, padding=1).relu()
    torch.testing.assert_close(net(images), expected)
    assert net.out_channels == 64


@torch.no_grad()
def test_the_neck_drops_half_of_the_elements_before_each_layer_and_at_the_end() -> None:
    net, (images, _) = made(), made_images()
    rates = [module.rate for module in net.neck.modules() if isinstance(module, Dropout)]
    assert rates == [0.5, 0.5, 0.5]
    kinds = [type(module).__name__ for module in net.neck.children()]
    assert kinds == ["Dropout", "Conv2d", "ReLU", "Dropout", "Conv2d", "ReLU", "Dropout"]
    net.neck.train()
    first, again, other = (net(images, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    plain = made()
    plain.leave_out_dropout()
    plain.neck.train()
    assert torch.equal(plain(images, seeded(1)), plain(images, seeded(2)))
    torch.testing.assert_close(plain(images), made()(images))


@torch.no_grad()
def test_what_is_attached_to_the_neck_comes_before_the_last_dropout() -> None:
    net, (images, _) = made(), made_images()
    net.attach(-1, nn.Threshold(1e9, 3.0))
    net.neck.train()
    assert net.stages[-1] == "neck"
    assert set(net(images, seeded(0)).unique().tolist()) == {0.0, 6.0}


@torch.no_grad()
def test_without_the_neck_its_last_stage_is_mixed_6e() -> None:
    net, (images, _) = made(), made_images()
    stages = net.forward_stages(images)
    net.leave_out_neck()
    assert (net.stages[-1], net.out_channels) == ("Mixed_6e", 48)
    assert torch.equal(net(images), stages["Mixed_6e"])


@torch.no_grad()
@pytest.mark.parametrize(("stride", "early_hw"), [(16, (4, 6)), (8, (8, 12))])
def test_taps_follow_the_pool_and_mixed_6e(stride: int, early_hw: tuple[int, int]) -> None:
    net, (images, _) = made(stride), made_images()
    taps = net.open_taps()
    assert taps == Taps(("Mixed_6a.pool", 18), ("Mixed_6e", 48), 32)
    last, (early, middle) = net.forward_places(images, [taps.early[0], taps.middle[0]])
    assert early.shape == (2, 18, *early_hw)
    assert middle.shape[1:] == (48, *early_hw)
    assert last.shape[1:] == (64, *early_hw)
    stages: dict[str, Tensor] = net.forward_stages(images)
    assert torch.equal(middle, stages["Mixed_6e"])
    expected = F.max_pool2d(stages["Mixed_5d"], 3, 2, ceil_mode=True) if stride == 16 else stages["Mixed_5d"]
    assert torch.equal(early, expected)


def test_layers_erase_after_both_blocks_and_the_neck() -> None:
    net, (images, _) = made(), made_images()
    assert net.erasing_places == ("Mixed_5d", "Mixed_6e", "neck")
    for place in net.erasing_places:
        net.attach(place, nn.Threshold(1e9, 0.0))
        assert not net.forward_places(images, [place])[1][0].any()
