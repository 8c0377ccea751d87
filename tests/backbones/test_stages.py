"""Stages found by a trial image through hand-made networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rfga.backbones.stages import drop_unused, named_stages, watch_trial


class Network(nn.Module):
    """Two stages, then ``last``; a classifier that the features never pass."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1), last
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
        self.feature_info = [{"module": "one", "num_chs": 99}, {"module": "two", "num_chs": 99}]

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.last(self.two(self.norm(self.one(x)))))


@pytest.mark.parametrize(
    ("last", "stages"),
    [
        (nn.Identity(), {"one": ("one", 4), "two": ("two", 6)}),
        (nn.ReLU(), {"one": ("one", 4), "two": ("two", 6), "features": ("", 6)}),
        (nn.ReLU(inplace=True), {"one": ("one", 4), "two": ("two", 6), "features": ("", 6)}),
        (nn.Conv2d(6, 9, 1), {"one": ("one", 4), "two": ("two", 6), "features": ("", 9)}),
        (nn.BatchNorm2d(6), {"one": ("one", 4), "two": ("two", 6), "features": ("", 6)}),
    ],
)
def test_channels_are_measured_and_what_follows_is_a_stage_of_its_own(
    last: nn.Module, stages: dict[str, tuple[str, int]]
) -> None:
    network = Network(last)
    found = named_stages(watch_trial(network, network.forward))
    assert found == stages
    assert list(found) == list(stages)


def test_what_runs_twice_or_not_at_all_ends_no_stage() -> None:
    network = Network(nn.Identity())
    network.feature_info += [{"module": "last"}, {"module": "head"}]
    features = nn.Sequential(network, network.last)  # ``last`` runs a second time
    assert list(named_stages(watch_trial(network, features.forward))) == ["one", "two", "features"]


def test_unused_parts_go_and_the_trial_leaves_no_trace() -> None:
    network = Network(nn.Identity()).train()
    trace = watch_trial(network, network.forward)
    drop_unused(network, trace)
    assert isinstance(network.head, nn.Identity)
    assert set(network.state_dict()) == {
        *(f"{name}.{kind}" for name in ("one", "two") for kind in ("weight", "bias")),
        *(
            f"norm.{kind}"
            for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        ),
    }
    assert network.norm.num_batches_tracked == 0
    assert all(module.training for module in network.modules())
    assert torch.equal(network(torch.ones(1, 3, 8, 12)), network(torch.ones(1, 3, 8, 12)))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
