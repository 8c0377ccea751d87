"""Maps spread along the self-similarity of features: evidence found in a part reaches the parts alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]


def joined_features(stages: Sequence[Tensor], size_hw: Size) -> Tensor:
    """Features of several stages as one, so that their cosine is a mean of the stages' own.

    Each stage counts half as much as the one named before it.

    Args:
        stages: features (B, C, h, w) of any sizes, less what all places have in common.
        size_hw: height and width to which they are brought.

    Returns:
        (B, sum of all C, height, width), of unit length at each place where all stages have features.

    Example:
        >>> late, early = torch.ones(1, 3, 2, 2), torch.ones(1, 5, 4, 4)
        >>> joined_features([late, early], (4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """
    total = sum(0.5**k for k in range(len(stages)))
    units = (F.normalize(_brought_to(stage, size_hw), dim=1, eps=1e-6) for stage in stages)
    return torch.cat([unit * (0.5**k / total) ** 0.5 for k, unit in enumerate(units)], dim=1)


def similarity(places: Tensor, others: Tensor, power: float = 2.0) -> Tensor:
    """How alike places are to others: rectified cosines of their features, to a power, rows of sum one.

    Args:
        places: features (B, C, h, w), N = h * w places.
        others: features (B, C, h', w') of the same photographs, M = h' * w' places.
        power: the larger, the less do places that are alike by half take part.

    Returns:
        (B, N, M), row i with the shares that the others have in what place i becomes.

    Example:
        >>> alike = torch.tensor([[[[1.0, 2.0, 0.0]], [[0.0, 0.0, 1.0]]]])  # two places alike, and a third
        >>> similarity(alike, alike)
        tensor([[[0.5000, 0.5000, 0.0000],
                 [0.5000, 0.5000, 0.0000],
                 [0.0000, 0.0000, 1.0000]]])
    """
    rows, columns = (F.normalize(part.flatten(2), dim=1, eps=1e-6) for part in (places, others))
    cosines = (rows.transpose(1, 2) @ columns).clamp_min(0).pow(power)
    # A place without any feature is alike none, not even itself; it takes what is there where it lies.
    cosines = cosines + 1e-6 * _where_it_lies(places, others)
    return cosines / cosines.sum(2, keepdim=True)


def spread(maps: Tensor, shares: Tensor, size_hw: Size | None = None) -> Tensor:
    """Let every place take the mean of the places of maps that are alike it.

    Args:
        maps: (B, n, h, w), M = h * w places.
        shares: (B, N, M), of ``similarity``.
        size_hw: height and width of the N places, where they are not those of the maps.

    Returns:
        (B, n, height, width); constant maps stay as they are.

    Example:
        >>> shares = torch.tensor([[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]])
        >>> spread(torch.tensor([[[[4.0, 0.0, 1.0]]]]), shares)
        tensor([[[[2., 2., 1.]]]])
    """
    rows = shares @ maps.flatten(2).transpose(1, 2)
    return rows.transpose(1, 2).reshape(*maps.shape[:2], *(size_hw or maps.shape[2:]))


def spread_along(maps: Tensor, stages: Sequence[Tensor], power: float = 2.0, times: int = 2) -> Tensor:
    """Spread maps several times along joined features, the last time onto the grid of an earlier stage.

    Args:
        maps: (B, n, h, w).
        stages: features of the same photographs, the latest stage first; the second gives the grid of what
            comes out, unless the maps' own is finer.
        power: as of ``similarity``.
        times: how often; 0 leaves the maps as they are.

    Returns:
        (B, n, h', w').

    Example:
        >>> late, early = torch.rand(1, 3, 2, 2), torch.rand(1, 5, 4, 4)
        >>> spread_along(torch.rand(1, 1, 2, 2), [late, early]).shape
        torch.Size([1, 1, 4, 4])
    """
    if not times:
        return maps
    coarse_hw: Size = (maps.shape[2], maps.shape[3])
    coarse = joined_features(stages, coarse_hw)
    if times > 1:
        shares = similarity(coarse, coarse, power).to(maps.dtype)
        for _ in range(times - 1):
            maps = spread(maps, shares)
    fine_hw = coarse_hw
    if len(stages) > 1:
        fine_hw = (max(coarse_hw[0], stages[1].shape[2]), max(coarse_hw[1], stages[1].shape[3]))
    fine = coarse if fine_hw == coarse_hw else joined_features(stages, fine_hw)
    return spread(maps, similarity(fine, coarse, power).to(maps.dtype), fine_hw)


def _brought_to(features: Tensor, size_hw: Size) -> Tensor:
    """Averaged where there are more places than asked for, else interpolated."""
    if tuple(features.shape[2:]) == tuple(size_hw):
        return features
    if features.shape[2] >= size_hw[0] and features.shape[3] >= size_hw[1]:
        return F.interpolate(features, size=size_hw, mode="area")
    return F.interpolate(features, size=size_hw, mode="bilinear", align_corners=False)


def _where_it_lies(places: Tensor, others: Tensor) -> Tensor:
    """(N, M): one at the other place that a place lies in."""
    of_rows, of_columns = (
        torch.arange(n, device=places.device) * m // n
        for n, m in zip(places.shape[2:], others.shape[2:], strict=True)
    )
    index = (of_rows[:, None] * others.shape[3] + of_columns).flatten()
    every = torch.arange(others.shape[2] * others.shape[3], device=places.device)
    return (index[:, None] == every).to(places.dtype)
