"""Which input a file of weights was trained on, found by trying: colour scaling and padding.

A weights file rarely says how its inputs were scaled or padded, and a wrong guess costs ten points of
accuracy without any error. Two witnesses tell, and neither needs a label:

- the running statistics of batch normalisation record what the network saw in training: the scaling
  under which photographs give the same statistics is the right one;
- the file's own classifier is surest of itself under the padding it was trained with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from rfga.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from rfga.backbones.layout import CPU_BATCH
from rfga.backbones.timm_network import check_timm_name, takes_pad_type

SCALINGS = {
    "ImageNet mean and deviation": (IMAGENET_MEAN, IMAGENET_STD),
    "(x/255-0.5)/0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "x/255": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


@dataclass(frozen=True)
class InputSettings:
    """How a network wants its input: colours' mean and deviation in [0, 1], and its padding."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad_type: str | None  # None: the network's own


@dataclass(frozen=True)
class Witnesses:
    """What the two witnesses say."""

    divergence: dict[str, float]  # by scaling: of the activations' statistics from those recorded; lower fits
    sureness: dict[str | None, float]  # by padding: mean probability of the favoured class; higher fits


@torch.no_grad()
def hear_witnesses(name: str, weights: dict[str, Tensor], photographs: Tensor) -> Witnesses | None:
    """How well each scaling and each padding fits; arguments, errors and None as for ``probe_input``.

    Without a choice of padding, or without the file's own classifier, its only key is None.
    """
    check_timm_name(name)
    classes = _count_classes(name, weights)
    paddings: list[str | None] = ["", "same"] if classes and takes_pad_type(name) else [None]
    network = _network(name, weights, classes, paddings[0])
    if not any(isinstance(m, nn.BatchNorm2d) for m in network.modules()):
        return None
    pixels = photographs.float() / 255
    scaled = {key: _scaled(pixels, *SCALINGS[key]) for key in SCALINGS}
    heard = {key: _hear(network, scaled[key]) for key in SCALINGS}
    divergence = {key: diverges for key, (diverges, _) in heard.items()}
    fitting = min(divergence, key=lambda key: divergence[key])
    sureness: dict[str | None, float] = {paddings[0]: heard[fitting][1]}
    for padding in paddings[1:]:
        sureness[padding] = _sureness(_network(name, weights, classes, padding), scaled[fitting])
    return Witnesses(divergence, sureness)


def probe_input(name: str, weights: dict[str, Tensor], photographs: Tensor) -> InputSettings | None:
    """The input settings under which ``weights`` of timm network ``name`` fit some ``photographs``.

    Args:
        name: timm's name of the network.
        weights: its named weights; the classifier's decide about the padding, and without them it stays
            the network's own.
        photographs: (N, 3, H, W) uint8, some 32 of them.

    Returns:
        The settings, or None where the network keeps no statistics that could tell.

    Raises:
        ValueError: timm has no such network.
    """
    heard = hear_witnesses(name, weights, photographs)
    if heard is None:
        return None
    scaling = min(heard.divergence, key=lambda key: heard.divergence[key])
    padding = max(heard.sureness, key=lambda key: heard.sureness[key])
    return InputSettings(*SCALINGS[scaling], pad_type=padding)


def _count_classes(name: str, weights: dict[str, Tensor]) -> int:
    """How many classes the classifier in the file tells apart; 0 where it holds none."""
    config = timm.get_pretrained_cfg(name)
    classifier = config.classifier if config is not None else None
    first = classifier if isinstance(classifier, str) else next(iter(classifier or ()), "")
    return len(weights.get(f"{first}.weight", ()))


def _network(name: str, weights: dict[str, Tensor], classes: int, pad_type: str | None) -> nn.Module:
    """The whole network, with all of the file's weights that fit."""
    options: dict[str, Any] = {} if pad_type is None else {"pad_type": pad_type}
    network = timm.create_model(name, num_classes=classes, **options)
    own = network.state_dict()
    fitting = {n: weights[n] for n in own if n in weights and weights[n].shape == own[n].shape}
    network.load_state_dict(fitting, strict=False)
    return network.eval().to(memory_format=torch.channels_last)


def _scaled(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def _hear(network: nn.Module, images: Tensor) -> tuple[float, float]:
    """Divergence and sureness, of one pass.

    The divergence is the median over the layers of KL(seen || recorded) of channels' normal distributions.
    """
    with _moments(network) as moments:
        sureness = _sureness(network, images)
    layers = [_divergence(norm, *(sums / sums[0])[1:]) for norm, sums in moments.items()]
    return float(torch.stack(layers).median()), sureness


def _divergence(norm: nn.BatchNorm2d, shift: Tensor, square: Tensor) -> Tensor:
    """Of one layer, from the means of x and of its square, x being what came in less the recorded mean."""
    assert norm.running_var is not None
    recorded = norm.running_var.double() + norm.eps
    var = (square - shift.square()).clamp_min(0) + norm.eps
    return (0.5 * ((shift.square() + var) / recorded - 1 - (var / recorded).log())).mean()


@contextmanager
def _moments(network: nn.Module) -> Iterator[dict[nn.BatchNorm2d, Tensor]]:
    """Of what comes into each layer meanwhile, less the recorded mean: number, sum, sum of squares (3, C)."""
    found: dict[nn.BatchNorm2d, Tensor] = {}

    def add(norm: nn.BatchNorm2d, args: tuple[Tensor, ...]) -> None:
        if norm.running_mean is None:
            return
        maps = args[0] - norm.running_mean[:, None, None]
        count = torch.full_like(norm.running_mean, maps.numel() / maps.shape[1])
        # Sums are several times as fast as a variance.
        sums = torch.stack([count, maps.sum((0, 2, 3)), maps.square().sum((0, 2, 3))]).double()
        found[norm] = found[norm] + sums if norm in found else sums

    handles = [m.register_forward_pre_hook(add) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _sureness(network: nn.Module, images: Tensor) -> float:
    """Mean probability of the class that the file's own classifier favours."""
    parts = torch.split(images.to(memory_format=torch.channels_last), CPU_BATCH)
    return float(torch.cat([network(part) for part in parts]).softmax(1).amax(1).mean())
