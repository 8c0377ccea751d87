"""The foreground of a collection: a linear discriminant in closed form that tells object from background.

A seed is a place that a score map calls surely object or surely background. What the seeds of all photographs
have in common is learned by weighted least squares, so from sums over the collection alone: they stream, and
those of several processes add up. That is discriminative clustering with square loss (DIFFRAC: Bach and
Harchaoui, NIPS 2007; co-segmentation: Joulin, Bach and Ponce, CVPR 2010), started from maps of a classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rfga.nn.self_similarity import Size, joined_features

__all__ = [
    "SeedSums",
    "as_share",
    "background_sums",
    "discriminant",
    "place_vectors",
    "seed_error",
    "seed_sums",
    "seeds",
]

FEATURE_SCALE = 10.0
"""Of the joined features, which have unit length, beside the constant 1."""


class SeedSums(NamedTuple):
    """What least squares need to know of any number of seeds; those of several photographs add up.

    Leading dimensions, such as classes, may come before those named.
    """

    gram: Tensor  # (..., D, D) float64: weighted sum of x x'
    moment: Tensor  # (..., D): weighted sum of x t, t = +1 for object and -1 for background
    weight: Tensor  # (...): sum of the weights

    @classmethod
    def none(cls, groups: tuple[int, ...], size: int) -> SeedSums:
        """Of no seed: zeros for each of ``groups``, of vectors of ``size`` numbers."""
        shapes = ((*groups, size, size), (*groups, size), groups)
        return cls(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))

    @classmethod
    def named(cls, sums: Mapping[str, Tensor], prefix: str = "") -> SeedSums:
        """Those that lie by their names among others."""
        return cls(*(sums[prefix + name] for name in cls._fields))

    def over(self, *dims: int) -> SeedSums:
        """The sums over some of the leading dimensions, counted from the first."""
        return SeedSums(*(part.sum(dims) if dims else part for part in self))

    def __add__(self, other: object) -> SeedSums:
        """Of both together."""
        if not isinstance(other, SeedSums):
            return NotImplemented
        return SeedSums(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: SeedSums) -> SeedSums:
        """Of these without the others."""
        return SeedSums(*(a - b for a, b in zip(self, other, strict=True)))

    def mixed(self, other: SeedSums, share: Tensor | float) -> SeedSums:
        """Both, each divided by its weight: ``share`` of these and the rest of the other."""
        own, its = (_divided(part) for part in (self, other))
        return SeedSums(*(share * a + (1 - share) * b for a, b in zip(own, its, strict=True)))


def place_vectors(stages: Sequence[Tensor], size_hw: Size, components: Tensor | None = None) -> Tensor:
    """What the discriminant sees of every place: joined features of several stages, and a constant.

    Args:
        stages: features (B, C, h, w), the latest stage first, less what all places have in common.
        size_hw: of the grid of places.
        components: (sum of all C, fewer) of ``nn.principal``, to which wide features are narrowed.

    Returns:
        (B, N, D), N = height * width, D = sum of all C, or fewer, and 1.

    Example:
        >>> late, early = torch.ones(1, 3, 2, 2), torch.ones(1, 5, 4, 6)
        >>> place_vectors([late, early], (4, 6)).shape
        torch.Size([1, 24, 9])
    """
    joined = (joined_features(stages, size_hw) * FEATURE_SCALE).flatten(2).transpose(1, 2)
    if components is not None:
        joined = joined @ components.to(joined.dtype)
    return torch.cat([joined, torch.ones_like(joined[..., :1])], dim=2)


def seeds(maps: Tensor, above: float = 0.5, below: float = 0.15) -> tuple[Tensor, Tensor]:
    """The sure places of score maps: in each photograph those of each kind weigh 1 together.

    Args:
        maps: (B, h, w) in [0, 1].
        above: what exceeds it is object.
        below: what is below it is background.

    Returns:
        Weights (B, N) and signs (B, N): +1 object, -1 background, 0 neither, whose weight is 0.

    Example:
        >>> weights, signs = seeds(torch.tensor([[[0.9, 0.8, 0.3], [0.1, 0.0, 0.1]]]))
        >>> signs.tolist()
        [[1.0, 1.0, 0.0, -1.0, -1.0, -1.0]]
        >>> weights.sum().item()
        2.0
    """
    values = maps.flatten(1)
    object_, background = (values > above).to(maps.dtype), (values < below).to(maps.dtype)
    weights = sum(kind / kind.sum(1, keepdim=True).clamp_min(1) for kind in (object_, background))
    return torch.as_tensor(weights), object_ - background


def seed_sums(vectors: Tensor, weights: Tensor, signs: Tensor) -> SeedSums:
    """The sums of some photographs.

    Args:
        vectors: (B, N, D) of ``place_vectors``.
        weights: (B, N) of ``seeds``.
        signs: (B, N) of ``seeds``.

    Example:
        >>> vectors = torch.tensor([[[1.0, 1.0], [-1.0, 1.0], [3.0, 1.0]]])
        >>> weights, signs = torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[1.0, -1.0, 0.0]])
        >>> sums = seed_sums(vectors, weights, signs)
        >>> sums.moment.tolist(), sums.weight.item()
        ([2.0, 0.0], 2.0)
        >>> discriminant(sums, ridge=0.0).round(decimals=6).tolist()
        [1.0, 0.0]
    """
    sure = weights > 0
    x, w, t = vectors[sure].double(), weights[sure].double(), signs[sure].double()
    weighted = x * w[:, None]
    return SeedSums(weighted.T @ x, weighted.T @ t, w.sum())


def background_sums(vectors: Tensor) -> SeedSums:
    """The sums of photographs without any object: all places are background, of each photograph weighing 1.

    Args:
        vectors: (B, N, D) of ``place_vectors``.

    Example:
        >>> sums = background_sums(torch.tensor([[[2.0, 1.0], [4.0, 1.0]]]))
        >>> sums.moment.tolist(), sums.weight.item()
        ([-3.0, -1.0], 1.0)
    """
    signs = -torch.ones(vectors.shape[:2], dtype=torch.float64, device=vectors.device)
    return seed_sums(vectors, -signs / vectors.shape[1], signs)


def discriminant(sums: SeedSums, ridge: float = 0.01) -> Tensor:
    """R (..., D) that minimises the mean of w (x.r - t)^2 + ridge |r|^2; zeros where there are no seeds."""
    gram, moment, _ = _divided(sums)
    eye = torch.eye(moment.shape[-1], dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.cholesky(gram + max(ridge, 1e-12) * eye)
    return torch.cholesky_solve(moment[..., None], factor)[..., 0]


def seed_error(r: Tensor, sums: SeedSums) -> Tensor:
    """The weighted sum of (x.r - t)^2 over the seeds of ``sums``: (...), from the sums alone.

    Example:
        >>> sums = seed_sums(torch.ones(1, 2, 1), torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, -1.0]]))
        >>> seed_error(torch.tensor([0.0], dtype=torch.float64), sums).item()  # both are missed by 1
        2.0
    """
    squared = torch.einsum("...d,...de,...e->...", r, sums.gram, r)
    return squared - 2 * (r * sums.moment).sum(-1) + sums.weight


def as_share(maps: Tensor, level: Tensor) -> Tensor:
    """Values of a discriminant, in [-1, 1], as shares of object in [0, 1] that are a half at the level.

    Example:
        >>> as_share(torch.tensor([-1.0, 0.2, 0.6, 1.0]), torch.tensor(0.2))
        tensor([0.0000, 0.5000, 0.7500, 1.0000])
    """
    above_level = maps - level
    below, above = above_level / (1 + level), above_level / (1 - level)
    return (0.5 + 0.5 * torch.where(above_level < 0, below, above)).clamp(0, 1)


def _divided(sums: SeedSums) -> SeedSums:
    by = sums.weight.clamp_min(torch.finfo(torch.float64).tiny)
    return SeedSums(sums.gram / by[..., None, None], sums.moment / by[..., None], sums.weight / by)
