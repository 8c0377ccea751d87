"""From settings to a network: the one place where registries, options and weights meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone
from rfga.backbones.build import IMAGENET, NONE, build_backbone
from rfga.backbones.probe import InputSettings
from rfga.backbones.timm_network import weights_licence
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.options import options_of, resolve, typed_options
from rfga.methods import METHODS, POSTHOC
from rfga.methods.base import Method
from rfga.methods.foreground import Foreground
from rfga.types import UserError

Built = TypeVar("Built", bound=nn.Module)


def all_options(config: TrainConfig) -> dict[str, Any]:
    """The method's options with their types, those that were not given with their defaults.

    Raises:
        UserError: an unknown method or option, or a value of another type.

    Example:
        >>> all_options(TrainConfig(method="rfga", options={"light": "true"}))["light"]
        True
    """
    method = resolve(METHODS, config.method, "method")
    defaults = {option.name: option.default for option in options_of(method)}
    return {**defaults, **typed_options(method, config.options)}


def build_method(
    config: TrainConfig,
    num_classes: int,
    photographs: Tensor | None = None,
    backbone: Backbone | None = None,
) -> Method:
    """The network of ``config`` with its starting weights, the same for the same seed.

    The global random generator is left as it was.

    Args:
        config: method, options, backbone, weights, stride, input settings, seed.
        num_classes: K.
        photographs: (N, 3, H, W) uint8, to find out what input a local weights file wants.
        backbone: one that is there already, instead of that of the settings.

    Raises:
        UserError: a name, option, stride or weights file that does not fit.
    """
    method = resolve(METHODS, config.method, "method")
    options = all_options(config)

    def make(backbone: Backbone) -> Method:
        built: Method = method(backbone, num_classes, **options)
        if not config.foreground:
            return built
        over = Foreground.over(built)
        if config.seeds_from is not None:
            over.reader = resolve(POSTHOC, config.seeds_from, "kind of maps")(built)
        return over

    return build_on_backbone(config, make, photographs, backbone)


def build_on_backbone(
    config: TrainConfig,
    make: Callable[[Backbone], Built],
    photographs: Tensor | None = None,
    backbone: Backbone | None = None,
) -> Built:
    """What ``make`` builds on the backbone of ``config``, with the same starting weights for the same seed.

    The global random generator is left as it was.

    Raises:
        UserError: a name, option, stride or weights file that does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            if backbone is None:
                backbone = _backbone(config, photographs)
                backbone.layout.require_sides((config.image_size, config.image_size))
            if config.weights != "none":
                # Reading weights may draw any number of random values, to try out input settings.
                torch.manual_seed(config.seed)
            return make(backbone)
        except ValueError as error:
            raise UserError(str(error)) from error


def trained_method(run: RunFolder) -> tuple[Method, TrainConfig]:
    """The network of a finished run with its settings; no code in the folder is run.

    Raises:
        UserError: the folder is no finished run, or is damaged.
    """
    config, _ = run.read_config()
    weights, classes = run.read_model(), run.read_classes()
    try:
        method = build_method(replace(config, weights="none", seeds_from=None), len(classes))
    except UserError:
        raise
    except Exception as error:  # a width below 0 or beyond memory is told by whatever layer meets it first
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"expected a network that can be built in {run.path / 'config.yaml'}, found another "
            f"({reason:.200}): train again"
        ) from error
    try:
        method.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"expected the weights that {run.path / 'config.yaml'} describes, found others: train again"
        ) from error
    broken = [name for name, value in method.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise UserError(
            f"expected weights that are numbers in {run.path}, found {len(broken)} layers with others (first "
            f"{broken[0]}): train again"
        )
    return method, config


def _backbone(config: TrainConfig, photographs: Tensor | None) -> Backbone:
    settings = None
    if config.mean is not None or config.std is not None or config.pad_type is not None:
        settings = InputSettings(config.mean or (), config.std or (), config.pad_type)
    return build_backbone(
        config.backbone,
        weights=config.weights,
        output_stride=config.output_stride,
        settings=settings,
        photographs=photographs,
    )


def licence_of(config: TrainConfig) -> str:
    """What is known of the licence of the weights that a network starts from.

    Example:
        >>> licence_of(TrainConfig(backbone="vit_small_patch14_dinov2"))
        'weights: vit_small_patch14_dinov2.lvd142m of timm, licence as timm states it: apache-2.0'
    """
    if config.weights == NONE:
        return "weights: random"
    known = weights_licence(config.backbone)
    stated = f"licence as timm states it: {known[1]}" if known else "licence: that of their source"
    if config.weights == IMAGENET:
        return f"weights: {known[0] if known else config.backbone} of timm, {stated}"
    return "weights: a file, licence: that of where it comes from" + (
        f" (of {known[0]}, timm states {known[1]})" if known else ""
    )


def normalised(pixels: Tensor, backbone: Backbone) -> Tensor:
    """Bytes (B, 3, H, W) as the backbone wants them: float, scaled by its mean and deviation, channels last.

    What is no bytes, such as features that were computed before, has been prepared already.

    Example:
        >>> from rfga.backbones.build import IMAGENET, NONE, build_backbone
        >>> normalised(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), build_backbone("test_resnet")).dtype
        torch.float32
    """
    if pixels.dtype != torch.uint8:
        return pixels
    mean = torch.tensor(backbone.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(backbone.std, device=pixels.device).view(3, 1, 1)
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
