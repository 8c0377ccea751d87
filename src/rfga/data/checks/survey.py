"""One look at every photograph of a data set; of each only numbers are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfga.data.base import Dataset
from rfga.data.checks.findings import Finding, Place, Shot
from rfga.data.checks.look import Look, look_at_file, look_at_picture
from rfga.data.checks.picture_hash import WordArray
from rfga.data.checks.readable import look_at_each
from rfga.data.samples import labels_of
from rfga.types import SPLITS, IntArray, Sample


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What is kept of n photographs, split after split: 73 bytes of each."""

    splits: dict[str, Sequence[Sample]]  # those that have photographs
    labels: IntArray  # (n,) class indices
    sizes_hw: NDArray[np.int32]  # (n, 2) as a viewer shows them; 0 where a photograph cannot be used
    stored_hw: NDArray[np.int32]  # (n, 2) before EXIF orientation is applied
    contents: WordArray  # (n, 2), equal for equal files
    shown: WordArray  # (n, 4) picture hashes
    comparable: NDArray[np.bool_]  # (n,) whether there is a picture hash

    def __len__(self) -> int:
        return len(self.labels)

    def place(self, index: int) -> Place:
        """Split and position of a photograph."""
        for split, samples in self.splits.items():
            if index < len(samples):
                return Place(split, index)
            index -= len(samples)
        raise IndexError(f"expected one of {len(self)} photographs, found {index} beyond the last")

    def index(self, place: Place) -> int:
        """The other way round."""
        names = list(self.splits)
        before = names[: names.index(place.split)]
        return sum(len(self.splits[split]) for split in before) + place.position

    def shots(self, index: int) -> tuple[Shot, ...]:
        """The photograph, for a finding to show; nothing where it cannot be read."""
        return (Shot(self.place(index)),) if self.sizes_hw[index].any() else ()

    def file(self, index: int) -> str:
        """SPLIT/IMAGE ID of a photograph."""
        place = self.place(index)
        return f"{place.split}/{self.splits[place.split][place.position].image_id}"


def take_survey(
    dataset: Dataset, workers: int | None = None, advance: Callable[[int], None] = lambda count: None
) -> tuple[Survey, list[Finding]]:
    """Look at every photograph once.

    Args:
        dataset: of files, or drawn (``needs_folder`` is False).
        workers: threads; by default one a core.
        advance: is told of each photograph that is done.

    Returns:
        What is kept, and what is odd about single files.
    """
    splits = {split: samples for split in SPLITS if (samples := dataset.samples(split))}
    count = sum(map(len, splits.values()))
    survey = Survey(
        splits=splits,
        labels=np.concatenate([np.zeros(0, np.int64), *map(labels_of, splits.values())]),
        sizes_hw=np.zeros((count, 2), np.int32),
        stored_hw=np.zeros((count, 2), np.int32),
        contents=np.zeros((count, 2), np.uint64),
        shown=np.zeros((count, 4), np.uint64),
        comparable=np.zeros(count, bool),
    )

    def look(sample: Sample) -> Look:
        return look_at_file(sample.path) if dataset.needs_folder else look_at_picture(dataset.image(sample))

    findings: list[Finding] = []
    for index, seen in enumerate(_looks(splits, look, workers)):
        _keep(survey, index, seen)
        findings += [
            Finding(kind, survey.file(index), sentence, shots=survey.shots(index))
            for kind, sentence in seen.remarks
        ]
        advance(1)
    return survey, findings


def _looks(
    splits: dict[str, Sequence[Sample]], look: Callable[[Sample], Look], workers: int | None
) -> Iterator[Look]:
    for samples in splits.values():
        yield from look_at_each(samples, look, workers)


def _keep(survey: Survey, index: int, seen: Look) -> None:
    if seen.size_hw is None or seen.stored_hw is None:
        return
    survey.sizes_hw[index], survey.stored_hw[index] = seen.size_hw, seen.stored_hw
    survey.contents[index] = np.frombuffer(seen.content, np.uint64)
    if seen.shown is not None:
        survey.shown[index], survey.comparable[index] = seen.shown, True
