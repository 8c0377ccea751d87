"""The contract of a data set: where its photographs are, and what is known about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from PIL import Image

from rfga.data.images import read_image
from rfga.data.truth.given import Given
from rfga.data.truth.readers import TruthReader
from rfga.types import SPLIT_ALIASES, SPLITS, Sample, Truth, UserError


def canonical_split(split: str) -> str:
    """The one name of a split: train, val or test.

    Raises:
        UserError: there is no such split.

    Example:
        >>> canonical_split("train-fullsup"), canonical_split("test")
        ('val', 'test')
    """
    name = SPLIT_ALIASES.get(split, split)
    if name not in SPLITS:
        raise UserError(f"expected a split of {', '.join(SPLITS)}, found {split!r}: choose one of them")
    return name


class Dataset(ABC):
    """Photographs with class labels and, in some splits, boxes or masks.

    A data set knows nothing of networks: it gives photographs at their original size, boxes and masks in
    original pixels, and class indices that count from 0 in the order of ``classes``. Wherever it takes a
    split, it takes the benchmark's names of ``SPLIT_ALIASES`` as well.

    One that needs a folder is made as ``Kind(root, truth, truth_split)``, another as ``Kind()``.
    """

    name: str  # stands in reports and JSON
    classes: tuple[str, ...]
    needs_folder: ClassVar[bool] = True
    needs_check: bool = False  # photographs of unknown quality: every training file is looked at beforehand
    truth_reader: TruthReader | None = None  # where truth comes from files that may not fit the photographs
    corrections: Sequence[tuple[Sample, Given]] = ()  # photographs of any split with their boxes by a person
    notes: tuple[str, ...] = ()  # a sentence for each thing that is not as expected and yet no error

    @abstractmethod
    def samples(self, split: str) -> Sequence[Sample]:
        """The photographs of ``split`` in a fixed order; empty where the data set has no such split."""

    def several_classes(self, split: str) -> Mapping[Path, tuple[int, ...]]:
        """Photographs of ``split`` that come once for each of several classes: file -> all of them."""
        del split
        return {}

    def background(self, split: str) -> Sequence[Sample]:
        """Photographs of ``split`` without any object, of no class: their label is ``NO_CLASS``."""
        del split
        return ()

    @abstractmethod
    def truth(self, sample: Sample) -> Truth | None:
        """Boxes or a mask of ``sample`` in original pixels; None where nothing is known of it."""

    def has_truth(self, split: str) -> bool:
        """Whether any sample of ``split`` has boxes or a mask."""
        return any(self.truth(sample) is not None for sample in self.samples(split))

    def image(self, sample: Sample) -> Image.Image:
        """The photograph as a viewer shows it: RGB, EXIF orientation applied, original size.

        Raises:
            UserError: the file cannot be read as an image.
        """
        return read_image(sample.path)

    def reduced_image(self, sample: Sample, least_side: int) -> Image.Image:
        """As ``image``; where that is faster, smaller, but on no side of less than ``least_side`` pixels.

        Raises:
            UserError: the file cannot be read as an image.
        """
        return self.image(sample)

    def check(self, sample: Sample) -> None:
        """Look at a photograph before long work, where ``needs_check`` is set: it is decoded completely.

        Raises:
            UserError: it cannot be used.
        """
        self.image(sample)


def known_truth(dataset: Dataset, sample: Sample) -> Truth | None:
    """Boxes or a mask of a photograph; None where nothing is known, or what is known does not fit."""
    try:
        return dataset.truth(sample)
    except UserError:
        return None
