"""Batches of photographs as the network wants them, from their files or from what was kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rfga.data.images import read_image, read_size
from rfga.data.transforms import eval_transform
from rfga.engine.run.shelf import Held
from rfga.types import UserError

Paths = Sequence[Path | None]


@dataclass(frozen=True, slots=True, eq=False)
class ReadBatch:
    """Photographs as the network wants them; where one was not asked for or cannot be read, zeros."""

    pixels: Tensor  # (B, 3, S, S) uint8
    sizes_hw: list[tuple[int, int] | None]  # of the original photographs
    reasons: list[str]  # why one cannot be read


def read_batch(paths: Paths, image_size: int) -> ReadBatch:
    """Photographs resized to squares of ``image_size`` pixels; a bad one comes with its reason.

    Example:
        >>> batch = read_batch([None, Path("lost.jpg")], 32)
        >>> batch.pixels.shape, batch.sizes_hw, batch.reasons[1]
        (torch.Size([2, 3, 32, 32]), [None, None],
         'expected an image, found no file lost.jpg: check its name')
    """
    pixels = torch.zeros(len(paths), 3, image_size, image_size, dtype=torch.uint8)
    sizes_hw: list[tuple[int, int] | None] = [None] * len(paths)
    reasons = [""] * len(paths)
    for row, path in enumerate(paths):
        if path is None:
            continue
        try:
            image = read_image(path)
            pixels[row] = eval_transform(image, image_size)
        except UserError as error:
            reasons[row] = str(error)
        except MemoryError:
            reasons[row] = f"expected an image that memory has room for, found {path} too large: shrink it"
        else:
            sizes_hw[row] = (image.height, image.width)
    return ReadBatch(pixels, sizes_hw, reasons)


def recalled(held: Held | None, paths: Paths) -> ReadBatch | None:
    """A batch that a shelf holds; None where it does not, or where a photograph is gone.

    Args:
        held: of the whole batch.
        paths: without those that are not asked for.
    """
    if held is None or held.pixels is None:
        return None
    try:
        sizes_hw = [None if path is None else read_size(path) for path in paths]
    except UserError:
        return None
    return ReadBatch(held.pixels, sizes_hw, [""] * len(paths))
