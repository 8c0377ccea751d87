"""One call that gives a backbone by its name, with its weights in it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from rfga.backbones import BACKBONES
from rfga.backbones.base import Backbone
from rfga.backbones.probe import InputSettings, probe_input
from rfga.backbones.timm_network import DEFAULT_STRIDE, timm_backbone
from rfga.backbones.weights import load_weights, read_weights

IMAGENET, NONE = "imagenet", "none"


def build_backbone(
    name: str,
    *,
    weights: str = NONE,
    output_stride: int | None = None,
    settings: InputSettings | None = None,
    photographs: Tensor | None = None,
) -> Backbone:
    """A backbone by its name in ``BACKBONES`` or by timm's name, with weights.

    Args:
        name: a benchmark variant or any timm network.
        weights: "imagenet" (downloaded by timm), "none", or a local safetensors or pth file.
        output_stride: pixels of the image per pixel of the last map; by default 16, or a transformer's own.
        settings: scaling and padding of the input; by default timm's own for ``imagenet`` and ``none``,
            and found by trial on ``photographs`` for a file.
        photographs: (N, 3, H, W) uint8, for that trial.

    Raises:
        ValueError: an unknown name, a stride the network cannot give, weights of another architecture.

    Example:
        >>> build_backbone("resnet18", output_stride=32).out_channels
        512
    """
    from_file = read_weights(Path(weights)) if weights not in (IMAGENET, NONE) else None
    if settings is None and from_file is not None and photographs is not None and name not in BACKBONES:
        settings = probe_input(name, from_file, photographs)
    chosen = settings or InputSettings((), (), None)
    with _download_explained(name, weights == IMAGENET):
        make = _variant if name in BACKBONES else _from_timm
        backbone = make(name, weights == IMAGENET, output_stride, chosen)
    if from_file is not None:
        load_weights(backbone.network, from_file, weights)
    return backbone


def _from_timm(name: str, pretrained: bool, output_stride: int | None, chosen: InputSettings) -> Backbone:
    return timm_backbone(
        name,
        pretrained=pretrained,
        output_stride=output_stride,
        pad_type=chosen.pad_type,
        mean=chosen.mean or None,
        std=chosen.std or None,
    )


def _variant(name: str, pretrained: bool, output_stride: int | None, chosen: InputSettings) -> Backbone:
    if chosen.pad_type:
        raise ValueError(
            f"expected the padding that the benchmark gives {name}, found {chosen.pad_type!r}: leave it out"
        )
    module, _, attribute = BACKBONES[name].partition(":")
    stride = DEFAULT_STRIDE if output_stride is None else output_stride
    backbone: Backbone = getattr(importlib.import_module(module), attribute)(
        pretrained=pretrained, output_stride=stride
    )
    backbone.layout = replace(backbone.layout, stride=stride)
    backbone.mean, backbone.std = chosen.mean or backbone.mean, chosen.std or backbone.std
    return backbone


@contextmanager
def _download_explained(name: str, pretrained: bool) -> Iterator[None]:
    """Turn what a failed download raises into one sentence."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise ValueError(
            f"expected to load or download ImageNet weights of {name}, found none to be had ({error}): "
            "give --weights FILE with local weights, or --weights none"
        ) from error
