"""Principal components of features, from sums over a collection: what wide networks are narrowed to.

Sums for discriminants are the square of what is kept of a place, for each class and part of the collection:
of a ResNet50's 1,792 numbers 26 megabytes each. Most of what these say lies in a few directions.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

import torch
from torch import Tensor

__all__ = ["WIDEST", "add_moments", "kept_widths", "means_of", "no_moments", "principal_components"]

WIDEST = 384
"""Numbers of a place that are kept at most, evenly of all stages."""


def kept_widths(widths: Sequence[int], widest: int = WIDEST) -> list[int]:
    """How many components are kept of each stage: all where there are not too many together.

    Example:
        >>> kept_widths([96, 32, 24]), kept_widths([1024, 512, 256]), kept_widths([1024, 24])
        ([96, 32, 24], [128, 128, 128], [192, 24])
    """
    if sum(widths) <= widest:
        return list(widths)
    return [min(width, widest // len(widths)) for width in widths]


def no_moments(widths: Sequence[int]) -> dict[str, Tensor]:
    """The sums of no photograph; squares only where features are too wide to keep."""
    zeros = {"count": torch.zeros((), dtype=torch.float64)}
    zeros["features"] = torch.zeros(sum(widths), dtype=torch.float64)
    if kept_widths(widths) != list(widths):
        zeros |= {f"squares.{k}": torch.zeros(w, w, dtype=torch.float64) for k, w in enumerate(widths)}
    return zeros


def add_moments(sums: MutableMapping[str, Tensor], stages: Sequence[Tensor]) -> None:
    """Add photographs to ``no_moments``, each with the mean over its places.

    Args:
        sums: changed in place.
        stages: features (B, C, h, w).
    """
    sums["count"] += len(stages[0])
    sums["features"] += torch.cat([stage.double().mean((2, 3)) for stage in stages], dim=1).sum(0).cpu()
    for k, stage in enumerate(stages):
        if f"squares.{k}" in sums:
            places = stage.flatten(2)
            squares = torch.einsum("bcn,bdn->cd", places, places) / places.shape[2]
            sums[f"squares.{k}"] += squares.double().cpu()


def means_of(sums: MutableMapping[str, Tensor]) -> Tensor:
    """(sum of all C): what all places have in common."""
    return sums["features"] / sums["count"]


def principal_components(sums: MutableMapping[str, Tensor], widths: Sequence[int]) -> Tensor:
    """Directions in which places differ most, of each stage by itself.

    Returns:
        (sum of all C, sum of ``kept_widths``), orthonormal columns; zero where rows are of another stage.

    Example:
        >>> stage = torch.randn(2, 500, 4, 6) * torch.arange(500)[:, None, None]
        >>> add_moments(sums := no_moments([500]), [stage])
        >>> components = principal_components(sums, [500])
        >>> components.shape, bool(torch.allclose(components.T @ components, torch.eye(384).double()))
        (torch.Size([500, 384]), True)
    """
    kept = kept_widths(widths)
    components = torch.zeros(sum(widths), sum(kept), dtype=torch.float64)
    means = torch.split(means_of(sums), list(widths))
    row = column = 0
    for k, (width, few) in enumerate(zip(widths, kept, strict=True)):
        covariance = sums[f"squares.{k}"] / sums["count"] - torch.outer(means[k], means[k])
        largest = torch.linalg.eigh(covariance).eigenvectors[:, -few:]
        components[row : row + width, column : column + few] = largest
        row, column = row + width, column + few
    return components
