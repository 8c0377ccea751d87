"""Narrow networks: every width follows, names and the way stay, and the wide one takes no memory."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from rfga.backbones.narrow import narrow, scaled


def test_every_number_of_channels_shrinks_but_the_colours() -> None:
    network: Any = timm.create_model("resnet50", num_classes=0)
    before = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    narrow(network, 1 / 8)
    after = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert list(after) == list(before)
    for name, shape in before.items():
        channels, kernel = shape[:2], shape[2:]
        expected = tuple(c if c == 3 else c // 8 for c in channels)
        assert after[name] == expected + kernel, name
    maps = network.forward_features(torch.randn(1, 3, 64, 96))
    assert maps.shape == (1, 256, 2, 3)
    assert maps.isfinite().all()


def test_a_network_without_memory_becomes_one_with_weights() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 32, 1))
    narrow(network, 0.25)
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
    out = network(torch.randn(2, 3, 6, 9))
    assert out.shape == (2, 8, 4, 7)
    assert out.std() > 0.1
    assert network.state_dict()["1.num_batches_tracked"] == 1


def test_the_seed_decides_about_the_weights() -> None:
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        network = nn.Conv2d(8, 8, 3)
        narrow(network, 0.5)
        made.append(network.weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize(("channels", "width"), [(48, 1 / 32), (64, 0.3), (64, 0.0), (64, -1.0), (8, 1 / 16)])
def test_parts_of_channels_are_refused(channels: int, width: float) -> None:
    with pytest.raises(
        ValueError, match=rf"expected a width that leaves whole channels, found .* of {channels}"
    ):
        scaled(channels, width)
