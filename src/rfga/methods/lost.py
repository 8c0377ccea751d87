"""LOST: the place that resembles fewest others is the object's, and so are those that go with it."""

from __future__ import annotations

import torch
from torch import Tensor

from rfga.methods.base import MapReader, ScoreMaps, one_for_all
from rfga.nn.components import component_shares

PATCHES = 100


class LOST(MapReader):
    """LOST (Simeoni et al., BMVC 2021): the same map for every class, from one photograph alone.

    "Localizing Objects with Self-Supervised Transformers and no Labels", arXiv:2109.14279, section 3.2: the
    seed is the place whose keys correlate positively with the fewest others. Of the 100 places of least
    degree, those that correlate positively with the seed add up to the object's key; the object is the seed's
    component among the places that correlate positively with it. The maps are shares of object, a half at
    that cut. A convolutional network has no keys: there it reads the last features, less their mean over the
    photograph (not in the paper). The authors' program is under the Apache licence.

    Args:
        method: trained, of any kind; its backbone is read.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> LOST(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits, and the one map of each photograph for all its classes."""
        logits, keys = self.logits_and_keys(images)
        return one_for_all(logits, expand_seed(keys), labels)


def expand_seed(keys: Tensor) -> Tensor:
    """Shares of object (B, h, w), a half where places begin to go with the seed's, from keys (B, C, h, w).

    Example:
        >>> keys = torch.tensor([[[[1.0, 1.0, -1.0, -1.0, -1.0]]]])  # two places against three
        >>> expand_seed(keys).tolist()
        [[[1.0, 1.0, 0.0, 0.0, 0.0]]]
    """
    places = keys.flatten(2).double()
    products = places.transpose(1, 2) @ places
    degrees = (products > 0).sum(2)
    order = degrees.argsort(dim=1, stable=True)[:, :PATCHES]
    seeds = order[:, 0]
    of_seed = products[torch.arange(len(keys), device=keys.device), seeds]
    takes_part = (of_seed.gather(1, order) > 0).double()
    chosen = torch.zeros_like(of_seed).scatter_(1, order, takes_part)
    along = torch.einsum("bn,bnm->bm", chosen, products).view(keys.shape[0], *keys.shape[2:])
    return component_shares(along, seeds).to(keys.dtype)
