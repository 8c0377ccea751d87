"""Any timm network as a backbone: its stages by timm's own module names, at a chosen output stride."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import timm
from torch import nn

from rfga.backbones.base import Backbone
from rfga.backbones.layout import Attention, Layout
from rfga.backbones.stages import Trace, drop_unused, named_stages, watch_trial
from rfga.backbones.stride import PROBE_SIDE, limit_stride

DEFAULT_STRIDE = 16

# timm's networks share attributes (feature_info, pretrained_cfg, ...) but no base class that declares them.
TimmNetwork = Any


def timm_backbone(
    name: str,
    *,
    pretrained: bool = False,
    output_stride: int | None = None,
    pad_type: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Backbone:
    """A timm network without its classifier; its last stage is what timm's ``forward_features`` returns.

    Args:
        name: timm's name, with or without a tag ("resnet50", "resnet50.tv_in1k").
        pretrained: load timm's ImageNet weights, downloading them where they are not cached.
        output_stride: pixels of the image per pixel of the last map, in each direction; by default 16, or
            that of a transformer, which has no other.
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
    wanted = DEFAULT_STRIDE if output_stride is None else output_stride
    options = {} if pad_type is None else {"pad_type": pad_type}
    network, has_stride = _create(name, pretrained, wanted, options)
    layout = _layout(network)
    side = PROBE_SIDE if PROBE_SIDE % layout.multiple == 0 else 16 * layout.multiple
    with _refusal_explained(name, wanted):
        if not (has_stride or layout.channels_last or layout.prefix is not None):
            limit_stride(network, wanted)
        trace = watch_trial(network, network.forward_features, side)
    layout = _with_stride(layout, trace, name, output_stride)
    stages = named_stages(trace, layout)
    drop_unused(network, trace)
    config = network.pretrained_cfg
    backbone = Backbone(
        network,
        network.forward_features,
        stages,
        mean=tuple(mean or config["mean"]),
        std=tuple(std or config["std"]),
        pad_type=pad_type,
        layout=layout,
    )
    _find_attention(backbone, trace)
    return backbone


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


def weights_licence(name: str) -> tuple[str, str] | None:
    """The whole name of the weights that timm takes for a network, and their licence as timm states it.

    Example:
        >>> weights_licence("vit_small_patch16_dinov3")
        ('vit_small_patch16_dinov3.lvd1689m', 'dinov3-license')
    """
    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None:
        return None
    whole = name if "." in name or not config.tag else f"{name}.{config.tag}"
    return whole, config.license or "not stated"


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


def _layout(network: TimmNetwork) -> Layout:
    """How features come, and what sides an image may have: those that whole patches fill."""
    patches = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    multiple = int(patches[0]) if isinstance(patches, tuple) else 1
    if getattr(network, "output_fmt", None) == "NHWC":
        return Layout(channels_last=True, multiple=multiple)
    if hasattr(network, "num_prefix_tokens") and patches is not None:
        return Layout(prefix=int(network.num_prefix_tokens), multiple=multiple)
    return Layout()


def _with_stride(layout: Layout, trace: Trace, name: str, wanted: int | None) -> Layout:
    """The layout with the stride that was found.

    Raises:
        ValueError: the network gives no maps, or not at the stride that was asked for.
    """
    if layout.prefix is not None and trace.out.ndim == 3:
        found = trace.side / (trace.out.shape[1] - layout.prefix) ** 0.5
    elif trace.out.ndim == 4:
        found = trace.side / trace.out.shape[1 if layout.channels_last else 3]
    else:
        raise ValueError(
            f"expected feature maps (B, C, h, w), found {tuple(trace.out.shape)} from {name}: "
            "choose a convolutional network, or a transformer whose tokens lie on a grid"
        )
    if wanted is None and layout.prefix is None and not layout.channels_last:
        wanted = DEFAULT_STRIDE
    if wanted not in (None, found) or found != int(found):
        raise ValueError(
            f"expected maps at output stride {wanted or 'of whole pixels'}, found {found:g} from {name}, "
            "which cannot give another: leave out --output-stride, ask for that, or choose another network"
        )
    return replace(layout, stride=int(found))


def _find_attention(backbone: Backbone, trace: Trace) -> None:
    """Where a transformer's blocks make queries, keys and values by one linear layer each, if they do.

    Attention can be computed from them where they are used as they are, not normalised or turned by position.
    """
    parts = dict(backbone.network.named_modules())
    if backbone.layout.prefix is None:
        return
    blocks = [f"{stage}.attn" for stage in backbone.stages if f"{stage}.attn" in parts]
    joint = [f"{block}.qkv" for block in blocks if isinstance(parts.get(f"{block}.qkv"), nn.Linear)]
    single = [f"{block}.k_proj" for block in blocks if isinstance(parts.get(f"{block}.k_proj"), nn.Linear)]
    if joint and all(trace.calls[parts[name]] == 1 for name in joint):
        turned = getattr(backbone.network, "rope", None) is not None
        if not turned and isinstance(parts.get(f"{blocks[-1]}.q_norm"), nn.Identity):
            backbone.attention = Attention(tuple(joint), int(parts[blocks[-1]].num_heads))
        width = parts[joint[-1]].out_features // 3
        backbone.watch_keys(joint[-1], slice(width, 2 * width))
    elif single and trace.calls[parts[single[-1]]] == 1:
        backbone.watch_keys(single[-1], slice(None))
