"""SE, ECA, CBAM and non-local attention: each layer written out, at its place, before the same head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.build import build_backbone
from rfga.methods.attention_layers import (
    ConvolutionalBlockAttention,
    EfficientChannelAttention,
    NonLocalAttention,
    SqueezeExcitation,
)
from rfga.methods.base import ClassMapMethod
from tests.contract_cases import made_images

Weights = Callable[[str], Tensor]
CLASSES: list[type[Any]] = [
    SqueezeExcitation,
    EfficientChannelAttention,
    ConvolutionalBlockAttention,
    NonLocalAttention,
]


def made(cls: type[Any], **options: Any) -> ClassMapMethod:
    """A method whose every new weight matters, in evaluation mode."""
    torch.manual_seed(0)
    method: ClassMapMethod = cls(build_backbone("test_resnet"), 5, **options)
    for name, parameter in method.named_parameters():
        if name.startswith("backbone.attached"):
            nn.init.normal_(parameter, std=0.5)
    return method.eval()


def layer_of(method: ClassMapMethod) -> tuple[str, nn.Module]:
    """The one attached layer and the stage that it follows."""
    ((stage, held),) = method.backbone.attached.named_children()
    (layer,) = held.children()
    return stage, layer


def linear(x: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("oc,b...c->b...o", weight.flatten(1), x)


def squeeze_excitation(x: Tensor, w: Weights) -> Tensor:
    squeezed = (linear(x.mean((2, 3)), w("fc1.weight")) + w("fc1.bias")).relu()
    gate = (linear(squeezed, w("fc2.weight")) + w("fc2.bias")).sigmoid()
    return x * gate[:, :, None, None]


def efficient_channel(x: Tensor, w: Weights) -> Tensor:
    kernel, means = w("conv.weight").flatten(), x.mean((2, 3))
    reach = len(kernel) // 2
    padded = F.pad(means, (reach, reach))
    response = torch.stack([(padded[:, c : c + len(kernel)] * kernel).sum(1) for c in range(x.shape[1])], 1)
    return x * response.sigmoid()[:, :, None, None]


def convolutional_block(x: Tensor, w: Weights) -> Tensor:
    first, second = w("channel.fc1.weight"), w("channel.fc2.weight")
    pooled = (x.mean((2, 3)), x.flatten(2).max(2).values)
    gate = torch.stack([linear(linear(p, first).relu(), second) for p in pooled]).sum(0).sigmoid()
    y = x * gate[:, :, None, None]
    views = torch.stack([y.mean(1), y.max(1).values], 1)
    kernel = w("spatial.conv.conv.weight")
    response = F.conv2d(views, kernel, padding=kernel.shape[-1] // 2)
    mean, var = w("spatial.conv.bn.running_mean"), w("spatial.conv.bn.running_var")
    normed = (response - mean) / (var + 1e-5).sqrt() * w("spatial.conv.bn.weight") + w("spatial.conv.bn.bias")
    return y * normed.sigmoid()


def non_local(x: Tensor, w: Weights) -> Tensor:
    places = x.flatten(2).transpose(1, 2)  # (B, hw, C)
    t, p, g = (linear(places, w(f"{name}.weight")) + w(f"{name}.bias") for name in "tpg")
    attention = (t @ p.transpose(1, 2) * x.shape[1] ** -0.5).softmax(2)
    z = linear(attention @ g, w("z.weight")) + w("z.bias")
    normed = (z - w("norm.running_mean")) / (w("norm.running_var") + 1e-5).sqrt() * w("norm.weight")
    return x + (normed + w("norm.bias")).transpose(1, 2).reshape(x.shape)


@torch.no_grad()
@pytest.mark.parametrize(
    ("cls", "written_out"),
    list(zip(CLASSES, (squeeze_excitation, efficient_channel, convolutional_block, non_local), strict=True)),
)
def test_features_pass_the_layer_of_the_paper_and_then_the_head(
    cls: type[Any], written_out: Callable[[Tensor, Weights], Tensor]
) -> None:
    method = made(cls)
    images, _ = made_images()
    bare = build_backbone("test_resnet").eval()
    bare.network.load_state_dict(method.backbone.network.state_dict())
    stage, layer = layer_of(method)
    assert stage == "layer4"
    held = layer.state_dict()
    features = bare(images)
    expected = written_out(features, held.__getitem__)
    assert not torch.allclose(expected, features, rtol=1e-2)
    torch.testing.assert_close(method.backbone(images), expected, rtol=1e-4, atol=1e-5)
    weight, bias = method.head.weight[:, :, 0, 0], method.head.bias
    assert bias is not None
    found = method.localize(images, torch.arange(5).repeat(2, 1))
    maps = torch.einsum("kc,bchw->bkhw", weight, expected) + bias[:, None, None]
    torch.testing.assert_close(found.maps, maps, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.logits, found.maps.mean((2, 3)))


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("position", "stage"), [("layer2", "layer2"), (-2, "layer3")])
def test_the_position_is_a_stage_by_name_or_place(cls: type[Any], position: int | str, stage: str) -> None:
    method = made(cls, position=position)
    assert layer_of(method)[0] == stage
    assert method.localize(made_images()[0]).maps.shape == (2, 1, 4, 6)
    with pytest.raises(ValueError, match="expected a stage out of"):
        made(cls, position="layer9")


@pytest.mark.parametrize("cls", CLASSES)
def test_the_loss_is_the_cross_entropy_of_the_logits(cls: type[Any]) -> None:
    method = made(cls)
    images, labels = made_images()
    loss = method.loss(images, labels, torch.Generator())
    torch.testing.assert_close(loss, F.cross_entropy(method.localize(images).logits, labels))


@pytest.mark.parametrize("cls", CLASSES)
def test_the_layer_and_the_head_are_new_the_network_is_pretrained(cls: type[Any]) -> None:
    method = made(cls)
    new = {id(p) for p in method.new_parameters()}
    names = {name for name, p in method.named_parameters() if id(p) in new}
    assert {name.split(".")[0] for name in names} == {"backbone", "head"}
    assert not [name for name in names if name.startswith("backbone.network.")]
    plain = build_backbone("test_resnet").network.state_dict()
    assert set(method.backbone.network.state_dict()) == set(plain)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_step_of_training_moves_the_layer(cls: type[Any]) -> None:
    torch.manual_seed(0)
    method = cls(build_backbone("test_resnet"), 5).train()
    images, labels = made_images(count=3)
    _, layer = layer_of(method)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    for _ in range(3):  # the non-local block begins as the identity: its scale moves first, then the rest
        optimizer.zero_grad()
        torch.autograd.backward(method.loss(images, labels, torch.Generator()))
        optimizer.step()
    shifts = ("t.bias", "z.bias")  # a softmax and a normalisation take no notice of these
    for name, parameter in layer.named_parameters():
        assert name in shifts or not torch.equal(parameter, before[name]), name


def test_the_non_local_block_begins_as_the_identity() -> None:
    torch.manual_seed(0)
    method = NonLocalAttention(build_backbone("test_resnet"), 5)
    _, layer = layer_of(method)
    features = torch.randn(2, 96, 4, 6)
    assert torch.equal(layer(features), features)


def test_options_set_the_number_of_weights() -> None:
    def sizes(method: ClassMapMethod) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in layer_of(method)[1].named_parameters()}

    assert sizes(made(SqueezeExcitation, reduction=4))["fc1.weight"] == (24, 96, 1, 1)
    assert sizes(made(ConvolutionalBlockAttention, reduction=8))["channel.fc1.weight"] == (12, 96, 1, 1)
    assert sizes(made(ConvolutionalBlockAttention, kernel_size=3))["spatial.conv.conv.weight"] == (1, 2, 3, 3)
    assert sizes(made(NonLocalAttention, reduction=2))["t.weight"] == (48, 96, 1, 1)
    assert sizes(made(EfficientChannelAttention)) == {"conv.weight": (1, 1, 3)}  # (log2(96) + 1) / 2 -> 3


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SqueezeExcitation, {"reduction": 0}),
        (NonLocalAttention, {"reduction": -2}),
        (ConvolutionalBlockAttention, {"reduction": 0}),
        (ConvolutionalBlockAttention, {"kernel_size": 4}),
    ],
)
def test_wrong_options_are_refused(cls: type[Any], options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found .*: (give|use)"):
        made(cls, **options)
