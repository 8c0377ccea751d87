"""Pixels on their way into a network."""

from __future__ import annotations

import torch
from torch import Tensor

from rfga.backbones.base import Backbone


def normalised(pixels: Tensor, backbone: Backbone) -> Tensor:
    """Bytes (B, 3, H, W) as the backbone wants them: float, scaled by its mean and deviation, channels last.

    What is no bytes, such as features that were computed before, has been prepared already.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> normalised(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), build_backbone("resnet18")).dtype
        torch.float32
    """
    if pixels.dtype != torch.uint8:
        return pixels
    mean = torch.tensor(backbone.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(backbone.std, device=pixels.device).view(3, 1, 1)
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
