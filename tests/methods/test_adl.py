"""ADL against recorded values; where its layers stand, when they act and what decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rfga.backbones import BACKBONES
from rfga.backbones.build import build_backbone
from rfga.backbones.chance import Dropout, drawing_from
from rfga.methods.adl import ADL, ErasingLayer, drop_mask, importance
from rfga.methods.cam import CAM
from tests.contract_cases import made_images, target


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    """What the authors' program gave, at gamma 0.8."""
    held = np.load(shared / "golden" / "methods.npz")
    return {name: torch.from_numpy(held[name]) for name in held if name.startswith("adl_")}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(**options: Any) -> ADL:
    torch.manual_seed(0)
    return ADL(build_backbone("test_resnet"), 5, **options)


def test_both_maps_are_the_authors(golden: dict[str, Tensor]) -> None:
    x = golden["adl_x"]
    torch.testing.assert_close(x * importance(x), golden["adl_importance_output"])
    torch.testing.assert_close(x * drop_mask(x, 0.8), golden["adl_drop_output"])
    kept = x.clone()
    torch.testing.assert_close(ErasingLayer(0.0, 0.8)(x), golden["adl_importance_output"])
    torch.testing.assert_close(ErasingLayer(1.0, 0.8)(x), golden["adl_drop_output"])
    assert torch.equal(x, kept)


def test_nothing_happens_in_evaluation(golden: dict[str, Tensor]) -> None:
    assert torch.equal(ErasingLayer(1.0, 0.8).eval()(golden["adl_x"]), golden["adl_x"])
    images, labels = made_images()
    torch.manual_seed(0)
    plain = CAM(build_backbone("test_resnet"), 5)
    assert torch.equal(
        made().eval().localize(images, labels).maps, plain.eval().localize(images, labels).maps
    )


def test_one_draw_decides_for_the_whole_batch() -> None:
    layer = ErasingLayer(0.75, 0.8)
    x = torch.rand(6, 3, 4, 5) + 0.5
    dropped = 0
    with drawing_from(layer, seeded(0)):
        for _ in range(400):
            out = layer(x)
            gone = (out == 0).any(dim=3).any(dim=2).any(dim=1)
            assert bool(gone.all()) == bool(gone.any())
            dropped += int(gone.all())
    assert dropped / 400 == pytest.approx(0.75, abs=0.07)


def test_each_layer_draws_for_itself() -> None:
    method = made(drop_rate=0.5).train()
    images, _ = made_images()
    layers = [module for module in method.modules() if isinstance(module, ErasingLayer)]
    assert len(layers) == 3
    drops: list[bool] = []
    for layer in layers:
        layer.register_forward_hook(lambda m, args, out: drops.append(bool((out == 0)[args[0] != 0].any())))
    generator = seeded(0)
    for _ in range(12):
        method.backbone(images, generator)
    patterns = {tuple(drops[i : i + 3]) for i in range(0, len(drops), 3)}
    assert len(patterns) > 3  # not all three together


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("wsol_vgg16", ["features_16", "features_22", "features_29"]),
        ("wsol_inception_v3", ["Mixed_5d", "Mixed_6e", "neck"]),
        ("wsol_resnet50", ["layer3_0", "layer4_0", "layer4_2"]),
    ],
)
def test_layers_stand_where_the_backbone_says_and_rename_nothing(name: str, places: list[str]) -> None:
    backbone = target(BACKBONES, name)(width=1 / 16)
    before = list(backbone.network.state_dict())
    method = ADL(backbone, 5)
    assert list(method.backbone.attached) == places
    assert list(method.backbone.network.state_dict()) == before
    assert not list(method.backbone.attached.parameters())
    assert not any(module.rate for module in method.modules() if isinstance(module, Dropout))


def test_they_act_in_training_and_let_gradients_through() -> None:
    images, labels = made_images()
    torch.manual_seed(0)
    plain = CAM(build_backbone("test_resnet"), 5).train()
    for drop_rate in (0.0, 1.0):
        method = made(drop_rate=drop_rate).train()
        loss = method.loss(images, labels, seeded(0))
        assert not torch.equal(loss, plain.loss(images, labels, seeded(0)))
        torch.autograd.backward(loss)
        grad = method.backbone.network.get_parameter("conv1.0.weight").grad
        assert grad is not None
        assert grad.any()


@pytest.mark.parametrize("options", [{"drop_rate": -0.1}, {"drop_rate": 1.1}, {"gamma": 0.0}, {"gamma": 1.1}])
def test_wrong_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found .*: .* is"):
        made(**options)
