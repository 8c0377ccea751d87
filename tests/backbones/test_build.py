"""A backbone by its name: which weights and which input settings it gets, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from rfga.backbones import BACKBONES, build
from rfga.backbones.base import Backbone
from rfga.backbones.build import build_backbone
from rfga.backbones.probe import InputSettings
from rfga.backbones.timm_network import timm_backbone


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """Weights of test_resnet with its classifier."""
    torch.manual_seed(3)
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


def test_a_file_fills_the_network(weights_file: Path) -> None:
    one, two = (build_backbone("test_resnet", weights=str(weights_file)).eval() for _ in range(2))
    other = build_backbone("test_resnet").eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(one(images), two(images))
        assert not torch.allclose(one(images), other(images))


def test_settings_come_from_the_caller_then_from_a_trial_then_from_timm(
    weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = InputSettings((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), None)
    monkeypatch.setattr(build, "probe_input", lambda name, weights, photographs: tried)
    photographs = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    given = InputSettings((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), None)
    weights = str(weights_file)
    timms = timm_backbone("test_resnet").mean
    assert timms not in (tried.mean, given.mean)
    assert (
        build_backbone("test_resnet", weights=weights, settings=given, photographs=photographs).mean
        == given.mean
    )
    assert build_backbone("test_resnet", weights=weights, photographs=photographs).mean == tried.mean
    assert build_backbone("test_resnet", weights=weights).mean == timms
    assert (
        build_backbone("test_resnet", photographs=photographs).mean == timms
    )  # nothing to try without weights


def test_padding_reaches_the_network() -> None:
    settings = InputSettings((), (), "same")
    backbone = build_backbone("test_efficientnet", settings=settings)
    assert backbone.pad_type == "same"
    assert backbone.mean == timm_backbone("test_efficientnet").mean
    assert "Conv2dSame" in {type(module).__name__ for module in backbone.modules()}


def test_weights_that_cannot_be_downloaded_are_explained() -> None:
    with pytest.raises(
        ValueError,
        match=r"ImageNet weights of test_resnet, found none to be had .*: give --weights FILE .* none",
    ):
        build_backbone("test_resnet", weights="imagenet")


def test_wrong_names_and_files_are_refused(weights_file: Path, tmp_path: Path) -> None:
    photographs = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(ValueError, match="expected the name of a timm network, found 'resnet_18'"):
        build_backbone("resnet_18", weights=str(weights_file), photographs=photographs)
    with pytest.raises(ValueError, match=r"found another architecture in .*w\.safetensors"):
        build_backbone("test_efficientnet", weights=str(weights_file))
    with pytest.raises(ValueError, match=r"found nothing at .*none\.pth"):
        build_backbone("test_resnet", weights=str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="expected maps at output stride 4"):
        build_backbone("test_vit", output_stride=4)


class Variant(Backbone):
    """Stands in for a benchmark variant: takes whether to load weights, and the stride."""

    def __init__(self, *, pretrained: bool, output_stride: int) -> None:
        plain = timm_backbone("test_resnet", pretrained=pretrained, output_stride=output_stride)
        network = plain.network
        super().__init__(network, plain.forward, {"features": ("", plain.out_channels)})


def test_a_registered_variant_is_built_from_its_class(
    weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, "variant", f"{__name__}:Variant")
    backbone = build_backbone("variant", weights=str(weights_file), output_stride=8)
    assert isinstance(backbone, Variant)
    assert backbone.eval()(torch.zeros(1, 3, 64, 96)).shape[2:] == (8, 12)
    torch.manual_seed(3)
    expected = timm.create_model("test_resnet").get_parameter("conv1.0.weight")
    assert torch.equal(backbone.network.get_parameter("conv1.0.weight"), expected)
