"""How large the network should see the photographs, and where maps of small objects are cut: without any box.

What a place says is taken from a surrounding of so many pixels of the input, whatever the object's size.
Around a small object this makes a rim that counts as object, and a box with it. The rim gives itself away:
seen larger, the same object has a smaller box. An object that is large enough keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rfga.data.base import Dataset
from rfga.data.transforms import SampleImages
from rfga.engine.run.model import normalised
from rfga.engine.runtime.devices import batch_on
from rfga.geometry.boxes import iou
from rfga.geometry.levelsets import components
from rfga.geometry.maps import score_maps
from rfga.methods.base import Method
from rfga.types import FloatArray, Sample

LARGER = 1.5
"""Times the input's side: boxes of both are compared."""
SHRINKS = 1.25
"""From so many times the side that a box has in the larger input, its rim counts more than its object."""
FRACTIONS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Of a map's maximum, at which boxes of both inputs may agree."""
_BATCH = 8


def shrinking(plain: FloatArray, larger: FloatArray) -> float:
    """Median of how many times as long the side of a box is as that of the same photograph, seen larger.

    Args:
        plain: (n, 4) edges, x0, y0, x1, y1; a photograph without box has zeros, and does not count.
        larger: (n, 4) in the same units.

    Returns:
        1 where no photograph has a box in both.

    Example:
        >>> shrinking(np.array([[0.0, 0.0, 3.0, 3.0]]), np.array([[1.0, 1.0, 3.0, 3.0]]))
        1.5
    """
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (plain, larger)]
    both = np.logical_and(*areas)
    return float(np.median(np.sqrt(areas[0][both] / areas[1][both]))) if both.any() else 1.0


def steadiest(plain: FloatArray, larger: FloatArray) -> int:
    """The index of the fraction at which boxes of both inputs agree most: there they have no rim.

    Args:
        plain: (n, F, 4) boxes at each of F fractions.
        larger: (n, F, 4).

    Example:
        >>> plain = np.array([[[0, 0, 4, 4], [1, 1, 3, 3.0]]])
        >>> steadiest(plain, np.array([[[1, 1, 3, 3], [1, 1, 3, 3.0]]]))
        1
    """
    agreement = [
        np.mean([iou(a[None], b[None])[0, 0] for a, b in zip(*pair, strict=True)])
        for pair in zip(np.swapaxes(plain, 0, 1), np.swapaxes(larger, 0, 1), strict=True)
    ]
    return int(np.argmax(agreement))


def level_at(fraction: float, level: Tensor) -> Tensor:
    """The level whose shares are a half where those of ``level`` are ``fraction``; see ``as_share``.

    Example:
        >>> from rfga.nn.foreground import as_share
        >>> level = torch.tensor(0.2)
        >>> as_share(level_at(0.8, level), level).item(), level_at(0.5, level).item()  # doctest: +ELLIPSIS
        (0.8..., 0.2...)
    """
    return level + (2 * fraction - 1) * (1 - level)


def seen_twice(
    method: Method, dataset: Dataset, samples: Sequence[Sample], image_size: int, fractions: Sequence[float]
) -> tuple[FloatArray, FloatArray]:
    """The boxes of photographs as the network sees them, and ``LARGER``; for all else see ``boxes_at``."""
    sides = (image_size, method.backbone.layout.fitting(LARGER * image_size))
    plain, larger = (boxes_at(method, dataset, samples, side, fractions) for side in sides)
    return plain, larger


@torch.no_grad()
def boxes_at(
    method: Method, dataset: Dataset, samples: Sequence[Sample], image_size: int, fractions: ArrayLike
) -> FloatArray:
    """The largest box of each photograph at some fractions of its map's maximum.

    Args:
        method: whose maps are shares of object, as it has learned so far.
        dataset: of the photographs.
        samples: n photographs, each with its class.
        image_size: side of the square that the network sees.
        fractions: F of them.

    Returns:
        (n, F, 4) edges in pixels of a map of 224 x 224; zeros where is none.

    Raises:
        UserError: a photograph that cannot be read.
    """
    images = SampleImages(dataset, samples, image_size, None)
    device = next(method.buffers()).device
    size = batch_on(device, _BATCH)
    found = np.zeros((len(samples), np.size(fractions), 4))
    for begin in range(0, len(samples), size):
        rows = range(begin, min(begin + size, len(samples)))
        pixels = torch.stack([images[row][0] for row in rows]).to(device)
        labels = torch.tensor([samples[row].label for row in rows], device=device)
        maps = method.localize(normalised(pixels, method.backbone), labels).maps[:, 0]
        for row, one in zip(rows, score_maps(maps.cpu().double().numpy(), "none"), strict=True):
            for place, boxes in enumerate(components(one, fractions)):
                if len(boxes):
                    found[row, place] = boxes[0, :4] + (0, 0, 1, 1)
    return found
