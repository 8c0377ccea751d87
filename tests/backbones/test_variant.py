"""What all variants of the benchmark keep: strides, weights files under timm's names, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from rfga.backbones import BACKBONES
from rfga.backbones.base import Backbone
from rfga.backbones.build import build_backbone
from rfga.backbones.probe import InputSettings
from tests.contract_cases import target
from tests.thin import some

SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "wsol_vgg16": ("vgg16.tv_in1k", {}),
    "wsol_inception_v3": ("inception_v3.tv_in1k", {"aux_logits": True}),  # the file holds these too
    "wsol_resnet50": ("resnet50.tv_in1k", {}),
}
LEFT_ASIDE = {
    "wsol_vgg16": {"pre_logits", "head"},
    "wsol_inception_v3": {"Mixed_7a", "Mixed_7b", "Mixed_7c", "AuxLogits", "fc"},
    "wsol_resnet50": {"fc"},
}
VARIANTS = list(LEFT_ASIDE)


def made_up_weights(name: str, **options: Any) -> dict[str, Tensor]:
    """Every weight of timm's network, classifier included, with one value of its own all over it."""
    with torch.device("meta"):
        shapes = timm.create_model(name, **options).state_dict()
    return {
        key: torch.tensor(float(number)).expand(value.shape)  # one number in memory and in the file
        for number, (key, value) in enumerate(shapes.items())
    }


def made_up_file(path: Path, name: str, **options: Any) -> tuple[str, dict[str, Tensor]]:
    weights = made_up_weights(name, **options)
    torch.save(weights, path)
    return str(path), weights


def tiny(name: str, **options: Any) -> Backbone:
    backbone: Backbone = target(BACKBONES, name)(width=1 / 16, **options)
    return backbone


def test_every_variant_has_its_source_here() -> None:
    assert list(SOURCES) == VARIANTS


@pytest.mark.parametrize("name", some(VARIANTS))
def test_a_local_file_fills_the_network_and_nothing_else(name: str, tmp_path: Path) -> None:
    source, options = SOURCES[name]
    path, weights = made_up_file(tmp_path / "w.pth", source, **options)
    backbone = build_backbone(name, weights=path)
    loaded = backbone.network.state_dict()
    for key, value in loaded.items():
        assert (value == weights[key]).all(), key
    assert {key.partition(".")[0] for key in weights.keys() - loaded.keys()} == LEFT_ASIDE[name]
    new = {key for key in backbone.state_dict() if not key.startswith("network.")}
    assert all(key.startswith("neck.") for key in new)
    assert all(
        not value.any() or value.unique().numel() > 9 for key, value in backbone.neck.state_dict().items()
    )
    config = timm.get_pretrained_cfg(source)
    assert config is not None
    assert (backbone.mean, backbone.std) == (config.mean, config.std)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_timm_itself_loads_its_weights(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the download is timm's own way: what it renames, cuts off and checks."""
    source, options = SOURCES[name]
    path, weights = made_up_file(tmp_path / "w.pth", source, **options)
    create, asked = timm.create_model, []

    def create_from_file(given: str, **kwargs: Any) -> nn.Module:
        asked.append((given, kwargs["pretrained"]))
        return create(given, **kwargs, pretrained_cfg_overlay={"file": path})

    monkeypatch.setattr(timm, "create_model", create_from_file)
    loaded = build_backbone(name, weights="imagenet").network.state_dict()
    assert asked == [(source, True)]
    for key, value in loaded.items():
        assert (value == weights[key]).all(), key


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("wsol_vgg16", "vgg16_bn"),
        ("wsol_inception_v3", "resnet50"),
        ("wsol_resnet50", "resnet34"),
        *(
            pytest.param(name, other, marks=pytest.mark.slow)
            for name, other in [
                ("wsol_vgg16", "vgg19"),
                ("wsol_vgg16", "vgg13"),
                ("wsol_inception_v3", "inception_v4"),
                ("wsol_resnet50", "resnet101"),
                ("wsol_resnet50", "wide_resnet50_2"),
            ]
        ),
    ],
)
def test_weights_of_another_architecture_are_refused(name: str, other: str, tmp_path: Path) -> None:
    path, _ = made_up_file(tmp_path / "w.pth", other)
    with pytest.raises(ValueError, match=r"found another architecture in .*w\.pth.*: name the backbone"):
        build_backbone(name, weights=path)


@pytest.mark.parametrize("name", VARIANTS)
def test_weights_that_cannot_be_downloaded_are_explained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(ValueError, match=rf"ImageNet weights of {name}, found none .*: give --weights FILE"):
        build_backbone(name, weights="imagenet")


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("stride", [4, 32, 0, 14])
def test_another_stride_is_refused(name: str, stride: int) -> None:
    with pytest.raises(ValueError, match=rf"expected output stride 16 .* or 8 .*, found {stride}: give one"):
        build_backbone(name, output_stride=stride)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_narrow_network_has_no_pretrained_weights(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected width 1 with pretrained weights, found 0\.5"):
        target(BACKBONES, name)(pretrained=True, width=0.5)
    with pytest.raises(ValueError, match="expected a width that leaves whole channels"):
        target(BACKBONES, name)(width=0.3)


def test_settings_of_the_input_reach_a_variant_and_other_padding_is_refused() -> None:
    settings = InputSettings((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), None)
    backbone = build_backbone("wsol_resnet50", settings=settings)
    assert (backbone.mean, backbone.std) == (settings.mean, settings.std)
    with pytest.raises(
        ValueError, match=r"padding that the benchmark gives wsol_resnet50, found 'same': leave"
    ):
        build_backbone("wsol_resnet50", settings=InputSettings((), (), "same"))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("stride", "sizes_hw"), [(16, (14, 20)), (8, (28, 40))])
def test_maps_are_of_the_stride_and_nothing_is_dilated(
    name: str, stride: int, sizes_hw: tuple[int, int]
) -> None:
    backbone = tiny(name, output_stride=stride).eval()
    stages = backbone.forward_stages(torch.randn(1, 3, 224, 320))
    assert tuple(stages[backbone.stages[-1]].shape) == (1, backbone.out_channels, *sizes_hw)
    for stage, maps in stages.items():
        assert maps.shape[1] == backbone.channels[stage]
    convolutions = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    assert {module.dilation for module in convolutions} == {(1, 1)}


@pytest.mark.parametrize(
    "name", ["wsol_vgg16", "wsol_resnet50", pytest.param("wsol_inception_v3", marks=pytest.mark.slow)]
)
def test_no_form_renames_a_weight_of_the_network(name: str) -> None:
    source, _ = SOURCES[name]
    known = made_up_weights(source).keys()
    for change in (lambda b: None, lambda b: b.leave_out_neck(), lambda b: b.open_taps(), attach_everywhere):
        backbone = tiny(name)
        before = list(backbone.network.state_dict())
        change(backbone)
        assert list(backbone.network.state_dict()) == before
        assert set(before) <= known


def attach_everywhere(backbone: Backbone) -> None:
    for place in (*backbone.stages, *backbone.erasing_places):
        backbone.attach(place, nn.Conv2d(1, 1, 1))
