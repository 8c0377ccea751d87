"""TS-CAM: class maps of a transformer's patches, weighted by where its class token looks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.methods.base import Method, ScoreMaps, labels_or_top, pick_maps, start_head
from rfga.nn.class_attention import class_attention


class TSCAM(Method):
    """Token semantic coupled attention map (Gao et al., ICCV 2021), made for DeiT.

    "TS-CAM: Token Semantic Coupled Attention Map for Weakly Supervised Object Localization",
    arXiv:2103.14862, section 3. A 3x3 convolution gives class maps of the last patch tokens, whose averages
    are the logits. A class's score map is its class map times the attention of the class token to the
    patches, summed over all blocks (the mean of the heads). Of a network without a class token whose
    attention can be computed, the maps are the class maps alone. Written from the paper.

    Args:
        backbone: a transformer of timm with a class token, for the maps of the paper.
        num_classes: K.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = TSCAM(build_backbone("test_vit"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__(backbone, num_classes)
        self.head = start_head(nn.Conv2d(backbone.out_channels, num_classes, 3, padding=1))

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the averaged class maps."""
        return F.cross_entropy(self.head(self.backbone(images, generator)).mean((2, 3)), labels)

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits, and for each class its map times the attention."""
        with self.backbone.remembering():
            looks = self._attention(images)
            maps = self.head(self.backbone(images))
        logits = maps.mean((2, 3))
        labels = labels_or_top(logits, labels)
        return ScoreMaps(logits, pick_maps(maps if looks is None else maps * looks[:, None], labels), labels)

    def _attention(self, images: Tensor) -> Tensor | None:
        """(B, h, w), summed over the blocks."""
        attention = self.backbone.attention
        if attention is None:
            return None
        blocks = self.backbone.forward_tokens(images, attention.places)
        return torch.stack([class_attention(*block, attention.heads) for block in blocks]).sum(0)
