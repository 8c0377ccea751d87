"""Sequences of samples that make each ``Sample`` when it is asked for, so that a million cost no objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import overload

import numpy as np

from rfga.data.names import LabelledNames
from rfga.types import IntArray, Sample


class SampleList(Sequence[Sample]):
    """The photographs of a list, each at its id's relative path below one folder; a slice shares the list.

    Example:
        >>> from rfga.data.names import Names
        >>> listed = LabelledNames(Names.of(["cat/0.jpg", "dog/1.jpg"]), np.array([0, 1]))
        >>> SampleList(listed, Path("images"))[-1].label
        1
    """

    def __init__(self, listed: LabelledNames, folder: Path) -> None:
        self._names, self.labels, self._folder = listed.names, listed.labels, folder

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> SampleList: ...
    def __getitem__(self, index: int | slice) -> Sample | SampleList:
        if isinstance(index, slice):
            return SampleList(LabelledNames(self._names[index], self.labels[index]), self._folder)
        name = self._names[index]
        return Sample(name, self._folder / name, int(self.labels[index]))

    def __iter__(self) -> Iterator[Sample]:
        for name, label in zip(self._names, self.labels, strict=True):
            yield Sample(name, self._folder / name, int(label))

    def picked(self, indices: IntArray) -> SampleList:
        """The samples at ``indices``."""
        return SampleList(LabelledNames(self._names.picked(indices), self.labels[indices]), self._folder)


def labels_of(samples: Sequence[Sample]) -> IntArray:
    """The class indices of ``samples``, (n,) int64.

    Example:
        >>> labels_of([Sample("cat/0.jpg", Path("cat/0.jpg"), 3)])
        array([3])
    """
    if isinstance(samples, SampleList):
        return samples.labels
    return np.fromiter((sample.label for sample in samples), np.int64, len(samples))


def without(samples: Sequence[Sample], lost: Sequence[int]) -> Sequence[Sample]:
    """``samples`` but for those at the places ``lost``.

    Example:
        >>> cat, dog = (Sample(name, Path(name), 0) for name in ("cat.jpg", "dog.jpg"))
        >>> [sample.image_id for sample in without([cat, dog], [0])]
        ['dog.jpg']
    """
    if not lost:
        return samples
    if isinstance(samples, SampleList):
        return samples.picked(np.delete(np.arange(len(samples)), lost))
    gone = set(lost)
    return [sample for index, sample in enumerate(samples) if index not in gone]


def few_of_each(samples: Sequence[Sample], count: int) -> Sequence[Sample]:
    """At most ``count`` samples of each class, in their order: always the same ones, chosen by their names.

    Example:
        >>> listed = [Sample(f"cat/{i}.jpg", Path(f"{i}.jpg"), label=0) for i in range(9)]
        >>> len(few_of_each(listed, 4)), few_of_each(listed, 4) == few_of_each(listed[::-1], 4)[::-1]
        (4, True)
    """
    digests = [sha256(sample.image_id.encode()).digest()[:8] for sample in samples]
    keys = np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)
    labels = labels_of(samples)
    order = np.lexsort((keys, labels))
    starts = np.searchsorted(labels[order], labels[order])  # where the class of each begins
    chosen = np.sort(order[np.arange(len(order)) - starts < count])
    if isinstance(samples, SampleList):
        return samples.picked(chosen)
    return [samples[index] for index in chosen]
