"""Any timm network as a backbone: its stages by timm's own module names, at a chosen output stride."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import timm
import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone
from rfga.backbones.stride import PROBE_SIDE, limit_stride


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
        >>> net = timm_backbone("resnet18", output_stride=16)
        >>> net.stages, net.out_channels
        (('act1', 'layer1', 'layer2', 'layer3', 'layer4'), 512)
        >>> net(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 512, 4, 6])
    """
    network = _create(name, pretrained=pretrained, output_stride=output_stride, pad_type=pad_type)
    features = partial(_as_maps, network.forward_features, _layout(network))
    called = _call_once(network, features, name, output_stride)
    _drop_unused(network, called)
    config = network.pretrained_cfg
    return Backbone(
        network,
        features,
        _stages(network, called),
        mean=tuple(mean or config["mean"]),
        std=tuple(std or config["std"]),
        pad_type=pad_type,
    )


def takes_pad_type(name: str) -> bool:
    """Whether the network can pad as TensorFlow does ("same"), as timm's EfficientNet family can."""
    try:
        timm.create_model(name, num_classes=0, pad_type="same")
    except (TypeError, RuntimeError):
        return False
    return True


def _create(name: str, *, pretrained: bool, output_stride: int, pad_type: str | None) -> nn.Module:
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise ValueError(f"expected the name of a timm network, found {name!r}" + (f": near are {near}" if near else ""))
    options: dict[str, object] = {"num_classes": 0}
    if pad_type is not None:
        options["pad_type"] = pad_type
    native = {"output_stride": output_stride} if output_stride != 32 else {}
    for extra in (native, {"dynamic_img_size": True}, {}):
        try:
            network: nn.Module = timm.create_model(name, pretrained=pretrained, **options, **extra)
        except (TypeError, AssertionError, NotImplementedError) as error:
            refusal = error
            continue
        if extra is not native:
            limit_stride(network, output_stride)
        return network
    raise ValueError(f"expected a network that timm can build with {options}, found that {name} cannot: {refusal}")


def _layout(network: nn.Module) -> str | int:
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
        return tokens.transpose(1, 2).unflatten(2, (images.shape[2] // side, images.shape[3] // side))
    return out


def _call_once(network: nn.Module, features: Callable[[Tensor], Tensor], name: str, stride: int) -> set[nn.Module]:
    """The modules that a forward pass uses; refuses a network whose maps do not have the wanted stride."""
    called: set[nn.Module] = set()
    handles = [m.register_forward_pre_hook(lambda m, _: called.add(m)) for m in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            shape = features(torch.zeros(1, 3, PROBE_SIDE, PROBE_SIDE)).shape
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"expected a network that takes images of any size, found that {name} refuses "
            f"{PROBE_SIDE} x {PROBE_SIDE} ({error}): choose a convolutional network"
        ) from error
    finally:
        network.train()
        for handle in handles:
            handle.remove()
    if len(shape) != 4:
        raise ValueError(
            f"expected feature maps (B, C, h, w), found {tuple(shape)} from {name}: choose a convolutional network"
        )
    if PROBE_SIDE / shape[-1] != stride:
        raise ValueError(
            f"expected maps at output stride {stride}, found {PROBE_SIDE / shape[-1]:g} from {name}: "
            "ask for that stride or choose another network"
        )
    return called


def _drop_unused(network: nn.Module, called: set[nn.Module]) -> None:
    """Take out classifiers and what else the features never pass, so that every weight gets a gradient."""
    for name, child in network.named_children():
        if any(True for _ in child.parameters()) and not any(m in called for m in child.modules()):
            setattr(network, name, nn.Identity())


def _stages(network: nn.Module, called: set[nn.Module]) -> dict[str, tuple[str, int]]:
    stages: dict[str, tuple[str, int]] = {}
    for info in network.feature_info if _layout(network) == "NCHW" else ():
        if network.get_submodule(info["module"]) in called:
            stages[info["module"]] = (info["module"], info["num_chs"])
    widths = [width for _, width in stages.values()]
    if widths[-1:] != [network.num_features]:
        stages["features"] = ("", int(network.num_features))  # maps that timm forms after its last stage
    return stages
