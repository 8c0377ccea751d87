"""Any timm network as a backbone: its stages by timm's own module names, at a chosen output stride."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any

import timm
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.backbones.stages import drop_unused, named_stages, watch_trial
from rfga.backbones.stride import PROBE_SIDE, limit_stride

# timm's networks share attributes (feature_info, pretrained_cfg, ...) but no base class that declares them.
TimmNetwork = Any


def timm_backbone(
    name: str,
    *,
    pretrained: bool = False,
    output_stride: int = 16,
    pad_type: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Backbone:
    """A timm network without its classifier; its last stage is what timm's ``forward_features`` returns.

    Args:
        name: timm's name, with or without a tag ("resnet50", "resnet50.tv_in1k").
        pretrained: load timm's ImageNet weights, downloading them where they are not cached.
        output_stride: pixels of the image per pixel of the last map, in each direction.
        pad_type: "" (symmetric) or "same" (TensorFlow) where the network offers the choice.
        mean: colours' mean in [0, 1]; by default that of timm's configuration.
        std: colours' standard deviation; by default that of timm's configuration.

    Raises:
        ValueError: no such network, or it cannot give maps at that stride (with the reason).

    Example:
        >>> import torch
        >>> net = timm_backbone("resnet18", output_stride=16)
        >>> net.stages, net.out_channels
        (('act1', 'layer1', 'layer2', 'layer3', 'layer4'), 512)
        >>> net(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 512, 4, 6])
    """
    check_timm_name(name)
    network, has_stride = _create(
        name, pretrained, output_stride, {} if pad_type is None else {"pad_type": pad_type}
    )
    layout = _layout(network)
    features = partial(_as_maps, network.forward_features, layout)
    with _refusal_explained(name, output_stride):
        if not has_stride and isinstance(layout, str):  # tokens have no stride to be limited
            limit_stride(network, output_stride)
        trace = watch_trial(network, features)
    _check_maps(trace.out, name, output_stride)
    drop_unused(network, trace)
    config = network.pretrained_cfg
    return Backbone(
        network,
        features,
        named_stages(trace if layout == "NCHW" else replace(trace, ends={})),
        mean=tuple(mean or config["mean"]),
        std=tuple(std or config["std"]),
        pad_type=pad_type,
    )


def check_timm_name(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        ValueError: no such network; the message names some that are called alike.
    """
    architecture, dot, _ = name.partition(".")
    if timm.is_model(architecture) and (not dot or name in timm.list_pretrained(f"{architecture}.*")):
        return
    alike = timm.list_pretrained(f"{architecture}.*") or get_close_matches(architecture, timm.list_models())
    remedy = f"give one such as {', '.join(alike[:5])}" if alike else "timm.list_models() gives them all"
    raise ValueError(f"expected the name of a timm network, found {name!r}: {remedy}")


def takes_pad_type(name: str) -> bool:
    """Whether the network can pad as TensorFlow does ("same"), as timm's EfficientNet family can."""
    try:
        timm.create_model(name, num_classes=0, pad_type="same")
    except (TypeError, RuntimeError):
        return False
    return True


def _create(
    name: str, pretrained: bool, output_stride: int, options: dict[str, Any]
) -> tuple[TimmNetwork, bool]:
    """The network, and whether it took the output stride: only timm's constructors know what they take."""
    refusal: Exception | None = None
    for extra in ({"output_stride": output_stride}, {"dynamic_img_size": True}, {}):
        try:
            network = timm.create_model(name, pretrained=pretrained, num_classes=0, **options, **extra)
        except (TypeError, AssertionError) as error:
            refusal = error
        else:
            return network, "output_stride" in extra
    raise ValueError(
        f"expected a network that timm can build with {options}, found that {name} cannot ({refusal}): "
        "leave these options out or choose another network"
    )


@contextmanager
def _refusal_explained(name: str, output_stride: int) -> Iterator[None]:
    """Turn what a network raises over the trial image into one sentence."""
    try:
        yield
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"expected maps at output stride {output_stride} of a {PROBE_SIDE} x {PROBE_SIDE} image, "
            f"found that {name} cannot give them ({error}): choose another network or stride"
        ) from error


def _layout(network: TimmNetwork) -> str | int:
    """How features come: "NCHW", "NHWC", or the number of prefix tokens before a row of patch tokens."""
    if getattr(network, "output_fmt", None) == "NHWC":
        return "NHWC"
    if hasattr(network, "num_prefix_tokens") and hasattr(network, "patch_embed"):
        return int(network.num_prefix_tokens)
    return "NCHW"


def _as_maps(features: Callable[[Tensor], Tensor], layout: str | int, images: Tensor) -> Tensor:
    out = features(images)
    if layout == "NHWC":
        return out.permute(0, 3, 1, 2)
    if isinstance(layout, int) and out.ndim == 3:
        tokens = out[:, layout:]
        # One token per square patch: their number and the image's shape give the grid.
        side = round((images.shape[2] * images.shape[3] / max(1, tokens.shape[1])) ** 0.5)
        grid_hw = images.shape[2] // side, images.shape[3] // side
        return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, *grid_hw)
    return out


def _check_maps(maps: Tensor, name: str, output_stride: int) -> None:
    if maps.ndim != 4:
        raise ValueError(
            f"expected feature maps (B, C, h, w), found {tuple(maps.shape)} from {name}: "
            "choose a convolutional network"
        )
    if maps.shape[-1] * output_stride != PROBE_SIDE:
        raise ValueError(
            f"expected maps at output stride {output_stride}, found {PROBE_SIDE / maps.shape[-1]:g} from "
            f"{name}, which cannot give another: ask for that stride or choose another network"
        )
