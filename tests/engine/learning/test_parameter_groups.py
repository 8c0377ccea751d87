from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rfga.engine.learning.parameter_groups import parameter_groups
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import build_method
from rfga.methods.base import Method
from rfga.types import UserError
from tests.engine import tiny

CONFIG: dict[str, Any] = {"method": "cam", "backbone": "resnet18", "weights": "none", "lr": 0.01}


@pytest.fixture(scope="module")
def method() -> Method:
    return build_method(TrainConfig(**CONFIG), num_classes=3)


def rates(method: Method, **settings: Any) -> dict[str, float]:
    """The learning rate of every weight that learns, by its name."""
    groups = parameter_groups(method, TrainConfig(**CONFIG, **settings))
    by_weight = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(by_weight), "a weight stands twice"
    return {name: by_weight[id(p)] for name, p in method.named_parameters() if id(p) in by_weight}


def test_new_layers_learn_faster_by_default(method: Method) -> None:
    found = rates(method)
    assert found.keys() == dict(method.named_parameters()).keys()
    assert {name for name, rate in found.items() if rate == pytest.approx(0.1)} == {
        "head.weight",
        "head.bias",
    }
    assert sorted(set(found.values())) == pytest.approx([0.01, 0.1])


def test_the_layers_that_are_named_learn_faster_and_no_others(method: Method) -> None:
    found = rates(method, fast_layers=("backbone.network.layer4", "head.b"), new_lr_factor=2.0)
    for name, rate in found.items():
        fast = name.startswith("backbone.network.layer4.") or name == "head.bias"
        assert rate == pytest.approx(0.02 if fast else 0.01), name
    assert set(rates(method, fast_layers=()).values()) == {0.01}


def test_frozen_weights_do_not_learn_whatever_is_named(method: Method) -> None:
    assert rates(method, freeze_backbone=True) == {"head.weight": 0.1, "head.bias": 0.1}
    found = rates(method, freeze_backbone=True, fast_layers=("backbone.network.layer4",))
    assert found == {"head.weight": 0.01, "head.bias": 0.01}


def test_a_layer_that_is_not_there_is_told_before_an_earlier_run_goes(
    tiny_run: Path, birds: Path, tmp_path: Path, method: Method
) -> None:
    with pytest.raises(UserError, match=r"begin with 'layer4', found none: correct --fast-layers") as caught:
        rates(method, fast_layers=("head", "layer4"))
    assert "backbone.network.layer4, head.weight" in str(caught.value)
    run = tiny.copied(tiny_run, tmp_path / "run")
    before = tiny.snapshot(run)
    with pytest.raises(UserError, match="found none: correct --fast-layers"):
        tiny.train(birds, run, policy=tiny.OVERWRITE, fast_layers=("heads",))
    assert tiny.snapshot(run) == before


@pytest.mark.slow
def test_training_follows_them_and_going_on_keeps_them(birds: Path, tmp_path: Path) -> None:
    run = tiny.train(birds, tmp_path / "run", fast_layers=("head",), epochs=1)
    same = tiny.train(birds, tmp_path / "same", epochs=1)  # the head is all that is new in CAM
    assert not tiny.differing(tiny.weights(run), tiny.weights(same))
    other = tiny.train(birds, tmp_path / "other", fast_layers=(), epochs=1)
    assert tiny.differing(tiny.weights(run), tiny.weights(other))
    with pytest.raises(UserError, match=r"fast_layers \[\] instead of \['head'\]"):
        tiny.train(birds, run, policy=tiny.RESUME, fast_layers=(), epochs=1)
