"""What an RFGA layer attends to in a photograph: its views, its attention, and the score map without it.

The layer is found by its type among the modules of the method, and heard by forward hooks that are gone
afterwards; the method stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import METHOD_NAMES, TrainConfig
from rfga.engine.run.model import build_method, normalised
from rfga.geometry.maps import score_maps
from rfga.methods.base import Method, ScoreMaps
from rfga.nn.rfga import CALIBRATIONS, RFGA
from rfga.output.attention.record import Attention, LayerForm, Side
from rfga.types import FloatArray, UserError

TELLING_CHANNELS = 4  # shown of each photograph: those of most evidence for its class

Hook = Callable[[nn.Module, Any, Tensor], Tensor]


def find_layer(method: Method) -> tuple[str, RFGA] | None:
    """The name and the module of a method's RFGA layer, the last one where it has several.

    Example:
        >>> config = TrainConfig(method="rfga", backbone="test_resnet", weights="none")
        >>> find_layer(build_method(config, 2))[0]
        'backbone.attached.layer4.0'
    """
    found = [(name, module) for name, module in method.named_modules() if isinstance(module, RFGA)]
    return found[-1] if found else None


def require_layer(localizer: Localizer) -> tuple[str, RFGA]:
    """The name and the module of a model's RFGA layer.

    Raises:
        UserError: its method has none; the message names the methods that have one.
    """
    found = find_layer(localizer.method)
    if found is None:
        names = methods_with_layer()
        raise UserError(
            f"expected a run of a method that has an RFGA layer ({', '.join(names)}), found one of "
            f"{localizer.config.method}: give another run, or train one with --method {names[0]}"
        )
    return found


def methods_with_layer() -> list[str]:
    """The registered methods in whose networks there is an RFGA layer, found by building each small."""
    names = []
    for name in METHOD_NAMES:
        with suppress(UserError):  # a method that wants another network
            config = TrainConfig(method=name, backbone="test_resnet", weights="none", image_size=64)
            if find_layer(build_method(config, 2)) is not None:
                names.append(name)
    return names


def attend(
    localizer: Localizer,
    pixels: Tensor,
    size_hw: tuple[int, int],
    *,
    image_id: str = "",
    label: int | None = None,
) -> Attention:
    """Look at one photograph with the layer and without it.

    Without it means: the features before calibration go on through the rest of the network as they are.

    Args:
        localizer: the trained model, with the threshold that boxes are cut at.
        pixels: (1, 3, H, W) uint8, as ``rfga.data.transforms.eval_transform`` gives them.
        size_hw: of the original photograph.
        image_id: its name.
        label: the class to look for; by default the most probable one.

    Raises:
        UserError: the method has no RFGA layer.

    Example:
        >>> from rfga.engine.thresholds.threshold import Threshold
        >>> config = TrainConfig(method="rfga", backbone="test_resnet", weights="none", image_size=64)
        >>> model = Localizer(build_method(config, 2), ("perch", "tench"), config, Threshold(0.3, "fixed"))
        >>> found = attend(model, torch.zeros(1, 3, 64, 96, dtype=torch.uint8), (60, 80), label=1)
        >>> found.class_name, found.before.raw_map.shape
        ('tench', (4, 6))
    """
    name, layer = require_layer(localizer)
    method = localizer.method
    images = normalised(pixels.to(localizer.device), method.backbone)
    labels = None if label is None else torch.tensor([label], device=localizer.device)
    heard = _hear(method, layer, images, labels)
    with torch.no_grad(), _hooked(layer, lambda module, args, out: args[0]):
        without = method.localize(images, heard.scores.labels)
    label = int(heard.scores.labels[0, 0])
    evidence = _array((heard.y * heard.gradient).sum((2, 3))[0])
    telling = np.argsort(-evidence, kind="stable")[:TELLING_CHANNELS]
    with torch.no_grad():
        values = {view: _array(z[0].flatten(1)) for view, z in layer.profiles(heard.x).items()}
        expanded = _array(layer.attention(heard.x).expand_as(heard.x)[0])
    cut = _Cut(localizer, size_hw, label)
    return Attention(
        image_id=image_id,
        size_hw=size_hw,
        class_name=localizer.classes[label],
        predicted_name=localizer.classes[int(heard.scores.logits.argmax())],
        threshold=localizer.threshold.value,
        form=_form(layer, _place(name, method.backbone)),
        values={view: z[:, 0] if view == "channel" else z for view, z in values.items()},
        evidence=evidence,
        telling=telling,
        expanded=expanded.mean(0),
        expanded_telling=expanded[telling],
        expanded_range=(float(expanded.min()), float(expanded.max())),
        before=cut.side(_array(heard.x[0]), telling, without),
        after=cut.side(_array(heard.y[0]), telling, heard.scores),
    )


@dataclass(frozen=True, eq=False)
class _Heard:
    """What went into the layer and came out of it, and what the rest of the network made of that."""

    x: Tensor  # (1, C, h, w)
    y: Tensor
    gradient: Tensor  # of the class's logit by y
    scores: ScoreMaps


def _hear(method: Method, layer: RFGA, images: Tensor, labels: Tensor | None) -> _Heard:
    heard: list[tuple[Tensor, Tensor]] = []

    def hear(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        # Gradients are on behind the layer alone, and off again where ``localize`` ends.
        torch.set_grad_enabled(True)
        released = out.detach().requires_grad_()
        heard.append((args[0].detach().clone(), released))
        return released.clone()  # what follows may work in place

    with torch.no_grad(), _hooked(layer, hear):
        scores = method.localize(images, labels)
    x, y = heard[-1]
    with torch.enable_grad():  # whatever the caller's mode
        logit = scores.logits[0, scores.labels[0, 0]]
    (gradient,) = torch.autograd.grad(logit, y)
    return _Heard(x, y.detach(), gradient, scores)


@contextmanager
def _hooked(layer: nn.Module, hook: Hook) -> Iterator[None]:
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True, eq=False)
class _Cut:
    """How score maps of one photograph become boxes."""

    localizer: Localizer
    size_hw: tuple[int, int]
    label: int

    def side(self, features: FloatArray, telling: Any, scores: ScoreMaps) -> Side:
        """One side of the layer: features (C, h, w), and what the network said of them."""
        raw = _array(scores.maps[0, 0])
        score_map = score_maps(raw, self.localizer.config.normalisation)
        return Side(
            activity=np.maximum(features, 0).mean(0),
            telling=features[telling],
            raw_map=raw,
            score_map=score_map,
            boxes=self.localizer.boxes(score_map, self.size_hw),
            probability=float(scores.logits[0].detach().double().softmax(0)[self.label]),
        )


def _form(layer: RFGA, place: str) -> LayerForm:
    form = LayerForm(layer.views, layer.expansion, CALIBRATIONS[layer.calibration], layer.gate, place)
    if layer.calibration == "gradual":
        gains = layer.gain.detach()
        form = replace(form, start=layer.start, gains=(float(gains.min()), float(gains.max())))
    return form


def _place(name: str, backbone: Backbone) -> str:
    """The stage or sub-module that a layer is attached to; elsewhere the layer's own name."""
    attached = name.removeprefix("backbone.attached.").rsplit(".", 1)[0]
    places = (*backbone.stages, *(inner for inner, _ in backbone.network.named_modules()))
    return next((place for place in places if place.replace(".", "_") == attached), name)


def _array(values: Tensor) -> FloatArray:
    return values.detach().double().cpu().contiguous().numpy()
