from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.runtime.machine import Runtime
from rfga.methods import METHODS
from rfga.types import UserError


def test_settings_survive_yaml() -> None:
    config = TrainConfig(options={"light": True}, mean=(0.5, 0.4, 0.3), precision="32", pad_type="")
    assert TrainConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config
    config = TrainConfig(schedule="step", milestones=(2, 5), fast_layers=("head",), nesterov=False)
    assert TrainConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config
    assert TrainConfig.from_dict({}) == TrainConfig()


def test_numbers_as_yaml_reads_them() -> None:
    held = yaml.safe_load("lr: 1e-3\nprecision: 32\nweights: none\nepochs: 3\nmean: [0.5, 0.5, 0.5]")
    config = TrainConfig.from_dict(held)
    assert (config.lr, config.precision, config.weights) == (0.001, "32", "none")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"method": "nonesuch"},
            f"expected method out of {', '.join(METHODS)}, found nonesuch: give another --method",
        ),
        ({"epochs": 0}, "expected epochs at least 1, found 0: give another --epochs"),
        ({"image_size": 0}, "expected image_size at least 1, found 0: give another --image-size"),
        ({"batch_size": -1}, "expected batch_size at least 1"),
        ({"lr": 0.0}, "expected lr above 0"),
        ({"lr": math.nan}, "expected lr above 0"),
        ({"lr": math.inf}, "expected lr above 0"),
        ({"seed": -1}, "expected seed at least 0"),
        ({"momentum": 1.0}, "expected momentum from 0 to below 1"),
        ({"min_scale": 0.0}, "expected min_scale above 0 and at most 1"),
        ({"std": (0.1, 0.0, 0.1)}, "expected std above 0"),
        ({"milestones": [3, 3], "schedule": "step"}, "expected milestones rising, from 1, found (3, 3)"),
        ({"milestones": [0, 3], "schedule": "step"}, "expected milestones rising, from 1, found (0, 3)"),
        ({"milestones": [3]}, "expected schedule step, to which milestones belong, found cosine"),
        ({"milestones": ["three"]}, "expected setting milestones to be tuple[int, ...] | None"),
        ({"fast_layers": "head"}, "expected setting fast_layers to be tuple[str, ...] | None, found 'head'"),
        ({"fast_layers": [""]}, "expected fast_layers of at least a letter each"),
        ({"nesterov": "perhaps"}, "expected setting nesterov to be bool, found 'perhaps'"),
        ({"epochs": "three"}, "expected setting epochs to be int, found 'three'"),
        ({"schedule": "linear"}, "expected setting schedule to be one of cosine, step, constant"),
        ({"mean": [0.5, 0.5]}, "expected setting mean to be tuple"),
        ({"epoch": 3}, "expected as setting one of method, "),
    ],
)
def test_settings_that_cannot_work(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        TrainConfig.from_dict(values)
    assert str(caught.value).startswith(sentence)


def test_runtime_and_policy() -> None:
    with pytest.raises(UserError, match="--workers"):
        Runtime(workers=-2)
    with pytest.raises(UserError, match="expected --resume or --overwrite, found both: leave one out"):
        RunPolicy(resume=True, overwrite=True)
