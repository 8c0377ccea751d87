"""A data set opened to list all that is wrong with it, where opening it otherwise ends at the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rfga.data import locate_dataset, open_dataset
from rfga.data.base import Dataset, canonical_split
from rfga.data.checks.findings import Finding
from rfga.data.folder import FolderDataset, class_folders
from rfga.data.folder_notes import layout_notes
from rfga.data.formats import IMAGE_SUFFIXES, OTHER_PICTURES, how_to_read
from rfga.data.loose import lie_loose
from rfga.data.walk import find_images, is_folder, is_picture, list_folder, subfolders


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
            for name in subfolders(folder):
                for picture in sorted(find_images(folder / name, OTHER_PICTURES)):
                    yield Finding(
                        "left_out",
                        f"{split}/{name}/{picture}",
                        f"expected photographs as JPEG, PNG or the like, found {Path(picture).suffix}: "
                        f"{how_to_read(picture)}",
                    )
        for folder in dict.fromkeys((self.root, *self._split_folders.values())):
            place = next((f"{split}/" for split, own in self._split_folders.items() if own == folder), "")
            for entry in list_folder(folder):
                if is_picture(entry.name, IMAGE_SUFFIXES | OTHER_PICTURES) and not is_folder(entry):
                    yield Finding(
                        "left_out",
                        f"{place}{entry.name}",
                        "expected photographs in class folders, found one beside them: move it into one",
                    )

    def odd_folders(self, truth: Path | None) -> Iterator[Finding]:
        """What is not as expected in the layout."""
        for note in layout_notes(self.root, self._split_folders, self.classes, truth, self._no_classes):
            yield Finding("data_set", self.name, note)

    def _find_classes(self) -> tuple[str, ...]:
        first, *others = self._split_folders.values()
        classes = list(class_folders(first, self._no_classes))
        # Classes of the first split keep their indices.
        for folder in others:
            own = class_folders(folder, self._no_classes)
            classes += [name for name in own if name not in classes]
        return tuple(classes) or super()._find_classes()


def open_for_check(
    data: str, truth: Path | None = None, split: str = "val", background: Sequence[str] = ()
) -> CheckSource:
    """Open a data set as ``open_dataset`` does; the truth of class folders is left to the check.

    Raises:
        UserError: there is no such data set, or nothing in it.
    """
    name, root = locate_dataset(data)
    if name == "folder" and root is not None and not lie_loose(root, background):
        folders = FoldersToCheck(root, background=background)
        findings = (*folders.odd_folders(truth), *folders.left_out())
        return CheckSource(folders, findings, split_folder=folders.split_folder(split))
    dataset = open_dataset(data, truth, split, background=background)
    notes = tuple(Finding("data_set", dataset.name, note) for note in dataset.notes)
    return CheckSource(dataset, notes, carries_truth=True)
