"""CAM: the classifier's weights of a class, applied at every position of the last features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.methods.base import Method, ScoreMaps, labels_or_top, start_head


class CAM(Method):
    """Class activation mapping (Zhou et al., CVPR 2016).

    "Learning Deep Features for Discriminative Localization", arXiv:1512.04150, equation 2.
    Features F (B, C, h, w) -> global average -> linear layer. The map of class k is
    sum over c of weight[k, c] * F[c], without the bias.

    Args:
        backbone: gives the features.
        num_classes: K.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = CAM(build_backbone("resnet18"), num_classes=3).eval()
        >>> found = method.localize(torch.zeros(2, 3, 64, 96), torch.tensor([0, 2]))
        >>> found.logits.shape, found.maps.shape
        (torch.Size([2, 3]), torch.Size([2, 1, 4, 6]))
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__(backbone, num_classes)
        self.head = start_head(nn.Linear(backbone.out_channels, num_classes))

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the pooled features' classification."""
        return F.cross_entropy(self.head(self.backbone(images, generator).mean((2, 3))), labels)

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits, and for each class the weighted sum of the features."""
        features = self.backbone(images)
        logits = self.head(features.mean((2, 3)))
        labels = labels_or_top(logits, labels)
        maps = torch.einsum("bnc,bchw->bnhw", self.head.weight[labels].to(features.dtype), features)
        return ScoreMaps(logits, maps, labels)
