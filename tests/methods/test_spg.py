"""SPG against recorded values, its pseudo masks against masks made pixel by pixel."""

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
from rfga.methods.spg import SPG, Bounds, Branches, Guides, guidance_loss, masked_bce, pseudo_mask
from tests.contract_cases import made_images, target


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    """What the authors' program gave for images of 224 x 224."""
    held = np.load(shared / "golden" / "methods.npz")
    return {name: torch.from_numpy(np.array(held[name])) for name in held if name.startswith("spg_")}


def recorded(golden: dict[str, Tensor]) -> Branches:
    return Branches(
        golden["spg_score_maps"], golden["spg_logits_b1"], golden["spg_logits_b2"], golden["spg_logits_c"]
    )


def made(backbone: str = "test_resnet", **options: Any) -> SPG:
    torch.manual_seed(0)
    network = target(BACKBONES, backbone)(width=1 / 16) if backbone in BACKBONES else build_backbone(backbone)
    return SPG(network, 5, **options)


def test_the_loss_is_the_authors(golden: dict[str, Tensor]) -> None:
    guided = guidance_loss(recorded(golden), golden["spg_labels"], (224, 224), Guides())
    entropy = F.cross_entropy(golden["spg_logits"], golden["spg_labels"])
    torch.testing.assert_close(entropy, golden["spg_cross_entropy"])
    torch.testing.assert_close(entropy + guided, golden["spg_loss"])


@pytest.mark.parametrize("name", ["attention", "middle", "fused"])
def test_every_bound_has_a_part_in_the_loss(golden: dict[str, Tensor], name: str) -> None:
    usual = guidance_loss(recorded(golden), golden["spg_labels"], (224, 224), Guides())
    for bounds in (Bounds(0.6, getattr(Guides(), name).low), Bounds(getattr(Guides(), name).high, 0.4)):
        guides = Guides(**{name: bounds})
        other = guidance_loss(recorded(golden), golden["spg_labels"], (224, 224), guides)
        assert not torch.isclose(other, usual)


def mask_by_hand(one: Tensor, high: float, low: float) -> Tensor:
    """A map (H, W), pixel by pixel."""
    sure = sum(1 for value in one.flatten().tolist() if value > high)
    limit = high if sure >= 30 else 0.7 * float(one.max())
    out = torch.empty_like(one)
    for i in range(one.shape[0]):
        for j in range(one.shape[1]):
            value = float(one[i, j])
            out[i, j] = 0 if value < low else 1 if value > limit else -1
    return out


@pytest.mark.parametrize(("high", "low"), [(0.7, 0.1), (0.97, 0.1), (0.5, 0.5), (1.0, 0.0)])
def test_pseudo_masks(high: float, low: float) -> None:
    maps = torch.rand(3, 1, 9, 14, generator=torch.Generator().manual_seed(0))
    maps[1] *= 0.05  # all of it below the background's bound of some cases
    found = pseudo_mask(maps, Bounds(high, low))
    for image in range(3):
        assert torch.equal(found[image, 0], mask_by_hand(maps[image, 0], high, low))


def test_thirty_pixels_above_the_bound_are_enough() -> None:
    for count, expected in ((30, 30), (29, 79)):
        maps = torch.full((1, 1, 10, 20), 0.2)
        maps.view(-1)[:count] = 0.9
        maps.view(-1)[100:150] = 0.65
        assert int((pseudo_mask(maps, Bounds(0.7, 0.1)) == 1).sum()) == expected


def test_pixels_of_all_images_count_alike_and_ignored_ones_not() -> None:
    logits = torch.randn(2, 1, 3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.full((2, 1, 3, 5), -1.0)
    mask[0, 0, 0, 0], mask[1, 0, :2] = 1.0, 0.0
    p = logits.sigmoid()
    expected = (-p[0, 0, 0, 0].log() - (1 - p[1, 0, :2]).log().sum()) / 11
    torch.testing.assert_close(masked_bce(logits, mask), expected)
    nothing = masked_bce(logits, torch.full_like(mask, -1))
    assert nothing == 0
    torch.autograd.backward(nothing)
    assert logits.grad is not None
    assert not logits.grad.any()


def test_guides_send_no_gradient() -> None:
    images, labels = made_images()
    method = made(width=16)
    last, (early, middle) = method.backbone.forward_places(images, method.places)
    found = Branches(
        method.head(last),
        method.branch_shared(method.branch_early(early)),
        method.branch_shared(method.branch_middle(middle)),
        method.branch_last(last),
    )
    torch.autograd.backward(guidance_loss(found, labels, (64, 96), Guides()))
    assert method.head.weight.grad is None  # the class map guides only
    assert method.branch_early.get_parameter("0.weight").grad is not None


@torch.no_grad()
def test_maps_are_the_channels_of_the_head() -> None:
    method = made(width=16).eval()
    images, _ = made_images()
    every = method.localize(images, torch.arange(5).repeat(2, 1))
    assert torch.equal(every.maps, method.head(method.backbone(images)))
    torch.testing.assert_close(every.logits, every.maps.mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "places", "inputs", "width", "last"),
    [
        ("test_resnet", ("layer2", "layer3"), (48, 192), 192, (96, 96)),
        ("wsol_vgg16", ("features.23", "features.29"), (32, 32), 32, (32, 32)),
        ("wsol_inception_v3", ("Mixed_6a.pool", "Mixed_6e"), (18, 48), 32, (64, 64)),
        ("wsol_resnet50", ("layer3.0", "layer3"), (64, 64), 64, (128, 128)),
    ],
)
def test_branches_follow_the_taps_of_the_backbone(
    name: str, places: tuple[str, str], inputs: tuple[int, int], width: int, last: tuple[int, int]
) -> None:
    method = made(name)
    assert method.places == places
    shapes = {
        key: tuple(value.shape[:3]) for key, value in method.named_parameters() if key.endswith("weight")
    }
    assert shapes["branch_early.0.weight"] == (width, inputs[0], 3)
    assert shapes["branch_middle.0.weight"] == (width, inputs[1], 3)
    assert shapes["branch_shared.0.weight"] == (width, width, 3)
    assert shapes["branch_shared.2.weight"] == (1, width, 1)
    assert shapes["branch_last.0.weight"] == (last[1], last[0], 3)
    assert shapes["head.weight"] == (5, last[0], 1)
    for module in (method.branch_early, method.branch_middle, method.branch_last, method.head):
        for conv in module.modules():
            if isinstance(conv, nn.Conv2d):
                area = conv.kernel_size[0] ** 2
                bound = math.sqrt(6 / (area * (conv.in_channels + conv.out_channels)))
                assert 0.8 * bound < conv.weight.abs().max() <= bound
                assert conv.bias is not None
                assert not conv.bias.any()


def test_branches_are_at_most_as_wide_as_asked() -> None:
    assert made(width=20).branch_shared.get_parameter("0.weight").shape == (20, 20, 3, 3)
    assert made(width=20).branch_last.get_parameter("0.weight").shape == (20, 96, 3, 3)
    assert made(width=9999).branch_shared.get_parameter("0.weight").shape == (192, 192, 3, 3)


@pytest.mark.parametrize(
    "options", [{"width": 0}, {"attention_high": 1.2}, {"middle_low": 0.6}, {"fused_low": -0.1}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found .*: (give|leave)"):
        made(**options)
