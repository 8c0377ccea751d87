from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from rfga.backbones.build import build_backbone
from rfga.engine.config import TrainConfig
from rfga.engine.images import normalised
from rfga.engine.training_module import rate_factor


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


def test_warm_up_rises_in_equal_steps() -> None:
    rates = factors(12, epochs=3, schedule="constant", warmup_epochs=0.5)
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_pixels_are_scaled_by_the_backbone() -> None:
    backbone = build_backbone("resnet18")
    pixels = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)
    found = normalised(pixels, backbone)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for colour, (mean, std) in enumerate(zip(backbone.mean, backbone.std, strict=True)):
        expected = (pixels[:, colour].double() / 255 - mean) / std
        assert torch.allclose(found[:, colour].double(), expected, atol=1e-6)
