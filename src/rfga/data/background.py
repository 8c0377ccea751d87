"""Photographs without any object, in a folder beside the class folders: nothing of them is of a class."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from rfga.data.spelling import class_key
from rfga.data.walk import find_images, subfolders
from rfga.types import NO_CLASS, Sample


def is_background(folder: str, names: Collection[str]) -> bool:
    """Whether a folder's name is one of ``names``, in letters of any case.

    Example:
        >>> is_background("Empty", ["background", "empty"]), is_background("empty_road", ["empty"])
        (True, False)
    """
    key = class_key(folder).casefold()
    return any(class_key(name).casefold() == key for name in names)


def background_samples(
    root: Path, split_folders: Mapping[str, Path], names: Collection[str]
) -> dict[str, tuple[Sample, ...]]:
    """The photographs of each split in folders called as one of ``names``; one beside the splits is of train.

    Args:
        root: the folder of the data set.
        split_folders: those of its splits.
        names: of folders that hold no object.

    Raises:
        UserError: a folder cannot be listed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / "train" / "empty").mkdir(parents=True)
        ...     (Path(folder) / "train" / "empty" / "0.png").touch()
        ...     found = background_samples(Path(folder), {"train": Path(folder) / "train"}, ["empty"])
        >>> [(sample.image_id, sample.label) for sample in found["train"]]
        [('empty/0.png', -1)]
    """
    found = {split: tuple(_below(folder, names)) for split, folder in split_folders.items()}
    if names and root not in split_folders.values():
        found["train"] = (*found.get("train", ()), *_below(root, names))
    return found


def _below(folder: Path, names: Collection[str]) -> Iterator[Sample]:
    if not names:
        return
    for name in subfolders(folder):
        if is_background(name, names):
            for image in sorted(find_images(folder / name)):
                yield Sample(f"{name}/{image}", folder / name / image, NO_CLASS)
