"""Two maps of one photograph as one: the collection's own, and that of a network that was learned from masks.

Both are shares of object, a half where object begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfga.geometry.boxes import iou
from rfga.geometry.levelsets import component_boxes
from rfga.types import FloatArray

AGREED = 0.6
"""IoU of both maps' boxes from which they are taken to mean the same object."""


@dataclass(frozen=True, eq=False)
class Fused:
    """What two maps say together."""

    shares: FloatArray  # (h, w)
    agreement: float  # IoU of the boxes of both maps, 0 where one has none


def fuse(own: FloatArray, witness: FloatArray) -> Fused:
    """Where both have the same box, the witness's map, which is finer; else the own, which knows the class.

    The product of both was tried instead: it lost boxes where both see different things (docs/witness.md).

    Args:
        own: (h, w) shares of object.
        witness: (h, w) likewise.

    Example:
        >>> own, witness = np.array([[0.9, 0.8, 0.1, 0.1]]), np.array([[0.1, 0.9, 0.9, 0.9]])
        >>> found = fuse(own, witness)
        >>> found.shares.tolist(), round(found.agreement, 2)
        ([[0.9, 0.8, 0.1, 0.1]], 0.25)
    """
    agreement = float(iou(box_of(own), box_of(witness)).max(initial=0.0))
    return Fused(witness if agreement >= AGREED else own, agreement)


def box_of(shares: FloatArray) -> FloatArray:
    """The box of the largest part above half the maximum: (1, 4) edges in pixels, or (0, 4).

    Example:
        >>> box_of(np.array([[0.2, 0.6, 0.9, 0.1]]))
        array([[1., 0., 3., 1.]])
    """
    found = component_boxes(shares, 0.5, 1).reshape(-1, 4)
    edges: FloatArray = found + np.array([0.0, 0.0, 1.0, 1.0])
    return edges


def as_shares(score_map: FloatArray, level: float) -> FloatArray:
    """A map in [0, 1] on a scale where its level is a half.

    Example:
        >>> as_shares(np.array([[0.1, 0.2, 0.6]]), 0.2)
        array([[0.25, 0.5 , 0.75]])
    """
    below, above = 0.5 * score_map / max(level, 1e-9), 0.5 + 0.5 * (score_map - level) / max(1 - level, 1e-9)
    shares: FloatArray = np.where(score_map < level, below, above).clip(0.0, 1.0)
    return shares


def from_shares(shares: FloatArray, level: float) -> FloatArray:
    """The inverse of ``as_shares``.

    Example:
        >>> from_shares(np.array([[0.25, 0.5, 0.75]]), 0.2).round(3)
        array([[0.1, 0.2, 0.6]])
    """
    below, above = 2 * shares * level, level + (2 * shares - 1) * (1 - level)
    score_map: FloatArray = np.where(shares < 0.5, below, above)
    return score_map
