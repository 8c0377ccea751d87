"""TS-CAM against the attention weights that timm itself computes where it does not fuse them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone
from rfga.backbones.timm_network import timm_backbone
from rfga.methods.ts_cam import TSCAM


def weights_of(backbone: Backbone, images: Tensor) -> list[Tensor]:
    """Of each block (B, heads, N, N), as they enter timm's dropout."""
    seen: list[Tensor] = []
    blocks: Any = backbone.network.get_submodule("blocks")
    for block in blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    backbone(images)
    return seen


@pytest.mark.parametrize(("name", "prefix"), [("test_vit", 1), ("deit_tiny_distilled_patch16_224", 2)])
@torch.no_grad()
def test_maps_are_class_maps_times_the_class_tokens_attention(name: str, prefix: int) -> None:
    torch.manual_seed(0)
    backbone = timm_backbone(name).eval()
    images = torch.randn(2, 3, 64, 96)
    method = TSCAM(backbone, 3).eval()
    found = method.localize(images, torch.tensor([[2, 0], [1, 1]]))
    attention = sum(weights.mean(1)[:, 0, prefix:] for weights in weights_of(backbone, images))
    semantic = nn.functional.conv2d(backbone(images), method.head.weight, method.head.bias, padding=1)
    expected = torch.as_tensor(attention).view(2, 4, 6)[:, None] * semantic
    torch.testing.assert_close(found.maps[0], expected[0, [2, 0]], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(found.maps[1], expected[1, [1, 1]], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(found.logits, semantic.mean((2, 3)))


@torch.no_grad()
def test_without_a_class_token_the_class_maps_are_left() -> None:
    torch.manual_seed(0)
    backbone, images = timm_backbone("test_resnet").eval(), torch.randn(1, 3, 64, 96)
    method = TSCAM(backbone, 3).eval()
    found = method.localize(images, torch.tensor([1]))
    torch.testing.assert_close(found.maps[0, 0], method.head(backbone(images))[0, 1])


def test_attention_that_is_turned_by_position_is_not_taken_for_plain() -> None:
    assert timm_backbone("vit_small_patch16_dinov3").attention is None
