"""Layers attached to a hand-made network: where they act, in which order, and that no name changes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone, Taps
from rfga.backbones.timm_network import timm_backbone


class Network(nn.Module):
    """Three convolutions whose values a reader can follow: each doubles and adds one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (self.doubling() for _ in range(3))

    @staticmethod
    def doubling() -> nn.Sequential:
        conv = nn.Conv2d(1, 1, 1)
        nn.init.constant_(conv.weight, 2)
        nn.init.constant_(conv.bias if conv.bias is not None else conv.weight, 1)
        return nn.Sequential(conv)

    def forward(self, x: Tensor) -> Tensor:
        x = self.third(self.second(self.first(x)))
        return -x


class Times(nn.Module):
    """Multiplies by a learned number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


STAGES = {"first": ("first", 1), "second.0": ("second.0", 1), "third": ("third", 1), "features": ("", 1)}
ONES = torch.ones(1, 1, 2, 3)


def made() -> Backbone:
    network = Network()
    return Backbone(network, network.forward, STAGES)


def value(maps: Tensor) -> float:
    assert maps.shape == ONES.shape
    assert (maps == maps[0, 0, 0, 0]).all()
    return float(maps[0, 0, 0, 0].detach())


def test_without_layers_the_network_is_unchanged() -> None:
    assert value(made()(ONES)) == -15  # 1 -> 3 -> 7 -> 15 -> -15


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("first", -3),  # 0 -> 1 -> 3 -> -3
        ("second.0", -1),  # 0 -> 1 -> -1
        ("third", 0),
        ("features", 0),
    ],
)
def test_a_layer_that_gives_zero_acts_at_its_stage(stage: str, expected: float) -> None:
    names = list(STAGES)
    for given in (stage, names.index(stage), names.index(stage) - len(names)):
        backbone = made()
        backbone.attach(given, Times(0.0))
        assert value(backbone(ONES)) == expected
        seen = {name: value(maps) for name, maps in backbone.forward_stages(ONES).items()}
        untouched = {"first": 3.0, "second.0": 7.0, "third": 15.0, "features": -15.0}
        assert list(seen) == names
        assert seen[stage] == 0
        for name in names[: names.index(stage)]:
            assert seen[name] == untouched[name]


def test_several_layers_follow_each_other_in_the_order_given() -> None:
    backbone = made()
    backbone.attach(0, Times(10.0))
    backbone.attach("first", Network.doubling())
    assert value(backbone.forward_stages(ONES)["first"]) == 61  # 3 * 10 * 2 + 1, not (3 * 2 + 1) * 10
    backbone.attach("third", Times(0.5))
    assert value(backbone(ONES)) == -((61 * 2 + 1) * 2 + 1) / 2


def test_weights_keep_their_names_and_new_ones_stand_apart() -> None:
    backbone = made()
    before = list(backbone.network.state_dict())
    backbone.attach("second.0", Times(3.0))
    assert list(backbone.network.state_dict()) == before == list(Network().state_dict())
    assert [n for n, _ in backbone.named_parameters() if not n.startswith("network.")] == [
        "attached.second_0.0.factor"
    ]


def test_attached_layers_learn() -> None:
    backbone = made()
    layer = Times(3.0)
    backbone.attach("second.0", layer)
    torch.autograd.backward(backbone(ONES).sum())
    assert layer.factor.grad is not None
    assert layer.factor.grad == -7 * 2 * 6  # -(7 * factor * 2 + 1) over six positions


def test_stages_are_seen_once_only() -> None:
    backbone = made()
    first = backbone.forward_stages(ONES)
    backbone(ONES * 2)
    assert value(first["first"]) == 3
    with pytest.raises(RuntimeError):
        backbone.forward_stages(torch.zeros(1, 5, 2, 3))
    assert value(backbone(ONES)) == -15


@pytest.mark.parametrize("stage", ["fourth", 4, -5, ""])
def test_an_unknown_stage_is_refused_with_the_names_there_are(stage: str | int) -> None:
    with pytest.raises(ValueError, match=r"expected a stage out of first, second\.0, third, features, found"):
        made().attach(stage, nn.Identity())


def test_a_copy_does_not_share_hooks_or_layers() -> None:
    backbone = made()
    backbone.attach("first", Times(1.0))
    twin = copy.deepcopy(backbone)
    twin.attach("first", Times(0.0))
    assert value(twin(ONES)) == -3
    assert value(backbone(ONES)) == -15
    assert value(twin.forward_stages(ONES)["first"]) == 0


@pytest.mark.parametrize(("place", "expected"), [("first.0", -3), ("second", -1), ("third.0", 0)])
def test_a_layer_can_follow_any_part_of_the_network(place: str, expected: float) -> None:
    backbone = made()
    before = list(backbone.network.state_dict())
    backbone.attach(place, Times(0.0))
    backbone.attach(place, Times(5.0))
    assert value(backbone(ONES)) == expected
    assert list(backbone.network.state_dict()) == before
    assert tuple(backbone.forward_stages(ONES)) == tuple(STAGES)
    twin = copy.deepcopy(backbone)
    assert value(twin(ONES)) == expected
    with pytest.raises(ValueError, match="expected a stage out of"):
        backbone.attach(f"{place}.more", Times(0.0))


def test_a_part_and_the_stage_that_ends_with_it_act_once_each() -> None:
    backbone = made()
    backbone.attach("third.0", Times(2.0))
    backbone.attach("third", Times(3.0))
    assert value(backbone(ONES)) == -15 * 6
    last, seen = backbone.forward_places(ONES, ["third.0", "third", "features", "first.0"])
    assert value(last) == -90
    assert [value(maps) for maps in seen] == [30, 90, -90, 3]


def test_places_are_seen_with_what_is_attached_there() -> None:
    backbone = made()
    backbone.attach("second.0", Times(10.0))
    last, (second, first) = backbone.forward_places(ONES, ["second.0", "first"])
    assert (value(first), value(second), value(last)) == (3, 70, -141)
    with pytest.raises(ValueError, match=r"expected a stage out of .*, found 'fourth'"):
        backbone.forward_places(ONES, ["fourth"])


def test_the_structure_of_any_network() -> None:
    backbone = timm_backbone("test_resnet")
    assert backbone.stages == ("act1", "layer1", "layer2", "layer3", "layer4")
    assert backbone.erasing_places == ("layer2", "layer3", "layer4")
    assert backbone.open_taps() == Taps(("layer2", 48), ("layer3", 192), 192)
    images = torch.randn(2, 3, 64, 96)
    before = backbone.eval()(images)
    backbone.leave_out_neck()
    backbone.leave_out_dropout()
    assert torch.equal(backbone(images), before)
    wide = Backbone(Network(), nn.Identity(), dict.fromkeys("abc", ("", 2048)))
    assert wide.open_taps() == Taps(("a", 2048), ("b", 2048), 512)


def test_a_network_of_two_stages_has_no_place_for_branches() -> None:
    backbone = Backbone(Network(), nn.Identity(), {"a": ("first", 1), "b": ("third", 1)})
    with pytest.raises(
        ValueError, match=r"at least three stages for side branches, found 2 \(a, b\): choose"
    ):
        backbone.open_taps()
    assert backbone.erasing_places == ("a", "b")
