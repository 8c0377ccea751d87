"""TokenCut: places are cut into two groups of like ones, of which the most salient place's is object."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.methods.base import MapReader, ScoreMaps, one_for_all
from rfga.nn.components import component_shares

TAU, EPSILON = 0.2, 1e-5


class TokenCut(MapReader):
    """TokenCut (Wang et al., CVPR 2022): the same map for every class, from one photograph alone.

    "Self-supervised Transformers for Unsupervised Object Discovery using Normalized Cut", arXiv:2202.11539,
    section 3.2: a graph of places, whose edges weigh 1 where the cosine of their keys exceeds 0.2 and 1e-5
    elsewhere, is cut by the second smallest eigenvector of its normalised Laplacian, at the vector's mean;
    the object is the component of the place where the vector is largest in size. The maps are shares of
    object, a half at that cut. A convolutional network has no keys: there it reads the last features, less
    their mean over the photograph (not in the paper; without it nearly all of them are alike). The authors'
    program is under the MIT licence.

    Args:
        method: trained, of any kind; its backbone is read.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> method = CAM(build_backbone("test_resnet"), num_classes=3)
        >>> TokenCut(method).localize(torch.randn(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits, and the one map of each photograph for all its classes."""
        logits, keys = self.logits_and_keys(images)
        return one_for_all(logits, cut(keys), labels)


def cut(keys: Tensor) -> Tensor:
    """Shares of object (B, h, w), a half at the cut, from keys (B, C, h, w).

    Example:
        >>> two_kinds = torch.tensor([[[[1.0, 1.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0, 1.0]]]])
        >>> (cut(two_kinds) > 0.5).int().tolist()
        [[[1, 1, 0, 0, 0]]]
    """
    units = F.normalize(keys.flatten(2).double(), dim=1)
    edges = torch.where(units.transpose(1, 2) @ units > TAU, 1.0, EPSILON).double()
    scale = edges.sum(2).rsqrt()
    vectors = torch.linalg.eigh(scale[:, :, None] * edges * scale[:, None, :]).eigenvectors
    second = vectors[:, :, -2] * scale  # of D - W in units of D
    seeds = second.abs().argmax(1)
    second = second * second.gather(1, seeds[:, None]).sign()
    above_mean = (second - second.mean(1, keepdim=True)).view(keys.shape[0], *keys.shape[2:])
    return component_shares(above_mean, seeds).to(keys.dtype)
