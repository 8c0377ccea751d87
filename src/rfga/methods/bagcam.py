"""BagCAMs: every place's own gradient is a classifier of places, and all of them vote on each place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.methods.base import MapReader, Method, ScoreMaps, labels_or_top
from rfga.nn.gradients import released


class BagCAMs(MapReader):
    """BagCAMs (Zhu et al., ECCV 2022) of the last features.

    "Bagging Regional Classification Activation Maps for Weakly Supervised Object Localization",
    arXiv:2207.07818. With features F (C, h, w) and the gradient G of log p_k, p being the softmax of the
    logits, the map is sum over c of relu(mean over places of (G * F + 1) * G * F). The authors' repository
    names no licence; this is written from the equation.

    Args:
        method: trained, of any kind.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> BagCAMs(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self.place: str | None = None  # of the features; None: what the backbone returns

    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits and maps of normalised ``images`` (B, 3, H, W), at least 0, of the features' size.

        Args:
            images: (B, 3, H, W).
            labels: (B,) or (B, n) classes to map; by default the most probable one of each image.

        Raises:
            ValueError: labels of another shape or out of range; a method whose logits do not follow from
                what its backbone returns.
        """
        backbone = self.method.backbone
        # Another tensor, so that features which the backbone remembers do not hide those in between.
        seen = images if self.place is None else images.clone()
        place = backbone if self.place is None else backbone.network.get_submodule(self.place)
        with self.reading():
            features, logits = released(self.method, place, lambda: self.method.localize(seen).logits)
            chosen = labels_or_top(logits.detach(), labels)
            with torch.enable_grad():
                surprises = F.log_softmax(logits, 1)
                scores = [surprises.gather(1, column[:, None]).sum() for column in chosen.unbind(1)]
            maps = [self._map(score, features, (images.shape[2], images.shape[3])) for score in scores]
        return ScoreMaps(logits.detach(), torch.stack(maps, 1), chosen)

    def _map(self, score: Tensor, features: Tensor, image_hw: tuple[int, int]) -> Tensor:
        (gradients,) = torch.autograd.grad(score, features, retain_graph=True)
        votes = features.detach() * gradients
        return bagged(votes if self.place is None else self.method.backbone.layout.maps(votes, image_hw))


class MiddleBagCAMs(BagCAMs):
    """BagCAMs of features before the last stage, where its authors found more of the object.

    Args:
        method: trained, of any kind.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> MiddleBagCAMs(CAM(build_backbone("test_resnet"), num_classes=3)).place
        'layer3'
    """

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self.place = method.backbone.middle_places[0]


def bagged(votes: Tensor) -> Tensor:
    """Maps (B, h, w) from gradients times features (B, C, h, w).

    Example:
        >>> bagged(torch.tensor([[[[1.0, 3.0]], [[-4.0, 2.0]]]]))  # (2 + 1) * 1 + relu((-1 + 1) * -4), ...
        tensor([[[3., 9.]]])
    """
    return F.relu((votes.mean((2, 3), keepdim=True) + 1) * votes).sum(1)
