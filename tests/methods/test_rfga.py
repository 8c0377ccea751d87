"""The method RFGA: its options reach the layer, which stands where it should; maps and logits agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rfga.backbones.build import build_backbone
from rfga.methods.rfga import ResidualFineGrainedAttention
from rfga.nn.rfga import RFGA
from tests.contract_cases import made_images


def made(**options: Any) -> ResidualFineGrainedAttention:
    torch.manual_seed(0)
    return ResidualFineGrainedAttention(build_backbone("test_resnet"), 5, **options)


def layer_of(method: ResidualFineGrainedAttention) -> tuple[str, RFGA]:
    """The one RFGA layer and the stage that it follows."""
    ((stage, held),) = method.backbone.attached.named_children()
    (layer,) = held.children()
    assert isinstance(layer, RFGA)
    return stage, layer


def test_it_stands_after_the_last_stage_by_default() -> None:
    stage, layer = layer_of(made())
    assert (stage, layer.channels) == ("layer4", 96)
    assert layer.views == ("channel", "height", "width")
    assert (layer.expansion, layer.calibration, layer.gate) == ("sum", "residual", "sigmoid")


@pytest.mark.parametrize(
    ("position", "stage", "channels"),
    [("layer2", "layer2", 48), (1, "layer1", 32), (-2, "layer3", 192), (0, "act1", 32)],
)
def test_the_position_is_a_stage_by_name_or_place(position: str | int, stage: str, channels: int) -> None:
    method = made(position=position)
    found, layer = layer_of(method)
    assert (found, layer.channels) == (stage, channels)
    images, labels = made_images()
    assert method.eval().localize(images, labels).maps.shape == (2, 1, 4, 6)
    kept = method.backbone.forward_stages(images)
    nn.init.constant_(layer.get_submodule("height_norm").get_parameter("bias"), 3)
    moved = method.backbone.forward_stages(images)
    place = method.backbone.stages.index(stage)
    for number, name in enumerate(method.backbone.stages):
        assert torch.equal(kept[name], moved[name]) == (number < place)


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        ({"views": "width"}, {"views": ("width",)}),
        ({"views": "width+channel"}, {"views": ("channel", "width")}),
        ({"expansion": "product"}, {"expansion": "product"}),
        ({"calibration": "weighted"}, {"calibration": "weighted"}),
        ({"gate": "softmax"}, {"gate": "softmax"}),
    ],
)
def test_options_reach_the_layer_and_change_the_maps(
    options: dict[str, str], attributes: dict[str, Any]
) -> None:
    method, plain = made(**options).eval(), made().eval()
    _, layer = layer_of(method)
    assert {name: getattr(layer, name) for name in attributes} == attributes
    shared = {k: v for k, v in plain.state_dict().items() if k in method.state_dict()}
    method.load_state_dict(shared)
    images, labels = made_images()
    assert not torch.allclose(method.localize(images, labels).maps, plain.localize(images, labels).maps)


def test_kernel_size_and_the_light_form_set_the_number_of_weights() -> None:
    def weights(**options: Any) -> int:
        _, layer = layer_of(made(**options))
        return sum(layer.get_parameter(f"{view}_conv.weight").numel() for view in ("height", "width"))

    assert weights() == 2 * 3 * 96 * 96
    assert weights(kernel_size=5) == 2 * 5 * 96 * 96
    assert weights(light=True) == 2 * 3 * 96
    assert weights(light=True, position="layer2") == 2 * 3 * 48


@pytest.mark.parametrize(
    "options",
    [
        {"views": "depth"},
        {"views": ""},
        {"views": "height,width"},
        {"expansion": "max"},
        {"position": "layer9"},
        {"position": 5},
        {"kernel_size": 2},
        {"gate": "relu"},
        {"calibration": ""},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .* found"):
        made(**options)


@torch.no_grad()
def test_maps_are_the_channels_of_the_head_over_the_calibrated_features() -> None:
    method = made().eval()
    nn.init.normal_(method.head.weight)
    assert method.head.bias is not None
    nn.init.normal_(method.head.bias, 3)
    images, _ = made_images()
    bare = build_backbone("test_resnet").eval()
    bare.network.load_state_dict(method.backbone.network.state_dict())
    _, layer = layer_of(method)
    calibrated = layer(bare(images))
    assert not torch.allclose(calibrated, bare(images))
    weight, bias = method.head.weight[:, :, 0, 0], method.head.bias[:, None, None]
    expected = torch.einsum("kc,bchw->bkhw", weight, calibrated) + bias
    found = method.localize(images, torch.arange(5).repeat(2, 1))
    torch.testing.assert_close(found.maps, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.logits, found.maps.mean((2, 3)))


def test_the_loss_is_the_cross_entropy_of_the_logits() -> None:
    method = made().eval()
    images, labels = made_images()
    loss = method.loss(images, labels, torch.Generator())
    torch.testing.assert_close(loss, F.cross_entropy(method.localize(images).logits, labels))


def test_one_image_in_training_names_the_remedies() -> None:
    images, labels = made_images(count=1)
    with pytest.raises(ValueError, match=r"larger batch.*SyncBatchNorm"):
        made().train().loss(images, labels, torch.Generator())


def test_the_layer_and_the_head_are_new_the_network_is_pretrained() -> None:
    method = made(position="layer2")
    new = {id(p) for p in method.new_parameters()}
    assert {name for name, p in method.named_parameters() if id(p) in new} == {
        name for name, _ in method.named_parameters() if not name.startswith("backbone.network.")
    }
    names = {
        name.split(".")[0] + "." + name.split(".")[1] for name, p in method.named_parameters() if id(p) in new
    }
    assert names == {"backbone.attached", "head.weight", "head.bias"}
    assert set(method.backbone.network.state_dict()) == set(
        build_backbone("test_resnet").network.state_dict()
    )
