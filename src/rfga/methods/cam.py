"""CAM: the classifier's weights of a class, applied at every position of the last features.

One that is trained, and one that is solved in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.methods.base import Batch, Method, Pass, ScoreMaps, Sums, labels_or_top, start_head
from rfga.nn.ridge import ClassSums, Ridge, class_sums, solve_ridge

SHARPNESS = tuple(2.0 ** (k / 4) for k in range(-4, 33))
"""Factors of the scores among which the one is chosen whose softmax is the best probability."""


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


class RidgeCAM(CAM):
    """Class maps of a classifier in closed form: ridge regression from averaged features to class indicators.

    The network stays as it is. The regularisation is chosen by generalised cross-validation; the scores are
    made probabilities by the factor under whose softmax photographs that are left out are least surprising.

    Args:
        backbone: gives the features.
        num_classes: K.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = RidgeCAM(build_backbone("resnet18"), num_classes=3).eval()
        >>> [[one.name for one in look] for look in method.passes()]
        [['classes'], ['sharpness']]
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__(backbone, num_classes)
        self._solved: Ridge | None = None
        self._sharpness = 1.0

    def passes(self) -> Sequence[Sequence[Pass]]:
        """One look to solve for the classifier, one to see how sure it may be."""
        return (
            (Pass("classes", self._no_classes, self._add_classes, self._solve_classes),),
            (Pass("sharpness", self._no_surprises, self._add_surprises, self._sharpen),),
        )

    def learned(self) -> dict[str, Any]:
        """The strength of the regularisation, in units of the features' mean variance, and the sharpness."""
        return (
            {} if self._solved is None else {"strength": self._solved.strength, "sharpness": self._sharpness}
        )

    def _pooled(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.backbone(images).mean((2, 3)).double()
        return pooled

    def _no_classes(self) -> Sums:
        none = torch.zeros(0, self.backbone.out_channels), torch.zeros(0, self.num_classes)
        return class_sums(*none)._asdict()

    def _add_classes(self, sums: Sums, batch: Batch) -> None:
        # What shows no object is of no class, and no proof against one: it counts nothing.
        found = class_sums(self._pooled(batch.images), *batch.targets(self.num_classes))
        for name, part in found._asdict().items():
            sums[name] += part.cpu()

    @torch.no_grad()
    def _solve_classes(self, sums: Sums) -> None:
        self._solved = solve_ridge(ClassSums(**sums))
        self._set_head(self._solved, 1.0)

    def _no_surprises(self) -> Sums:
        return {"surprises": torch.zeros(len(SHARPNESS), dtype=torch.float64)}

    def _add_surprises(self, sums: Sums, batch: Batch) -> None:
        """Of each photograph at its class, for every sharpness: minus its log probability."""
        if self._solved is None:
            raise ValueError("expected the pass 'classes' before the pass 'sharpness': look in order")
        targets, weights = (part.cpu() for part in batch.targets(self.num_classes))
        scores = self._solved.left_out(self._pooled(batch.images).cpu(), targets)
        labels = batch.labels.cpu().clamp_min(0)
        surprises = (F.cross_entropy(scores * factor, labels, reduction="none") for factor in SHARPNESS)
        sums["surprises"] += torch.stack([weights @ surprise for surprise in surprises])

    @torch.no_grad()
    def _sharpen(self, sums: Sums) -> None:
        if self._solved is not None:
            self._sharpness = SHARPNESS[int(sums["surprises"].argmin())]
            self._set_head(self._solved, self._sharpness)

    def _set_head(self, solved: Ridge, factor: float) -> None:
        weights, mean, shares, *_ = solved
        self.head.weight.copy_(weights.T * factor)
        self.head.bias.copy_((shares - mean @ weights) * factor)
