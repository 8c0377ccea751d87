"""Ridge regression from features to classes in closed form, from sums over any number of photographs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ClassSums", "Ridge", "class_sums", "solve_ridge"]

STRENGTHS = tuple(10.0 ** (k / 2) for k in range(-6, 5))
"""Of the regularisation, in units of the features' mean variance, to choose from."""


class ClassSums(NamedTuple):
    """What ridge regression needs to know of photographs; those of several parts add up."""

    photographs: Tensor  # () float64, n
    features: Tensor  # (C,): sum of x
    gram: Tensor  # (C, C): sum of x x'
    classes: Tensor  # (K,): how many photographs each class has
    moments: Tensor  # (C, K): sum of x for each class


class Ridge(NamedTuple):
    """A linear classifier: scores (x - mean) @ weights + shares, and what its leave-one-out scores need."""

    weights: Tensor  # (C, K)
    mean: Tensor  # (C,) of the features
    shares: Tensor  # (K,) of the classes among the photographs
    inverse: Tensor  # (C, C): (sum of (x - mean)(x - mean)' + n * strength * I)^-1
    photographs: float
    strength: float  # in units of the features' mean variance

    def scores(self, features: Tensor) -> Tensor:
        """(B, K) of features (B, C): about 1 for the class, 0 for the others."""
        return (features - self.mean) @ self.weights + self.shares

    def left_out(self, features: Tensor, targets: Tensor) -> Tensor:
        """The scores (B, K) that photographs of the sums, with ``targets`` (B, K), would have if left out.

        For ridge regression that is exact: y - (y - f) / (1 - h), h being what the photograph has of its own
        score (leverage; Allen's PRESS, 1974).
        """
        centred = features - self.mean
        leverage = 1 / self.photographs + torch.einsum("bc,cd,bd->b", centred, self.inverse, centred)
        truth = targets.to(features.dtype)
        return truth - (truth - self.scores(features)) / (1 - leverage).clamp_min(1e-9)[:, None]


def class_sums(features: Tensor, targets: Tensor, weights: Tensor | None = None) -> ClassSums:
    """The sums of a batch, in float64.

    Args:
        features: (B, C), one vector for each photograph.
        targets: (B, K), 1 for each of a photograph's classes, else 0.
        weights: (B,) of the photographs; 1 by default.

    Example:
        >>> sums = class_sums(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1, 0, 0], [1, 0, 1]]))
        >>> sums.classes.tolist(), sums.moments[:, 0].tolist()
        ([2.0, 0.0, 1.0], [4.0, 6.0])
    """
    x, truth = features.double(), targets.double()
    counts = torch.ones(len(x), dtype=x.dtype, device=x.device) if weights is None else weights.to(x)
    weighted = x * counts[:, None]
    return ClassSums(counts.sum(), weighted.sum(0), weighted.T @ x, counts @ truth, weighted.T @ truth)


def solve_ridge(sums: ClassSums, strength: float | None = None, squares: Tensor | None = None) -> Ridge:
    """The classifier of the sums.

    Args:
        sums: of all photographs.
        strength: of the regularisation, in units of the features' mean variance; by default the one of
            ``STRENGTHS`` with the least generalised cross-validation error (Golub, Heath and Wahba, 1979).
        squares: (K,) sum of the squared targets, where these are any numbers and not 0 or 1.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [0.0, 3.0], [2.0, 1.0], [2.0, 3.0]])
        >>> targets = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
        >>> ridge = solve_ridge(class_sums(x, targets), strength=1e-9)
        >>> ridge.scores(x.double()).round(decimals=3).abs().tolist()
        [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    n = sums.photographs
    mean, shares = sums.features / n, sums.classes / n
    gram = sums.gram - n * torch.outer(mean, mean)
    cross = sums.moments - n * torch.outer(mean, shares)
    unit = (gram.diagonal().mean() / n).clamp_min(torch.finfo(torch.float64).tiny)
    values, vectors = torch.linalg.eigh(gram)
    values, rotated = values.clamp_min(0), vectors.T @ cross
    if strength is None:
        squares = sums.classes if squares is None else squares  # an indicator is its own square
        total = (squares - n * shares.square()).sum()
        strength = min(STRENGTHS, key=lambda s: _gcv(values, rotated, total, n, float(s * n * unit)))
    penalty = strength * n * unit
    inverse = (vectors / (values + penalty)) @ vectors.T
    weights = vectors @ (rotated / (values + penalty)[:, None])
    return Ridge(weights, mean, shares, inverse, float(n), float(strength))


def _gcv(values: Tensor, rotated: Tensor, total: Tensor, count: Tensor, penalty: float) -> float:
    """Generalised cross-validation: the squared residuals over the squared share of freedom that is left."""
    shrunk = 1 / (values + penalty)
    squares = rotated.square().sum(1)
    residual = total - 2 * (squares * shrunk).sum() + (squares * values * shrunk.square()).sum()
    freedom = 1 + (values * shrunk).sum()
    return float(residual / (1 - freedom / count).clamp_min(1e-9).square())
