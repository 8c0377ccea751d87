from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from rfga.backbones.build import build_backbone
from rfga.engine.learning.module import TrainingModule, rate_factor
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import build_method, normalised


def factors(steps: int, **settings: Any) -> list[float]:
    factor = rate_factor(TrainConfig(**{"warmup_epochs": 0.0, **settings}), steps_per_epoch=10)
    return [factor(step) for step in range(steps)]


def test_cosine_falls_to_zero() -> None:
    rates = factors(41, epochs=4)
    assert rates[0] == 1
    assert rates[20] == pytest.approx(0.5)
    assert rates[40] == pytest.approx(0)
    assert all(later < earlier for earlier, later in pairwise(rates))


def test_steps_and_constant() -> None:
    rates = factors(30, epochs=3, schedule="step")
    assert rates == pytest.approx([1.0] * 10 + [0.1] * 10 + [0.01] * 10)
    assert factors(30, epochs=3, schedule="constant") == [1.0] * 30


def test_milestones_say_after_which_epochs_the_rate_falls() -> None:
    rates = factors(50, epochs=5, schedule="step", milestones=(1, 4))
    assert rates == pytest.approx([1.0] * 10 + [0.1] * 30 + [0.01] * 10)
    assert factors(50, epochs=5, schedule="step", milestones=(9,)) == [1.0] * 50


def test_warm_up_rises_in_equal_steps() -> None:
    rates = factors(12, epochs=3, schedule="constant", warmup_epochs=0.5)
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_optimiser_is_the_one_of_the_settings() -> None:
    config = TrainConfig(method="cam", backbone="resnet18", weights="none", momentum=0.5, weight_decay=0.25)
    method = build_method(config, num_classes=3)
    for momentum, asked, given in ((0.5, True, True), (0.5, False, False), (0.0, True, False)):
        changed = replace(config, momentum=momentum, nesterov=asked)
        optimizer = TrainingModule(method, changed, steps_per_epoch=10).configure_optimizers()["optimizer"]
        defaults = optimizer.defaults
        assert (defaults["momentum"], defaults["nesterov"], defaults["weight_decay"]) == (
            momentum,
            given,
            0.25,
        )
        assert len(optimizer.param_groups) == 2


def test_pixels_are_scaled_by_the_backbone() -> None:
    backbone = build_backbone("resnet18")
    pixels = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)
    found = normalised(pixels, backbone)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for colour, (mean, std) in enumerate(zip(backbone.mean, backbone.std, strict=True)):
        expected = (pixels[:, colour].double() / 255 - mean) / std
        assert torch.allclose(found[:, colour].double(), expected, atol=1e-6)
