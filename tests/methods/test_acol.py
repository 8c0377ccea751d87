"""ACoL against recorded values, and its second head against features erased by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones import BACKBONES
from rfga.backbones.build import build_backbone
from rfga.methods.acol import ACoL, attention, erase
from rfga.methods.base import pick_maps
from tests.contract_cases import made_images, target


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    """What the authors' program gave."""
    held = np.load(shared / "golden" / "methods.npz")
    return {name: torch.from_numpy(held[name]) for name in held if name.startswith("acol_")}


def made(**options: Any) -> ACoL:
    torch.manual_seed(0)
    return ACoL(build_backbone("test_resnet"), 5, **{"width": 24, **options})


def scaled(maps: Tensor) -> Tensor:
    """One map (h, w), from its minimum to its maximum."""
    return (maps - maps.min()) / (maps.max() - maps.min())


def test_attention_and_erasing_are_the_authors(golden: dict[str, Tensor]) -> None:
    attended = attention(pick_maps(golden["acol_logit_maps"], golden["acol_labels"][:, None]))
    torch.testing.assert_close(attended, golden["acol_attention"])
    erased = erase(golden["acol_features"], attended, 0.7)
    torch.testing.assert_close(erased, golden["acol_erased_features"])
    assert 0 < (erased == 0).float().mean() < 1


def test_a_constant_map_erases_nothing() -> None:
    features = torch.rand(2, 4, 3, 5)
    assert torch.equal(erase(features, attention(torch.full((2, 1, 3, 5), 2.0)), 0.7), features)


@torch.no_grad()
def test_the_map_is_the_maximum_of_both_heads_where_the_second_sees_the_rest() -> None:
    method = made().eval()
    images, _ = made_images()
    labels = torch.tensor([[4, 0], [2, 2]])
    features = method.backbone(images)
    maps_a = method.head_a(features)
    found = method.localize(images, labels)
    torch.testing.assert_close(found.logits, maps_a.mean((2, 3)))
    for image in range(2):
        for place in range(2):
            label = int(labels[image, place])
            first = scaled(maps_a[image, label])
            rest = features[image].clone()
            rest[:, first >= 0.7] = 0
            second = scaled(method.head_b(rest[None])[0, label])
            torch.testing.assert_close(
                found.maps[image, place], torch.maximum(first, second), rtol=1e-4, atol=1e-5
            )


def test_the_loss_is_the_sum_of_both_cross_entropies() -> None:
    method = made().eval()
    images, labels = made_images()
    features = method.backbone(images)
    maps_a = method.head_a(features)
    rest = torch.stack(
        [f * (scaled(m[label]) < 0.7) for f, m, label in zip(features, maps_a, labels, strict=True)]
    )
    expected = F.cross_entropy(maps_a.mean((2, 3)), labels)
    expected = expected + F.cross_entropy(method.head_b(rest).mean((2, 3)), labels)
    torch.testing.assert_close(method.loss(images, labels, torch.Generator()), expected)


def test_what_is_erased_sends_no_gradient_to_the_first_head() -> None:
    method = made()
    images, labels = made_images()
    features = method.backbone(images).detach()
    class_map = pick_maps(method.head_a(features), labels[:, None])
    loss = method.head_b(erase(features, attention(class_map), 0.7)).sum()
    torch.autograd.backward(loss)
    assert all(parameter.grad is None for parameter in method.head_a.parameters())


def test_the_threshold_decides_what_is_left() -> None:
    images, labels = made_images()
    losses = [
        float(made(erase_threshold=t).eval().loss(images, labels, torch.Generator()).detach())
        for t in (0.2, 0.7)
    ]
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("name", "he"), [("wsol_resnet50", True), ("wsol_vgg16", False), ("wsol_inception_v3", False)]
)
def test_heads_are_wide_and_start_by_the_rule_of_the_backbone(name: str, he: bool) -> None:
    torch.manual_seed(0)
    method = ACoL(target(BACKBONES, name)(width=1 / 16), 7, width=40)
    channels = {"wsol_vgg16": 32, "wsol_inception_v3": 48, "wsol_resnet50": 128}[name]
    for head in (method.head_a, method.head_b):
        layers = [module for module in head if isinstance(module, nn.Conv2d)]
        shapes = [(conv.in_channels, conv.out_channels, conv.kernel_size) for conv in layers]
        assert shapes == [(channels, 40, (3, 3)), (40, 40, (3, 3)), (40, 7, (1, 1))]
        for conv in layers:
            area = conv.kernel_size[0] ** 2
            fans = area * conv.in_channels + area * conv.out_channels
            std = math.sqrt(2 / (area * conv.out_channels)) if he else math.sqrt(2 / fans)
            assert conv.weight.std().item() == pytest.approx(std, rel=0.15)
            assert conv.bias is not None
            assert not conv.bias.any()


def test_its_heads_stand_on_the_networks_own_features() -> None:
    method = ACoL(target(BACKBONES, "wsol_inception_v3")(width=1 / 16), 3, width=8).eval()
    images, _ = made_images()
    assert method.backbone.stages[-1] == "Mixed_6e"
    assert method.backbone(images).shape == (2, 48, 4, 6)


@pytest.mark.parametrize("options", [{"width": 0}, {"erase_threshold": 0.0}, {"erase_threshold": 1.5}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found .*: .* is"):
        made(**options)
