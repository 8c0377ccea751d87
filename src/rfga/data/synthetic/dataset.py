"""The embedded synthetic data set: pictures of six bird species, drawn at run time from a seed.

All species share one body and differ by a small telling part of the head, so that a map which shows only
what tells them apart misses the bird. Boxes and masks are exact, for they come from what was drawn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from rfga.data.base import Dataset
from rfga.data.synthetic.heads import HEADS
from rfga.data.synthetic.individual import Individual, draw_individual, render
from rfga.types import SPLIT_ALIASES, SPLITS, ByteArray, FloatArray, Sample, Truth, UserError

TruthKind = Literal["boxes", "masks"]

_SAMPLE_PATH = re.compile(r"synthetic/(train|val|test)/(\w+)/(\d{4,})\.png")


class SyntheticDataset(Dataset):
    """Birds of six species in varied scenes, (H, W) varied and never square, the longer side as asked for.

    A picture depends on nothing but ``seed``, the longer side, and the sample's split, class and number:
    asking for more pictures leaves the others as they are. Drawn pictures stay in memory (40 KB each at
    160 pixels). Sample paths are names only; there are no such files.

    Args:
        seed: 0 or above; other seeds give other pictures.
        train_per_class: number of training pictures of each of the six species.
        val_per_class: the same of the val split.
        test_per_class: the same of the test split.
        longer_side_pixels: of every picture, 48 or above.
        truth_kind: "boxes" or "masks", known in all splits.

    Raises:
        UserError: a number is out of its range, or a sample is not of this data set.

    Example:
        >>> birds = SyntheticDataset(seed=3, train_per_class=2)
        >>> sample = birds.samples("train")[0]
        >>> sample.image_id, birds.classes[sample.label]
        ('hookbeak/0001.png', 'hookbeak')
        >>> max(birds.image(sample).size)
        160
        >>> birds.truth(sample).boxes.shape
        (1, 4)
    """

    name = "synthetic"
    classes = tuple(HEADS)
    needs_folder = False

    def __init__(
        self,
        seed: int = 0,
        train_per_class: int = 120,
        val_per_class: int = 25,
        test_per_class: int = 25,
        longer_side_pixels: int = 160,
        truth_kind: TruthKind = "boxes",
    ) -> None:
        counts = dict(zip(SPLITS, (train_per_class, val_per_class, test_per_class), strict=True))
        if seed < 0 or min(counts.values()) < 0 or longer_side_pixels < 48:
            raise UserError(
                "expected seed and numbers of pictures of 0 or above, a longer side of 48 pixels or above, "
                f"found {seed}, {list(counts.values())} and {longer_side_pixels}: change what is below"
            )
        if truth_kind not in ("boxes", "masks"):
            raise UserError(
                f"expected truth_kind boxes or masks, found {truth_kind!r}: choose one of the two"
            )
        self.seed, self.longer_side_pixels, self.truth_kind = seed, longer_side_pixels, truth_kind
        self._samples = {split: _samples(split, count) for split, count in counts.items()}
        self._drawn: dict[tuple[str, str], _Drawn] = {}

    def samples(self, split: str) -> Sequence[Sample]:
        """The pictures of "train", "val" or "test", class by class; empty for any other split."""
        return self._samples.get(SPLIT_ALIASES.get(split, split), ())

    def image(self, sample: Sample) -> Image.Image:
        """The picture, RGB."""
        return Image.fromarray(self._draw(sample).picture)

    def truth(self, sample: Sample) -> Truth:
        """The bird's box, the tight extent of its mask, or the mask itself; in pixels of the picture."""
        mask = self.mask(sample)
        size_hw = (mask.shape[0], mask.shape[1])
        if self.truth_kind == "masks":
            return Truth(size_hw=size_hw, mask=mask)
        return Truth(size_hw=size_hw, boxes=tight_box(mask)[None])

    def mask(self, sample: Sample) -> ByteArray:
        """(H, W) uint8: 255 where the bird covers at least half of a pixel, else 0."""
        drawn = self._draw(sample)
        count = drawn.size_hw[0] * drawn.size_hw[1]
        bits = np.unpackbits(drawn.packed_mask, count=count).reshape(drawn.size_hw)
        return bits * np.uint8(255)

    def individual(self, sample: Sample) -> Individual:
        """The sample's bird without its species, to be drawn again as another one with ``render``."""
        split, class_name, number = self._address(sample)
        key = (self.seed, SPLITS.index(split), self.classes.index(class_name), number)
        return draw_individual(np.random.default_rng(key), self.longer_side_pixels)

    def _draw(self, sample: Sample) -> _Drawn:
        split, class_name, _ = self._address(sample)
        drawn = self._drawn.get((split, sample.image_id))
        if drawn is None:
            picture, mask = render(self.individual(sample), class_name)
            picture.flags.writeable = False
            drawn = _Drawn(picture, np.packbits(mask > 0), (mask.shape[0], mask.shape[1]))
            self._drawn[split, sample.image_id] = drawn
        return drawn

    def _address(self, sample: Sample) -> tuple[str, str, int]:
        """Split, class name and number from 1 on."""
        found = _SAMPLE_PATH.fullmatch(sample.path.as_posix())
        if found is None or found[2] not in self.classes:
            raise UserError(
                f"expected a sample of the synthetic data set, found {sample.path}: take one from samples()"
            )
        return found[1], found[2], int(found[3])


def tight_box(mask: ByteArray) -> FloatArray:
    """Edges x0, y0, x1, y1 of all pixels above 0 of a mask (H, W), (4,) float64, x1 and y1 exclusive.

    Example:
        >>> tight_box(np.array([[0, 0, 0], [0, 255, 255]], np.uint8)).tolist()
        [1.0, 1.0, 3.0, 2.0]
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """A picture in memory."""

    picture: ByteArray  # (H, W, 3)
    packed_mask: ByteArray  # one bit a pixel
    size_hw: tuple[int, int]


def _samples(split: str, per_class: int) -> tuple[Sample, ...]:
    return tuple(
        Sample(f"{name}/{number:04d}.png", Path("synthetic", split, name, f"{number:04d}.png"), label)
        for label, name in enumerate(SyntheticDataset.classes)
        for number in range(1, per_class + 1)
    )
