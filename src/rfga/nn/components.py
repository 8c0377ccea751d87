"""The part of a map that hangs together with one place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def component_shares(values: Tensor, seeds: Tensor) -> Tensor:
    """Values as shares of object: above a half only where places above 0 hang together with the seed.

    Neighbours share a side. Values above 0 are divided by the component's largest, those below by the size
    of the smallest; what is above 0 elsewhere becomes a half.

    Args:
        values: (B, h, w); above 0 is object.
        seeds: (B,) int, the number of a place in each, row by row.

    Returns:
        (B, h, w) in [0, 1].

    Example:
        >>> component_shares(torch.tensor([[[2.0, 1.0, -4.0, 3.0]]]), torch.tensor([1])).tolist()
        [[[1.0, 0.75, 0.0, 0.5]]]
    """
    inside = component(values > 0, seeds)
    above = torch.where(inside, values, 0.0)
    below = torch.where(values < 0, values, 0.0)
    scaled = _divided(above) - _divided(-below)
    return 0.5 + 0.5 * scaled


def component(inside: Tensor, seeds: Tensor) -> Tensor:
    """The places of ``inside`` (B, h, w) that can be reached from the seed (B,) by sides: (B, h, w) of bool.

    Example:
        >>> component(torch.tensor([[[True, False, True]]]), torch.tensor([2])).tolist()
        [[[False, False, True]]]
    """
    reached = F.one_hot(seeds, inside[0].numel()).view_as(inside).bool() & inside
    while True:
        wide = F.max_pool2d(reached[:, None].float(), (3, 1), 1, (1, 0))
        tall = F.max_pool2d(reached[:, None].float(), (1, 3), 1, (0, 1))
        grown = (torch.maximum(wide, tall)[:, 0] > 0) & inside
        if torch.equal(grown, reached):
            return reached
        reached = grown


def _divided(values: Tensor) -> Tensor:
    largest = values.amax((1, 2), keepdim=True)
    return values / torch.where(largest > 0, largest, torch.ones_like(largest))
