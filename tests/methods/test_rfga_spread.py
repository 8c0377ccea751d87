"""RFGA with spread maps: which features decide where evidence goes, what training keeps, what is RFGA's."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from rfga.backbones.build import build_backbone
from rfga.methods.cam import CAM
from rfga.methods.rfga import ResidualFineGrainedAttention, SpreadAttention
from rfga.nn.self_similarity import joined_features, similarity, spread
from tests.contract_cases import made_images


def made(network: str = "test_resnet", **options: Any) -> SpreadAttention:
    torch.manual_seed(0)
    return SpreadAttention(build_backbone(network), 5, **options)


def test_it_trains_as_the_published_form_does() -> None:
    images, labels = made_images()
    torch.manual_seed(0)
    published = ResidualFineGrainedAttention(build_backbone("test_resnet"), 5)
    ours = made(light=False, calibration="residual", stages=1)
    ours.load_state_dict({**ours.state_dict(), **published.state_dict()})
    losses = [m.loss(images, labels, torch.Generator().manual_seed(1)) for m in (published, ours)]
    assert torch.equal(*losses)
    found = [m.eval().localize(images, labels) for m in (published, ours)]
    torch.testing.assert_close(found[0].logits, found[1].logits)
    assert not torch.allclose(found[0].maps, found[1].maps)


def centred(method: SpreadAttention, stages: dict[str, Tensor]) -> list[Tensor]:
    places = method.backbone.middle_places[:3]
    means = torch.split(method.means, [stages[place].shape[1] for place in places])
    return [stages[place] - mean[:, None, None] for place, mean in zip(places, means, strict=True)]


def raised(maps: Tensor, power: float) -> Tensor:
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return low + (high - low) * ((maps - low) / (high - low)) ** power


def test_maps_are_spread_along_the_centred_middle_features_and_become_finer() -> None:
    images, labels = made_images()
    method = made(power=3.0, times=3, gamma=1.5).eval()
    method.means.uniform_(0, 0.1, generator=torch.Generator().manual_seed(3))
    stages = method.backbone.forward_stages(images)
    assert method.backbone.middle_places[:3] == ("layer3", "layer2", "layer1")
    plain = method.head(stages["layer4"])[torch.arange(2), labels][:, None]
    middle = centred(method, stages)
    coarse, fine = joined_features(middle, (4, 6)), joined_features(middle, (8, 12))
    for _ in range(2):
        plain = spread(plain, similarity(coarse, coarse, 3.0))
    expected = spread(plain, similarity(fine, coarse, 3.0), (8, 12))
    expected = raised(expected, 1.5)
    torch.testing.assert_close(method.localize(images, labels).maps, expected)


def test_with_one_stage_maps_stay_as_coarse_as_they_are() -> None:
    images, labels = made_images()
    method = made(stages=1, times=1).eval()
    stages = method.backbone.forward_stages(images)
    plain = method.head(stages["layer4"])[torch.arange(2), labels][:, None]
    expected = spread(plain, similarity(stages["layer3"], stages["layer3"]))
    expected = raised(expected, 2)
    torch.testing.assert_close(method.localize(images, labels).maps, expected)


@pytest.mark.parametrize(("stride", "size_hw"), [(8, (8, 12)), (32, (8, 12))])
def test_maps_of_any_stride_come_out_on_the_finer_grid(stride: int, size_hw: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", output_stride=stride)
    found = SpreadAttention(backbone, 5).eval().localize(made_images()[0])
    assert found.maps.shape == (2, 1, *size_hw)


def test_without_its_layer_and_without_spreading_it_is_cam() -> None:
    images, labels = made_images()
    ours = made(layer=False, times=0).eval()
    torch.manual_seed(0)
    cam = CAM(build_backbone("test_resnet"), 5).eval()
    with torch.no_grad():
        cam.head.weight.copy_(ours.head.weight[:, :, 0, 0])
    maps = [m.localize(images, labels).maps for m in (ours, cam)]
    torch.testing.assert_close(*maps, atol=1e-5, rtol=1e-4)


def test_the_means_follow_training_and_stay_in_evaluation() -> None:
    images, labels = made_images()
    method = made().train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        _, middle = method.backbone.forward_places(images, method.backbone.middle_places[:3])
    method.loss(images, labels, generator)
    first = method.means.clone()
    expected = torch.cat([part.mean((0, 2, 3)) for part in middle])
    torch.testing.assert_close(first, expected, atol=1e-5, rtol=1e-4)
    method.loss(images.flip(3) * 2, labels, generator)
    assert int(method.batches_seen) == 2
    assert not torch.equal(method.means, first)
    kept = method.means.clone()
    method.eval().localize(images, labels)
    method.loss(images, labels, generator)
    assert torch.equal(method.means, kept)


def test_gamma_keeps_a_map_s_order_and_its_ends() -> None:
    images, labels = made_images()
    as_spread, found = (made(gamma=g).eval().localize(images, labels).maps for g in (1.0, 2.0))
    torch.testing.assert_close(found, raised(as_spread, 2))
    for end in (torch.amin, torch.amax):
        torch.testing.assert_close(end(found, (2, 3)), end(as_spread, (2, 3)))


def test_a_map_without_any_difference_stays_as_it_is() -> None:
    images, labels = made_images()
    method = made().eval()
    with torch.no_grad():
        for parameter in method.head.parameters():
            parameter.fill_(0.25 * (parameter.ndim == 1))
    torch.testing.assert_close(method.localize(images, labels).maps, torch.full((2, 1, 8, 12), 0.25))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"power": 0.0}, "expected power and gamma above 0, found 0.0 and 2.0"),
        ({"gamma": -1.0}, "expected power and gamma above 0, found 2.0 and -1.0"),
        ({"times": -1}, "expected times of at least 0 and stages of at least 1, found -1 and 3"),
        ({"stages": 0}, "expected times of at least 0 and stages of at least 1, found 2 and 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        made(**options)


@pytest.mark.parametrize(
    ("network", "places"),
    [
        ("mobilenetv2_100", ("blocks.4", "blocks.2", "blocks.1", "blocks.0")),
        ("resnet50", ("layer3", "layer2", "layer1", "act1")),
        ("convnext_atto", ("stages.2", "stages.1", "stages.0")),
    ],
)
def test_the_middle_places_of_common_networks(network: str, places: tuple[str, ...]) -> None:
    assert build_backbone(network).middle_places == places
