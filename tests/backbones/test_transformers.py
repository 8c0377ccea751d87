"""Transformers as backbones: their tokens as maps, against timm's own ways to read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.backbones.layout import KEYS, Layout
from rfga.backbones.timm_network import timm_backbone, weights_licence
from tests.conftest import REPOSITORY

KINDS = {  # pixels of a patch, tokens without a place
    "test_vit": (16, 1),
    "deit_tiny_distilled_patch16_224": (16, 2),
    "vit_small_patch14_dinov2": (14, 1),
    "vit_small_patch14_reg4_dinov2": (14, 5),
    "vit_small_patch16_dinov3": (16, 5),
    "vit_xsmall_patch16_clip_224": (16, 1),
}
SWIN = "swin_tiny_patch4_window7_224"


KEPT: dict[str, Backbone] = {}


def kept(name: str) -> Backbone:
    """For reading alone; one at a time, for they are large."""
    if name not in KEPT:
        KEPT.clear()
        torch.manual_seed(0)
        KEPT[name] = timm_backbone(name).eval()
    return KEPT[name]


@pytest.fixture(scope="module", autouse=True)
def _none_is_kept_for_others() -> Iterator[None]:
    yield
    KEPT.clear()


def images_for(name: str, rows: int = 4, columns: int = 6) -> Tensor:
    side = KINDS[name][0]
    return torch.randn(2, 3, rows * side, columns * side, generator=torch.Generator().manual_seed(0))


QUICK = ("test_vit", "deit_tiny_distilled_patch16_224", "vit_small_patch16_dinov3")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in KINDS]
)
@torch.no_grad()
def test_blocks_are_stages_and_agree_with_timm(name: str) -> None:
    backbone, images = kept(name), images_for(name)
    stride, prefix = KINDS[name]
    network: Any = backbone.network
    blocks = [f"blocks.{i}" for i in range(len(network.blocks))]
    assert backbone.stages in (tuple(blocks), (*blocks, "features"))
    assert (backbone.layout.stride, backbone.layout.prefix) == (stride, prefix)
    last, own = network.forward_intermediates(images, return_prefix_tokens=True)
    seen = backbone.forward_tokens(images, blocks)
    for (maps, tokens), (expected, expected_tokens) in zip(seen, own, strict=True):
        assert maps.shape == (2, backbone.channels["blocks.0"], 4, 6)
        torch.testing.assert_close(maps, expected)
        torch.testing.assert_close(tokens, expected_tokens)
    patches = last[:, prefix:]
    torch.testing.assert_close(backbone(images), patches.transpose(1, 2).reshape(2, -1, 4, 6))
    (_, class_token), *_ = backbone.forward_tokens(images, backbone.stages[-1:])
    torch.testing.assert_close(class_token, network.forward_features(images)[:, :prefix])
    (_, third), *_ = backbone.forward_tokens(images, ["blocks.2"])
    if hasattr(network, "get_intermediate_layers"):
        (expected,) = network.get_intermediate_layers(images, [2], reshape=True)
        torch.testing.assert_close(backbone.forward_stages(images)["blocks.2"], expected)
    assert third.shape[1] == prefix


@torch.no_grad()
def test_stages_of_a_swin_are_those_of_timm() -> None:
    backbone = kept(SWIN)
    images = torch.randn(1, 3, 64, 96)
    network: Any = backbone.network
    _, own = network.forward_intermediates(images)
    seen = backbone.forward_stages(images)
    assert tuple(seen) == ("layers.0", "layers.1", "layers.2", "layers.3", "features")
    for maps, expected in zip(seen.values(), own, strict=False):
        torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(seen["features"], network.forward_features(images).permute(0, 3, 1, 2))
    assert backbone.layout.stride == 32
    assert backbone.middle_places == ("layers.2", "layers.1", "layers.0")
    assert backbone.key_place == "features"


@torch.no_grad()
def test_positions_are_interpolated_as_timm_does_for_a_network_of_that_size() -> None:
    name = "deit_tiny_distilled_patch16_224"
    side, prefix = KINDS[name]
    backbone, images = kept(name), images_for(name, 3, 5)
    fixed: Any = timm.create_model(name, num_classes=0).eval()
    fixed.load_state_dict(backbone.network.state_dict())
    fixed.set_input_size(img_size=(3 * side, 5 * side))
    expected = fixed.forward_features(images)[:, prefix:].transpose(1, 2).reshape(2, -1, 3, 5)
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["test_vit", "vit_small_patch16_dinov3"])
@torch.no_grad()
def test_keys_are_the_last_blocks(name: str) -> None:
    backbone, images = kept(name), images_for(name)
    assert backbone.key_place == KEYS
    block = backbone.network.get_submodule(backbone.stages[-2] if "features" in backbone.stages else "")
    tokens: list[Tensor] = []
    handle = block.get_submodule("attn").register_forward_pre_hook(lambda _, args: tokens.append(args[0]))
    last, (keys,) = backbone.forward_places(images, [KEYS])
    handle.remove()
    weight, bias = (dict(block.named_parameters()).get(f"attn.qkv.{part}") for part in ("weight", "bias"))
    assert weight is not None
    width = weight.shape[1]
    expected = tokens[0] @ weight[width : 2 * width].T
    expected = expected if bias is None else expected + bias[width : 2 * width]
    patches = expected[:, KINDS[name][1] :]
    torch.testing.assert_close(keys.flatten(2).transpose(1, 2), patches, rtol=1e-4, atol=1e-5)
    assert torch.equal(last, backbone(images))
    with pytest.raises(ValueError, match="expected a stage out of"):
        backbone.attach(KEYS, torch.nn.Identity())


def test_every_weight_learns_and_the_class_token_passes_attached_layers_by() -> None:
    torch.manual_seed(0)
    backbone, images = timm_backbone("test_vit"), images_for("test_vit")
    torch.autograd.backward(backbone(images).square().mean())
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []
    (_, before), *_ = backbone.eval().forward_tokens(images, ["blocks.3"])
    backbone.attach("blocks.3", torch.nn.ReLU())
    ((maps, after),) = backbone.forward_tokens(images, ["blocks.3"])
    assert torch.equal(before, after)
    assert (before < 0).any()
    assert (maps >= 0).all()


def test_middle_places_are_quarters_of_the_depth() -> None:
    assert kept("vit_small_patch14_dinov2").middle_places == ("blocks.8", "blocks.5", "blocks.2")
    assert kept("test_vit").middle_places == ("blocks.4", "blocks.2", "blocks.1")


@pytest.mark.parametrize(
    ("name", "stride", "refusal"),
    [
        pytest.param(
            "vit_small_patch14_dinov2",
            16,
            "stride 16, found 14 from vit_small_patch14_dinov2, which cannot",
            marks=pytest.mark.slow,
        ),
        ("test_vit", 8, "stride 8, found 16 from test_vit, which cannot give another: leave out --output-st"),
    ],
)
def test_a_stride_that_was_asked_for_and_is_not_there_is_refused(
    name: str, stride: int, refusal: str
) -> None:
    with pytest.raises(ValueError, match=refusal):
        timm_backbone(name, output_stride=stride)


@pytest.mark.parametrize(("image_hw", "found"), [((64, 96), "96 x 64"), ((224, 200), "200 x 224")])
def test_an_image_that_patches_do_not_fill_is_refused(image_hw: tuple[int, int], found: str) -> None:
    with pytest.raises(ValueError, match=rf"patches of 14 pixels fill, found {found}: give another --image"):
        kept("vit_small_patch14_dinov2")(torch.zeros(1, 3, *image_hw))
    assert Layout(multiple=14).fitting(1.5 * 224) == 336


def test_licences_are_told_as_timm_states_them() -> None:
    said = {name: (weights_licence(name) or ("", ""))[1] for name in [*KINDS, SWIN, "wsol_resnet50"]}
    assert said["vit_small_patch14_dinov2"] == "apache-2.0"
    assert said["vit_small_patch16_dinov3"] == "dinov3-license"
    assert said[SWIN] == "mit"
    assert said["wsol_resnet50"] == ""


def test_the_documentation_tells_the_same_licences() -> None:
    table = (REPOSITORY / "docs" / "methods.md").read_text(encoding="utf-8").partition("### Transformers")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| (\d+) \| ([\w.-]+) \|$", table, re.MULTILINE)
    assert len(rows) == 7
    for name, _, licence in rows:
        assert (weights_licence(name) or ("", ""))[1] == licence, name
