"""A data set opened to list all that is wrong with it, where opening it otherwise ends at the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rfga.data import locate_dataset, open_dataset
from rfga.data.base import Dataset, canonical_split
from rfga.data.findings import Finding
from rfga.data.folder import FolderDataset, subfolders
from rfga.data.images import IMAGE_SUFFIXES, find_images, list_folder

OTHER_PICTURES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".svg", ".psd", ".ico", ".tga", ".exr", ".hdr"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"}
)
"""Endings of pictures that are not read, compared in lower case."""


@dataclass(frozen=True)
class CheckSource:
    """A data set to look through."""

    dataset: Dataset
    findings: tuple[Finding, ...] = ()  # of its folders
    carries_truth: bool = False  # of its own, if any; else it comes as a file or folder
    split_folder: Path | None = None  # the photographs that such a file or folder is about


class FoldersToCheck(FolderDataset):
    """Class folders, of which those outside the first split need not be among its own."""

    def split_folder(self, split: str) -> Path | None:
        """The folder of a split; None where it has none."""
        return self._split_folders.get(canonical_split(split))

    def left_out(self) -> Iterator[Finding]:
        """Pictures beside the class folders, and in them pictures of a kind that is not read."""
        for split, folder in self._split_folders.items():
            for entry in list_folder(folder):
                if entry.is_dir():
                    for name in sorted(find_images(folder / entry.name, OTHER_PICTURES)):
                        ending = Path(name).suffix
                        yield Finding(
                            "left_out",
                            f"{split}/{entry.name}/{name}",
                            f"expected photographs as JPEG, PNG or the like, found {ending}: convert it",
                        )
                elif entry.name.lower().endswith(tuple(IMAGE_SUFFIXES | OTHER_PICTURES)):
                    yield Finding(
                        "left_out",
                        f"{split}/{entry.name}",
                        "expected photographs in class folders, found one beside them: move it into one",
                    )

    def _find_classes(self) -> tuple[str, ...]:
        first, *others = self._split_folders.values()
        classes = subfolders(first)
        # Classes of the first split keep their indices.
        for folder in others:
            classes += [name for name in subfolders(folder) if name not in classes]
        return tuple(classes) or super()._find_classes()


def open_for_check(data: str, truth: Path | None = None, split: str = "val") -> CheckSource:
    """Open a data set as ``open_dataset`` does; the truth of class folders is left to the check.

    Raises:
        UserError: there is no such data set, or nothing in it.
    """
    name, root = locate_dataset(data)
    if name == "folder" and root is not None:
        folders = FoldersToCheck(root)
        return CheckSource(folders, tuple(folders.left_out()), split_folder=folders.split_folder(split))
    dataset = open_dataset(data, truth, split)
    notes = tuple(Finding("data_set", dataset.name, note) for note in dataset.notes)
    return CheckSource(dataset, notes, carries_truth=True)
