"""A localizer of any method over a network of three convolutions, whose export is quick."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from rfga.backbones.base import Backbone
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.thresholds.threshold import Threshold
from rfga.methods import METHODS
from tests.contract_cases import target

CLASSES = ("grey heron", "tench", "brown ä, bear")
SIDE = 32


def small_backbone() -> Backbone:
    """Stages of 8, 8 and 16 channels at stride 8."""
    network = nn.Sequential()
    widths = (3, 8, 8, 16)
    for number in range(3):
        conv = nn.Conv2d(widths[number], widths[number + 1], 3, stride=2, padding=1)
        network.add_module(f"stage{number}", nn.Sequential(conv, nn.ReLU()))
    stages = {f"stage{number}": (f"stage{number}", widths[number + 1]) for number in range(3)}
    return Backbone(network, network, stages)


def small_localizer(name: str, threshold: float = 0.3) -> Localizer:
    """One of a method, with random weights."""
    torch.manual_seed(0)
    cls = target(METHODS, name)
    options = {"width": 8} if "width" in inspect.signature(cls).parameters else {}
    method = cls(small_backbone(), len(CLASSES), **options)
    config = TrainConfig(method=name, backbone="test_resnet", weights="none", image_size=SIDE)
    return Localizer(method, CLASSES, config, Threshold(threshold, "fixed"))
