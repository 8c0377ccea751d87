"""Pictures of one bright rectangle away from the middle, none of them square, with its box or its mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rfga.data.base import Dataset
from rfga.types import Sample, Truth, UserError


class ToyDataset(Dataset):
    """Two classes, whose rectangles are red or green; what is asked for is known of ``truth_splits``."""

    name = "toy"
    classes = ("green", "red")
    size_hw = (40, 64)

    def __init__(
        self, per_split: int = 12, truth_splits: Sequence[str] = ("val", "test"), masks: bool = False
    ) -> None:
        self.per_split, self.truth_splits, self.masks = per_split, truth_splits, masks
        self.unfit: set[str] = set()

    def samples(self, split: str) -> Sequence[Sample]:
        numbers = range(self.per_split) if split in ("train", "val", "test") else ()
        return [Sample(f"{n}.png", Path(split, f"{n}.png"), n % 2) for n in numbers]

    def box(self, sample: Sample) -> tuple[int, int, int, int]:
        rng = np.random.default_rng([int(sample.path.stem), len(sample.path.parts[0])])
        x0, y0 = (int(place) for place in rng.integers(0, 8, 2))
        width, height = (int(side) for side in rng.integers(18, 26, 2))
        return x0, y0, x0 + width, min(y0 + height, self.size_hw[0])

    def image(self, sample: Sample) -> Image.Image:
        rng = np.random.default_rng(int(sample.path.stem))
        picture = rng.integers(0, 60, (*self.size_hw, 3), dtype=np.uint8)
        x0, y0, x1, y1 = self.box(sample)
        picture[y0:y1, x0:x1, 1 - sample.label] = 255
        return Image.fromarray(picture)

    def truth(self, sample: Sample) -> Truth | None:
        if sample.image_id in self.unfit:
            raise UserError("expected truth that fits, found another: correct it")
        if sample.path.parts[0] not in self.truth_splits:
            return None
        box = self.box(sample)
        if not self.masks:
            return Truth(self.size_hw, boxes=np.array([box], dtype=np.float64))
        x0, y0, x1, y1 = box
        mask = np.zeros(self.size_hw, dtype=np.uint8)
        mask[y0:y1, x0:x1] = 255
        mask[-4:] = 128
        return Truth(self.size_hw, mask=mask)
