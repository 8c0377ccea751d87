"""A benchmark's folder: photographs, and the lists of Choe et al. that say which, of what class, and where.

::

    ROOT/images/ID          ids as in the lists; without images/ they are looked for in ROOT itself
    ROOT/masks/NAME         where the lists name masks; without masks/ beside the photographs
    ROOT/metadata/SPLIT/    or ROOT/metadata/SET/SPLIT: the lists that ``metadata`` reads
    ROOT/classes.txt        optional: the name of each class, a line each
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from rfga.data.base import Dataset, canonical_split
from rfga.data.benchmarks.stored import StoredPixels, stored_size
from rfga.data.names import read_labelled_names
from rfga.data.samples import SampleList
from rfga.data.truth.metadata import IDS, LABELS, LOCALIZATION, MetadataTruth, is_metadata, read_metadata
from rfga.types import SPLIT_ALIASES, SPLITS, Sample, Truth, UserError

_LOOKED_FOR = 8  # photographs of a split whose absence is taken for that of all


class BenchmarkDataset(StoredPixels, Dataset):
    """The base of data sets in a benchmark's layout; a kind states its name and that of its lists.

    Pixels are taken as they are stored, since the benchmark's boxes and numbers are of those. Truth is read
    when it is first asked for. A split of which no photograph is there is left out, with a note.

    Args:
        root: the folder of the data set.
        truth: folder of the lists, with a folder for each split in it; by default ``ROOT/metadata``.
        truth_split: ignored; the lists tell of every split.

    Raises:
        UserError: photographs or lists are not there, or a list is damaged.
    """

    set_name: ClassVar[str]  # of the lists in the benchmark's own repository
    needs_check = True

    def __init__(self, root: Path, truth: Path | None = None, truth_split: str = "val") -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(
                f"expected the folder of the data set {self.name!r}, found none at {root}: check its name, "
                f"or make it with rfga data prepare {self.name}"
            )
        self._images = _folder_or(self.root / "images", self.root)
        self._masks = _folder_or(self.root / "masks", self._images)
        self._lists = _find_lists(self.root, None if truth is None else Path(truth), self)
        self._samples = {split: _read_samples(lists, self._images) for split, lists in self._lists.items()}
        self.classes = self._class_names()
        self.notes = self._leave_out_absent()
        self._readers: dict[str, MetadataTruth] = {}

    def samples(self, split: str) -> Sequence[Sample]:
        """The photographs of ``split`` in the order of the list; empty where there is none."""
        return self._samples.get(canonical_split(split), ())

    def truth(self, sample: Sample) -> Truth | None:
        """The benchmark's own four numbers of each box, or a mask, in pixels as stored; None if unknown.

        Raises:
            UserError: the lists are damaged, or a mask cannot be read.
        """
        for split in ("val", "test", "train"):  # the last may be long, and is not read where it is not needed
            if self.has_truth(split):
                found = self._reader(split).truth(sample.image_id)
                if found is not None:
                    return found
        return None

    def has_truth(self, split: str) -> bool:
        """Whether any sample of ``split`` has boxes or a mask."""
        name = canonical_split(split)
        return name in self._samples and _has_lines(self._lists[name] / LOCALIZATION)

    def known_class_names(self, count: int) -> tuple[str, ...] | None:
        """The names that ``count`` classes have where neither a file nor the training images' ids tell."""
        return None

    def _reader(self, split: str) -> MetadataTruth:
        if split not in self._readers:
            lists = read_metadata(self._lists[split], complete=False)
            self._readers[split] = MetadataTruth(lists, self._masks, self._size_of)
        return self._readers[split]

    def _size_of(self, image_id: str) -> tuple[int, int]:
        return stored_size(self._images / image_id)

    def _class_names(self) -> tuple[str, ...]:
        count = 1 + max(int(samples.labels.max(initial=-1)) for samples in self._samples.values())
        if not count:
            raise UserError(
                f"expected images in the lists of {self.name!r}, found none in "
                f"{', '.join(map(str, self._lists.values()))}: replace them"
            )
        if (self.root / "classes.txt").is_file():
            return _read_classes(self.root / "classes.txt", count)
        folders = {split: _class_folders(samples, count) for split, samples in self._samples.items()}
        rest = [folders[split] for split in ("val", "test") if split in folders]
        for names in (folders.get("train"), self.known_class_names(count), *rest):
            if names is not None:
                return names
        return tuple(str(label) for label in range(count))

    def _leave_out_absent(self) -> tuple[str, ...]:
        """Keep the splits whose photographs are there, and say of the others what is missing."""
        notes = []
        for split, samples in list(self._samples.items()):
            places = np.linspace(0, len(samples) - 1, min(_LOOKED_FOR, len(samples))).astype(int).tolist()
            if not any(samples[place].path.is_file() for place in places):
                del self._samples[split]
                if places:
                    notes.append(
                        f"the {split} lists of {self.name!r} name {len(samples)} photographs, of which none "
                        f"of the {len(places)} looked for (as {samples[0].image_id}) is in {self._images}"
                    )
        if not self._samples:
            raise UserError(
                f"expected the photographs that the lists of {self.name!r} name, found {'; '.join(notes)}: "
                f"give the folder that holds them, or make it with rfga data prepare {self.name}"
            )
        return tuple(f"{note}: the split is left out" for note in notes)


def _folder_or(folder: Path, other: Path) -> Path:
    return folder if folder.is_dir() else other


def _find_lists(root: Path, truth: Path | None, kind: BenchmarkDataset) -> dict[str, Path]:
    """The folder of each split's lists, train, val, test."""
    top = root / "metadata" if truth is None else truth
    for folder in (top, top / kind.set_name):
        found = {
            split: folder / name
            for name in (*reversed(SPLIT_ALIASES), *reversed(SPLITS))  # of two, the plain name counts
            for split in (canonical_split(name),)
            if (folder / name / LABELS).is_file()
        }
        if found:
            return {split: found[split] for split in SPLITS if split in found}
    remedy = f"give them with --truth {kind.set_name}, or set the data up with rfga data prepare {kind.name}"
    if truth is not None:
        remedy = f"give {truth.parent}" if is_metadata(truth) else "give the folder above train, val and test"
    raise UserError(f"expected the lists of {kind.name!r} as SPLIT/{LABELS} in {top}, found none: {remedy}")


def _read_samples(lists: Path, images: Path) -> SampleList:
    ids = lists / IDS
    return SampleList(read_labelled_names(lists / LABELS, ids if _has_lines(ids) else None), images)


def _read_classes(path: Path, count: int) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected class names in {path}, found it unreadable ({error}): replace it"
        ) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) < count or len(set(names)) < len(names):
        raise UserError(
            f"expected a name for each of {count} classes, no two the same, found {len(set(names))} in "
            f"{path}: complete it or remove it"
        )
    return names


def _class_folders(samples: SampleList, count: int) -> tuple[str, ...] | None:
    """The folder of each class's images, where every class has one of its own."""
    names = []
    for order in (samples, samples[::-1]):  # the first and the last image of each class
        labels, places = np.unique(order.labels, return_index=True)
        if len(labels) < count:
            return None
        names.append(tuple(order[place].path.parent.name for place in places.tolist()))
    distinct = (
        names[0] == names[1] and len(set(names[0])) == count and all("/" in s.image_id for s in samples[:1])
    )
    return names[0] if distinct else None


def _has_lines(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 2  # more than the end of a line
