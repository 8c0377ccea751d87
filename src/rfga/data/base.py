"""The contract of a data set: where its photographs are, and what is known about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from PIL import Image

from rfga.data.images import read_image
from rfga.data.truth import TruthReader
from rfga.types import Sample, Truth

SPLITS = ("train", "val", "test")


class Dataset(ABC):
    """Photographs with class labels and, in some splits, boxes or masks.

    A data set knows nothing of networks: it gives photographs at their original size, boxes and masks in
    original pixels, and class indices that count from 0 in the order of ``classes``.
    """

    name: str  # stands in reports and JSON
    classes: tuple[str, ...]
    needs_check: bool = False  # photographs of unknown quality: every training file is opened before training
    truth_reader: TruthReader | None = None  # where truth comes from files that may not fit the photographs

    @abstractmethod
    def samples(self, split: str) -> Sequence[Sample]:
        """The photographs of ``split`` in a fixed order; empty where the data set has no such split."""

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
