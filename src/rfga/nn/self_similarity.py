"""Maps spread along the self-similarity of features: evidence found in a part reaches the parts alike."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def self_similarity(features: Tensor, power: float = 2.0) -> Tensor:
    """How alike the places of an image are: rectified cosines of their features, to a power, rows of sum one.

    Args:
        features: (B, C, h, w), less what all places have in common; N = h * w places.
        power: the larger, the less do places that are alike by half take part.

    Returns:
        (B, N, N), row i with the shares that the places have in what place i becomes.

    Example:
        >>> alike = torch.tensor([[[[1.0, 2.0, 0.0]], [[0.0, 0.0, 1.0]]]])  # two places alike, and a third
        >>> self_similarity(alike)
        tensor([[[0.5000, 0.5000, 0.0000],
                 [0.5000, 0.5000, 0.0000],
                 [0.0000, 0.0000, 1.0000]]])
    """
    unit = F.normalize(features.flatten(2), dim=1, eps=1e-6)
    cosines = (unit.transpose(1, 2) @ unit).clamp_min(0).pow(power)
    # A place without any feature is alike none, not even itself; it keeps what it has.
    cosines = cosines + 1e-6 * torch.eye(cosines.shape[-1], dtype=cosines.dtype, device=cosines.device)
    return cosines / cosines.sum(2, keepdim=True)


def spread(maps: Tensor, similarity: Tensor, times: int = 1) -> Tensor:
    """Let every place of maps take the mean of the places alike it.

    Args:
        maps: (B, n, h, w).
        similarity: (B, N, N) with N = h * w, of ``self_similarity``.
        times: how often.

    Returns:
        (B, n, h, w); constant maps stay as they are.

    Example:
        >>> similarity = torch.tensor([[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]])
        >>> spread(torch.tensor([[[[4.0, 0.0, 1.0]]]]), similarity)
        tensor([[[[2., 2., 1.]]]])
    """
    rows = maps.flatten(2).transpose(1, 2)
    for _ in range(times):
        rows = similarity @ rows
    return rows.transpose(1, 2).reshape(maps.shape)
