"""RFGA with spread maps: which features decide where evidence goes, what training keeps, what is RFGA's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rfga.backbones.build import build_backbone
from rfga.methods.cam import CAM
from rfga.methods.rfga import ResidualFineGrainedAttention, SpreadAttention
from rfga.nn.self_similarity import self_similarity, spread
from tests.contract_cases import made_images


def made(network: str = "test_resnet", **options: Any) -> SpreadAttention:
    torch.manual_seed(0)
    return SpreadAttention(build_backbone(network), 5, **options)


def test_it_trains_as_the_published_form_does() -> None:
    images, labels = made_images()
    torch.manual_seed(0)
    published = ResidualFineGrainedAttention(build_backbone("test_resnet"), 5)
    ours = made(light=False, calibration="residual")
    ours.load_state_dict({**ours.state_dict(), **published.state_dict()})
    losses = [m.loss(images, labels, torch.Generator().manual_seed(1)) for m in (published, ours)]
    assert torch.equal(*losses)
    found = [m.eval().localize(images, labels) for m in (published, ours)]
    torch.testing.assert_close(found[0].logits, found[1].logits)
    assert not torch.allclose(found[0].maps, found[1].maps)


def test_maps_are_spread_along_the_centred_middle_features() -> None:
    images, labels = made_images()
    method = made(power=3.0, times=1).eval()
    method.middle_mean.uniform_(0, 0.1, generator=torch.Generator().manual_seed(3))
    stages = method.backbone.forward_stages(images)
    middle = stages["layer3"] - method.middle_mean[:, None, None]
    assert method.backbone.middle_place == "layer3"
    assert middle.shape[2:] == (4, 6)
    plain = method.head(stages["layer4"])[torch.arange(2), labels][:, None]
    expected = spread(plain, self_similarity(middle, 3.0), 1)
    torch.testing.assert_close(method.localize(images, labels).maps, expected)


def test_middle_features_of_another_size_are_averaged() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", output_stride=32)
    middle_hw = backbone.forward_stages(made_images()[0])["layer3"].shape[2:]
    found = SpreadAttention(backbone, 5).eval().localize(made_images()[0])
    assert tuple(middle_hw) == (4, 6)
    assert found.maps.shape == (2, 1, 2, 3)


def test_without_its_layer_and_without_spreading_it_is_cam() -> None:
    images, labels = made_images()
    ours = made(layer=False, times=0).eval()
    torch.manual_seed(0)
    cam = CAM(build_backbone("test_resnet"), 5).eval()
    with torch.no_grad():
        cam.head.weight.copy_(ours.head.weight[:, :, 0, 0])
    maps = [m.localize(images, labels).maps for m in (ours, cam)]
    torch.testing.assert_close(*maps, atol=1e-5, rtol=1e-4)


def test_the_mean_follows_training_and_stays_in_evaluation() -> None:
    images, labels = made_images()
    method = made().train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        _, (middle,) = method.backbone.forward_places(images, [method.backbone.middle_place])
    method.loss(images, labels, generator)
    first = method.middle_mean.clone()
    torch.testing.assert_close(first, middle.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    method.loss(images.flip(3) * 2, labels, generator)
    assert int(method.batches_seen) == 2
    assert not torch.equal(method.middle_mean, first)
    kept = method.middle_mean.clone()
    method.eval().localize(images, labels)
    method.loss(images, labels, generator)
    assert torch.equal(method.middle_mean, kept)


@pytest.mark.parametrize("options", [{"power": 0.0}, {"times": -1}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected power above 0 and times of at least 0, found"):
        made(**options)


@pytest.mark.parametrize(
    ("network", "place"),
    [("mobilenetv2_100", "blocks.4"), ("resnet50", "layer3"), ("convnext_atto", "stages.2")],
)
def test_the_middle_place_of_common_networks(network: str, place: str) -> None:
    assert build_backbone(network).middle_place == place
