"""timm's networks as backbones: the six that are promised, and those that have to be refused."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone
from rfga.backbones.timm_network import check_timm_name, takes_pad_type, timm_backbone

CHANNELS = {
    "mobilenetv2_100": [16, 24, 32, 96, 320, 1280],
    "resnet18": [64, 64, 128, 256, 512],
    "resnet50": [64, 256, 512, 1024, 2048],
    "vgg16": [64, 128, 256, 512, 512, 512],
    "convnext_tiny": [96, 192, 384, 768],
    "efficientnet_b0": [16, 24, 40, 112, 320, 1280],
}
LARGE = {"resnet50", "vgg16", "convnext_tiny", "efficientnet_b0"}  # in memory, at the first pass, and in time
PROMISED = [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in CHANNELS]
IMAGES = torch.linspace(-2, 2, 3 * 64 * 96).view(1, 3, 64, 96)


@cache
def whole_network_weights(name: str) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: value.shape for key, value in timm.create_model(name).state_dict().items()}


def weights_of(backbone: Backbone) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in backbone.network.state_dict().items()}


class Zero(nn.Module):
    """Leaves nothing of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Plus(nn.Module):
    """Adds one everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1


@pytest.mark.parametrize("name", PROMISED)
@torch.no_grad()
def test_stages_strides_and_names_of_the_promised_networks(name: str) -> None:
    names = set()
    for stride in (32, 16, 8):
        backbone = timm_backbone(name, output_stride=stride).eval()
        assert list(backbone.channels.values()) == CHANNELS[name]
        assert backbone.out_channels == CHANNELS[name][-1]
        seen = backbone.forward_stages(IMAGES)
        assert tuple(seen) == backbone.stages
        assert name != "resnet18" or backbone.stages[-1] == "layer4"
        assert [maps.shape[1] for maps in seen.values()] == CHANNELS[name]
        sides = [maps.shape[2] for maps in seen.values()]
        assert sides == sorted(sides, reverse=True)
        assert [maps.shape[3] for maps in seen.values()] == [side * 3 // 2 for side in sides]
        assert sides[-1] == 64 // stride
        names.add(backbone.stages)
        held, whole = weights_of(backbone), whole_network_weights(name)
        assert held.items() <= whole.items()
        left_out = {key.partition(".")[0] for key in whole.keys() - held.keys()}
        assert left_out <= {"fc", "classifier", "head", "pre_logits"}
    assert len(names) == 1, "the stages' names depend on the stride"


@pytest.mark.parametrize(
    "name", ["mobilenetv2_100", "resnet18", pytest.param("convnext_tiny", marks=pytest.mark.slow)]
)
@torch.no_grad()
def test_the_features_are_those_of_timm(name: str) -> None:
    torch.manual_seed(0)
    original: Any = timm.create_model(name).eval()
    backbone = timm_backbone(name, output_stride=32).eval()
    backbone.network.load_state_dict(original.state_dict(), strict=False)
    backbone.attach(-1, nn.Identity())
    torch.testing.assert_close(backbone(IMAGES), original.forward_features(IMAGES))


@pytest.mark.parametrize("name", [*PROMISED, "test_resnet", "test_byobnet", "densenet121", "test_vit"])
@torch.no_grad()
def test_a_layer_acts_at_the_stage_it_is_attached_to(name: str) -> None:
    torch.manual_seed(0)
    backbone = timm_backbone(name).eval()
    images = IMAGES[..., :32, :64]
    before, weights = backbone.forward_stages(images), weights_of(backbone)
    kept = {stage: maps.clone() for stage, maps in before.items()}
    for place, stage in enumerate(backbone.stages):
        backbone.attach(stage if place % 2 else place, Plus())
        after = backbone.forward_stages(images)
        torch.testing.assert_close(after[stage], kept[stage] + 1)
        for earlier in backbone.stages[:place]:
            assert torch.equal(after[earlier], kept[earlier])
        assert torch.equal(backbone(images), after[backbone.stages[-1]])
        assert not torch.equal(after[backbone.stages[-1]], kept[backbone.stages[-1]])
        assert weights_of(backbone) == weights
        backbone.attached.clear()
    assert torch.equal(backbone(images), kept[backbone.stages[-1]])


@torch.no_grad()
def test_after_a_layer_of_zeros_the_image_is_forgotten() -> None:
    torch.manual_seed(0)
    backbone = timm_backbone("resnet18").eval()
    backbone.attach("layer2", Zero())
    one, other = backbone.forward_stages(IMAGES), backbone.forward_stages(-IMAGES)
    assert not torch.equal(one["layer1"], other["layer1"])
    assert not one["layer2"].any()
    for stage in ("layer3", "layer4"):
        assert torch.equal(one[stage], other[stage])


@pytest.mark.parametrize("name", ["mobilenetv2_100", pytest.param("resnetv2_50", marks=pytest.mark.slow)])
@torch.no_grad()
def test_what_follows_timms_last_stage_belongs_to_the_features(name: str) -> None:
    """A norm follows the stages of resnetv2, a wider convolution those of mobilenetv2."""
    backbone = timm_backbone(name).eval()
    assert backbone.stages[-1] == "features"
    backbone.attach(-1, Zero())
    assert not backbone(IMAGES).any()


@pytest.mark.parametrize(
    "name",
    ["mobilenetv2_100", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vgg16", "convnext_tiny"))],
)
def test_every_weight_is_used(name: str) -> None:
    backbone = timm_backbone(name, output_stride=32)
    torch.autograd.backward(backbone(IMAGES).square().mean())
    assert [key for key, p in backbone.named_parameters() if p.grad is None] == []


def test_the_build_leaves_no_trace() -> None:
    state = torch.get_rng_state()
    backbone = timm_backbone("test_resnet")
    assert backbone.training
    assert all(module.training for module in backbone.modules())
    fresh = nn.BatchNorm2d(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.num_batches_tracked == fresh.num_batches_tracked
            assert not module.running_mean.any() if module.running_mean is not None else False
    torch.set_rng_state(state)
    expected = timm.create_model("test_resnet", num_classes=0, output_stride=16).state_dict()
    torch.testing.assert_close(backbone.network.state_dict(), expected)


def test_the_input_is_scaled_as_timm_or_the_caller_says() -> None:
    assert timm_backbone("test_resnet").mean == (0.5, 0.5, 0.5)
    given = timm_backbone("test_efficientnet", mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0), pad_type="same")
    assert (given.mean, given.std, given.pad_type) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "same")


@torch.no_grad()
def test_padding_can_be_chosen_where_the_network_offers_it() -> None:
    assert takes_pad_type("mobilenetv2_100")
    assert not takes_pad_type("resnet18")
    torch.manual_seed(0)
    symmetric = timm_backbone("test_efficientnet").eval()
    same = timm_backbone("test_efficientnet", pad_type="same").eval()
    same.network.load_state_dict(symmetric.network.state_dict())
    assert symmetric(IMAGES).shape == same(IMAGES).shape
    assert not torch.allclose(symmetric(IMAGES), same(IMAGES))
    with pytest.raises(ValueError, match=r"cannot .*pad_type.*: leave these options out"):
        timm_backbone("resnet18", pad_type="same")


@pytest.mark.parametrize(
    ("name", "stride", "reason"),
    [
        ("test_vit", 8, "expected maps at output stride 8, found 16 from test_vit"),
        ("test_vit", 32, "expected maps at output stride 32, found 16 from test_vit"),
        ("swin_tiny_patch4_window7_224", 16, "expected maps at output stride 16, found 32 from swin_tiny"),
        pytest.param(
            "inception_v3",
            16,
            "expected maps at output stride 16 of a 256 x 256 image, found that inception_v3",
            marks=pytest.mark.slow,
        ),
        ("mixer_s16_224", 16, "expected .* found that mixer_s16_224 cannot give them"),
        ("test_resnet", 24, "expected"),
    ],
)
def test_networks_that_cannot_give_the_maps_are_refused_with_the_reason(
    name: str, stride: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        timm_backbone(name, output_stride=stride)


def test_unknown_names_are_refused_with_names_alike() -> None:
    with pytest.raises(ValueError, match=r"found 'resnet19': give one such as .*resnet18"):
        check_timm_name("resnet19")
    with pytest.raises(ValueError, match=r"found 'resnet18.nonsense': give one such as resnet18\."):
        timm_backbone("resnet18.nonsense")
    with pytest.raises(ValueError, match=r"found 'zzz': timm.list_models\(\) gives them all"):
        timm_backbone("zzz")
