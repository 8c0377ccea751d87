"""Maps that follow the edges of their photograph: the guided filter with a guide of three colours."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["follow_edges", "guided_filter"]


def follow_edges(maps: Tensor, images: Tensor) -> Tensor:
    """Maps of ``images`` on a grid of half their sides, with edges where these have them.

    Args:
        maps: (B, n, h, w).
        images: (B, 3, H, W), colours to the scale of [0, 1]; their mean is of no account.

    Returns:
        (B, n, H // 2, W // 2).

    Example:
        >>> follow_edges(torch.zeros(1, 2, 4, 6), torch.rand(1, 3, 64, 96)).shape
        torch.Size([1, 2, 32, 48])
    """
    size_hw = (images.shape[2] // 2, images.shape[3] // 2)
    guide = F.interpolate(images, size=size_hw, mode="area")
    fine = F.interpolate(maps, size=size_hw, mode="bicubic", align_corners=False)
    return guided_filter(fine, guide.to(fine.dtype), radius=max(1, round(size_hw[0] / 14)))


def guided_filter(maps: Tensor, guide: Tensor, radius: int = 8, epsilon: float = 1e-4) -> Tensor:
    """In each window the linear function of the colours that comes nearest to the map, averaged over windows.

    He, Sun and Tang, "Guided image filtering", ECCV 2010, equations 14 to 16.

    Args:
        maps: (B, n, h, w).
        guide: (B, 3, h, w), the photographs with colours in [0, 1].
        radius: of the square windows, in pixels; at the border they are as large as the picture allows.
        epsilon: the larger, the smoother: variance of colours below which they are taken for one.

    Returns:
        (B, n, h, w).

    Raises:
        ValueError: the guide is not of three colours, or of another size than the maps.

    Example:
        >>> step = torch.zeros(1, 1, 8, 12); step[..., 6:] = 1.0
        >>> blurred = torch.linspace(0, 1, 12).expand(1, 1, 8, 12)
        >>> sharper = guided_filter(blurred, step.expand(1, 3, 8, 12), radius=3)
        >>> bool(sharper[0, 0, 4, 5] < blurred[0, 0, 4, 5] < blurred[0, 0, 4, 6] < sharper[0, 0, 4, 6])
        True
    """
    if guide.shape != (maps.shape[0], 3, *maps.shape[2:]):
        raise ValueError(
            f"expected a guide of three colours, {(maps.shape[0], 3, *maps.shape[2:])}, found "
            f"{tuple(guide.shape)}: resize the photographs to the maps"
        )
    guide = guide - guide.mean((2, 3), keepdim=True)  # so that variances keep their digits
    average = _window_means(guide, radius)
    mean, of_maps = average(guide), average(maps)
    pairs = torch.cat([guide[:, i : i + 1] * guide[:, j : j + 1] for i, j in _PAIRS], dim=1)
    covered = average(pairs) - torch.cat([mean[:, i : i + 1] * mean[:, j : j + 1] for i, j in _PAIRS], dim=1)
    inverse = _inverse(covered, epsilon)
    filtered = []
    for one, its_mean in zip(torch.split(maps, 1, dim=1), torch.split(of_maps, 1, dim=1), strict=True):
        common = average(guide * one) - mean * its_mean  # (B, 3, h, w)
        slopes = torch.cat([(row * common).sum(1, keepdim=True) for row in inverse], dim=1)
        offset = its_mean - (slopes * mean).sum(1, keepdim=True)
        filtered.append((average(slopes) * guide).sum(1, keepdim=True) + average(offset))
    return torch.cat(filtered, dim=1)


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _window_means(like: Tensor, radius: int) -> Callable[[Tensor], Tensor]:
    """Means over squares: along the columns and the rows, as products, six times as fast as pooling."""
    down, along = (_means(side, radius, like) for side in like.shape[2:])
    return lambda values: down @ values @ along.T


def _means(side: int, radius: int, like: Tensor) -> Tensor:
    """(side, side): row i takes the mean of the values around i, of as many as there are."""
    place = torch.arange(side, device=like.device)
    near = ((place[:, None] - place).abs() <= radius).to(like.dtype)
    return near / near.sum(1, keepdim=True)


def _inverse(covariance: Tensor, epsilon: float) -> list[Tensor]:
    """The rows (B, 3, h, w) of the inverse of symmetric 3x3 matrices, epsilon added to their diagonal."""
    rr, rg, rb, gg, gb, bb = torch.split(covariance, 1, dim=1)
    rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
    first = (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg)
    second = (first[1], rr * bb - rb * rb, rg * rb - rr * gb)
    third = (first[2], second[2], rr * gg - rg * rg)
    determinant = rr * first[0] + rg * first[1] + rb * first[2]
    return [torch.cat(row, dim=1) / determinant for row in (first, second, third)]
