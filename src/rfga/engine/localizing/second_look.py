"""A second look at each box: cut out, mirrored and enlarged to the network's input, does it fill the map?

A box that is much larger than its object shows: seen alone, the object fills a part of it only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.geometry.box_evidence import map_level
from rfga.geometry.levelsets import component_boxes
from rfga.types import FloatArray

SECOND_LOOK = ("agreement", "second_level")
"""Columns of ``second_look``.

``agreement``: IoU of the box with the one that the network finds in it; ``second_level``: mean of the raw map
of the box alone, as a fraction of its maximum.
"""

Look = Callable[[Tensor, Tensor], tuple[FloatArray, FloatArray]]
"""Pixels (B, 3, S, S) uint8 and classes (B,) -> raw maps (B, h, w) and score maps (B, 224, 224)."""


def second_look(
    look: Look, pixels: Tensor, labels: Tensor, boxes: Sequence[FloatArray], threshold: float
) -> FloatArray:
    """What a network says of every box of a batch by itself: one further pass for each box of a photograph.

    A photograph without its n-th box enters the n-th pass blank, since convolutions round differently at
    other batch sizes.

    Args:
        look: the network.
        pixels: (B, 3, S, S) uint8.
        labels: (B,) the classes of the boxes.
        boxes: B arrays (n, 4), edges as fractions of width and height.
        threshold: of the boxes, a fraction of a map's maximum.

    Returns:
        (B, N, 2), N the largest number of boxes; the columns are ``SECOND_LOOK``, zeros where is no box.
    """
    most = max((len(edges) for edges in boxes), default=0)
    seen = np.zeros((len(boxes), most, len(SECOND_LOOK)))
    for number in range(most):
        parts = torch.zeros_like(pixels)
        rows = [row for row, edges in enumerate(boxes) if number < len(edges)]
        for row in rows:
            parts[row] = enlarged(pixels[row], boxes[row][number])
        raw_maps, maps = look(parts, labels)
        for row in rows:
            x0, y0, x1, y1 = [*component_boxes(maps[row], threshold).tolist(), [0, 0, -1, -1]][0]
            # The whole part is the box, so what both cover is what was found.
            seen[row, number] = (x1 + 1 - x0) * (y1 + 1 - y0) / maps[row].size, map_level(raw_maps[row])
    return seen


def enlarged(pixels: Tensor, edges: FloatArray) -> Tensor:
    """A box of a photograph (3, S, S) uint8, mirrored and resized to its size.

    Args:
        pixels: the photograph.
        edges: x0, y0, x1, y1 as fractions of width and height; at least a pixel is taken.

    Example:
        >>> photograph = torch.arange(4, dtype=torch.uint8).expand(3, 4, 4)
        >>> enlarged(photograph, np.array([0.5, 0.0, 1.0, 1.0]))[0, 0].tolist()
        [3, 3, 2, 2]
    """
    height, width = pixels.shape[1:]
    x0, x1 = _pixels(edges[0], edges[2], width)
    y0, y1 = _pixels(edges[1], edges[3], height)
    part = pixels[None, :, y0:y1, x0:x1].flip(-1).float()
    resized = F.interpolate(part, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return resized[0].round().clamp(0, 255).byte()


def _pixels(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(round(low * size), 0), size - 1)
    return first, min(max(round(high * size), first + 1), size)
