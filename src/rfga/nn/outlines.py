"""What boxes teach the foreground: places outside them are background, inside them the likeliest are object.

The sums are those of seeds (`rfga.nn.foreground`), so that a box weighs what it is given beside them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rfga.nn.foreground import SeedSums, discriminant, seed_sums

__all__ = ["Outlined", "box_sums", "inside_boxes", "taught"]

SURELY_OBJECT = 0.5
"""The part of the places in a box, the highest of them, that is taken for object."""


class Outlined(NamedTuple):
    """A photograph whose boxes are known."""

    vectors: Tensor  # (N, D) of ``place_vectors``
    inside: Tensor  # (n, N) bool of ``inside_boxes``; of no box, all places are background
    label: int  # class, below 0 for none


def inside_boxes(boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The places whose middle lies in each box; of a box too small for any, the place that it is in.

    Args:
        boxes: (n, 4) edges x0, y0, x1, y1 as fractions of width and height.
        size_hw: of the grid of places.

    Returns:
        (n, N) bool.

    Example:
        >>> inside_boxes(torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.9, 0.1, 0.95, 0.2]]), (1, 4)).tolist()
        [[True, True, False, False], [False, False, False, True]]
    """
    height, width = size_hw
    x = (torch.arange(width, dtype=boxes.dtype) + 0.5) / width
    y = (torch.arange(height, dtype=boxes.dtype) + 0.5) / height
    x0, y0, x1, y1 = boxes.T[..., None]
    inside = ((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None, :]
    found = inside.flatten(1)
    middle_x = ((x0 + x1) / 2 * width).long().clamp(0, width - 1)
    middle_y = ((y0 + y1) / 2 * height).long().clamp(0, height - 1)
    nearest = torch.zeros_like(found).scatter(1, middle_y * width + middle_x, True)
    return torch.where(found.any(1, keepdim=True), found, nearest)


def box_sums(photograph: Outlined, r: Tensor | None = None) -> SeedSums:
    """The sums of a photograph's true seeds, those of each kind weighing 1 together.

    Args:
        photograph: with N places.
        r: (D,) discriminant that says which places in a box are object; by default all of them are.

    Example:
        >>> vectors = torch.tensor([[3.0, 1.0], [1.0, 1.0], [-1.0, 1.0]])
        >>> inside = torch.tensor([[True, True, False]])
        >>> box_sums(Outlined(vectors, inside, 0)).moment.tolist()
        [3.0, 0.0]
        >>> box_sums(Outlined(vectors, inside, 0), torch.tensor([1.0, 0.0])).moment.tolist()
        [4.0, 0.0]
    """
    inside = photograph.inside
    outside = ~inside.any(0)
    if r is not None and len(inside):
        values = (photograph.vectors @ r.to(photograph.vectors.dtype)).expand(len(inside), -1)
        held = values.masked_fill(~inside, torch.nan)
        inside = inside & (values >= held.nanquantile(1 - SURELY_OBJECT, dim=1, keepdim=True))
    object_ = inside.any(0)
    weights = object_.double() / object_.sum().clamp_min(1) + outside.double() / outside.sum().clamp_min(1)
    return seed_sums(photograph.vectors[None], weights[None], (object_.double() - outside.double())[None])


def taught(own: SeedSums, of_boxes: SeedSums, classes: SeedSums, share: float, weight: float) -> Tensor:
    """(K, D) discriminants of seeds and of boxes.

    Args:
        own: sums (K, ...) of seeds as they are mixed without any box, each of weight 1.
        of_boxes: sums (...) of all boxes.
        classes: sums (K, ...) of the boxes of each class.
        share: of all boxes in each class's; a class without a box has those of all.
        weight: of the boxes beside the seeds, from 0 to 1.
    """
    none = classes.weight <= 0
    filled = SeedSums(
        *(
            torch.where(none.view(-1, *[1] * every.ndim), every, part)
            for every, part in zip(of_boxes, classes, strict=True)
        )
    )
    return discriminant(of_boxes.mixed(filled, share).mixed(own, weight))
