"""Corrected photographs as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rfga.data.base import Dataset
from rfga.data.images import read_size
from rfga.data.spelling import class_key
from rfga.data.transforms import eval_transform
from rfga.data.truth.given import Given
from rfga.engine.run.model import normalised
from rfga.engine.run.shelf import Shelf
from rfga.geometry.boxes import scale_boxes
from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.methods.foreground import Foreground
from rfga.nn.outlines import Outlined, inside_boxes
from rfga.types import FloatArray, Sample, UserError


@dataclass(frozen=True, eq=False)
class Seen:
    """A corrected photograph as the network sees it."""

    pixels: Tensor  # (3, S, S) uint8
    outlined: Outlined
    grid_hw: tuple[int, int]  # of the places
    boxes: FloatArray  # (n, 4) true ones, in pixels of a map of EVAL_SIZE_HW


@torch.no_grad()
def see(
    method: Foreground,
    dataset: Dataset,
    corrections: Sequence[tuple[Sample, Given]],
    image_size: int,
    shelf: Shelf,
) -> list[Seen]:
    """Corrected photographs as the network sees them, but for those that cannot be read.

    Args:
        method: whose network it is.
        dataset: of the photographs.
        corrections: photographs with their boxes.
        image_size: side of the network's square.
        shelf: of what the network gave already.

    Raises:
        UserError: none of them can.
    """
    seen: list[Seen] = []
    index = {class_key(name): label for label, name in enumerate(dataset.classes)}
    for sample, given in corrections:
        held = shelf.find([sample.path])
        try:
            if (pixels := held.pixels) is not None:
                height, width = read_size(sample.path)
            else:
                image = dataset.image(sample)
                pixels, height, width = eval_transform(image, image_size)[None], image.height, image.width
        except UserError:
            continue  # what cannot be read is told where photographs are looked at
        images = normalised(pixels.to(method.means.device), method.backbone)
        with held.remembering(method.backbone, pixels, images):
            vectors, grid_hw = method.places(images)
        fractions = torch.from_numpy(given.boxes / np.array([width, height] * 2))
        named = [index[class_key(name)] for name in given.classes if class_key(name) in index]
        label = -1 if given.is_empty else next(iter(named), sample.label)
        outlined = Outlined(vectors[0].float().cpu(), inside_boxes(fractions, grid_hw), label)
        boxes = scale_boxes(given.boxes, (height, width), EVAL_SIZE_HW)
        seen.append(Seen(pixels[0], outlined, grid_hw, boxes))
    if not seen:
        raise UserError(
            f"expected corrected photographs that can be read, found none of {len(corrections)}: replace them"
        )
    return seen
