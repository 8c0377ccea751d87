"""Layers that draw: from the caller's generator alone, and in training alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone
from rfga.backbones.chance import Dropout, RandomLayer, drawing_from

ONES = torch.ones(2, 5, 30, 40)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dropped(layer: Dropout, seed: int, x: Tensor = ONES) -> Tensor:
    with drawing_from(layer, seeded(seed)):
        out: Tensor = layer(x)
    return out


def test_dropout_zeroes_a_share_and_keeps_the_mean() -> None:
    out = dropped(Dropout(0.25), 0)
    assert sorted(set(out.flatten().tolist())) == [0.0, pytest.approx(1 / 0.75)]
    assert float((out == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(out.mean()) == pytest.approx(1, abs=0.02)
    assert (ONES == 1).all()


def test_each_element_is_drawn_for_itself() -> None:
    gone = dropped(Dropout(0.5), 0) == 0
    assert not torch.equal(gone[0], gone[1])
    assert not torch.equal(gone[0, 0], gone[0, 1])
    assert gone.float().mean((0, 1)).std() > 0.1


def test_the_generator_decides_and_moves_on() -> None:
    layer = Dropout(0.5)
    torch.manual_seed(1)
    first = dropped(layer, 7)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(dropped(layer, 7), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(dropped(layer, 8), first)
    generator = seeded(7)
    with drawing_from(layer, generator):
        assert torch.equal(layer(ONES), first)
        assert not torch.equal(layer(ONES), first)


def test_without_a_generator_torchs_own_decides() -> None:
    outs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outs.append(Dropout(0.5)(ONES))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero() -> None:
    assert torch.equal(dropped(Dropout(0.5).eval(), 0), ONES)
    assert torch.equal(dropped(Dropout(0.0), 0), ONES)


def test_the_generator_is_given_back_also_after_an_error() -> None:
    network = nn.Sequential(Dropout(0.5), nn.Sequential(Dropout(0.5)))
    layers = [module for module in network.modules() if isinstance(module, RandomLayer)]
    lent: list[bool] = []

    def break_off() -> None:
        with drawing_from(network, seeded(0)):
            lent.extend(layer.generator is not None for layer in layers)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        break_off()
    assert lent == [True, True]
    assert [layer.generator for layer in layers] == [None, None]


def test_a_backbone_lends_the_generator_to_all_its_layers() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 1))
    backbone = Backbone(network, network.forward, {"0": ("0", 5)})
    backbone.attach("0", Dropout(0.5))
    images = torch.randn(2, 3, 6, 9)
    first, again, other = (backbone(images, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    last, (at_place,) = backbone.forward_places(images, ["0"], seeded(1))
    assert torch.equal(last, first)
    assert torch.equal(at_place, first)
