"""From settings to a network: the one place where registries, options and weights meet."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from rfga.backbones.build import build_backbone
from rfga.backbones.probe import InputSettings
from rfga.engine.config import TrainConfig
from rfga.engine.options import resolve, typed_options
from rfga.methods import METHODS
from rfga.methods.base import Method
from rfga.types import UserError


def checked_options(config: TrainConfig) -> dict[str, Any]:
    """The method's options with their types, before anything slow is done.

    Raises:
        UserError: an unknown method or option.
    """
    return typed_options(resolve(METHODS, config.method, "method"), config.options)


def build_method(config: TrainConfig, num_classes: int, photographs: Tensor | None = None) -> Method:
    """The network of ``config`` with its starting weights.

    Args:
        config: method, options, backbone, weights, stride, input settings.
        num_classes: K.
        photographs: (N, 3, H, W) uint8, to find out what input a local weights file wants.

    Raises:
        UserError: a name, option, stride or weights file that does not fit.
    """
    method = resolve(METHODS, config.method, "method")
    options = checked_options(config)
    settings = None
    if config.mean is not None or config.std is not None or config.pad_type is not None:
        settings = InputSettings(config.mean or (), config.std or (), config.pad_type)
    try:
        backbone = build_backbone(
            config.backbone,
            weights=config.weights,
            output_stride=config.output_stride,
            settings=settings,
            photographs=photographs,
        )
        built: Method = method(backbone, num_classes, **options)
    except ValueError as error:
        raise UserError(str(error)) from error
    return built
