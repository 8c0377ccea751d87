"""Data sets: photographs, class labels and, where known, boxes or masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rfga.data.base import Dataset

DATASETS = {
    "folder": "rfga.data.folder:FolderDataset",
    "synthetic": "rfga.data.synthetic.dataset:SyntheticDataset",
}
"""Name of a data set -> "module:Class". A new data set is one file in this folder and one line here."""


def open_dataset(data: str | Path, truth: Path | None = None, truth_split: str = "val") -> Dataset:
    """Opens a folder of photographs, or a data set by its name in ``DATASETS``.

    A folder that is called like a data set is meant by ``./NAME``. ``truth`` (COCO JSON or folder of masks)
    belongs to the photographs of ``truth_split``; named data sets carry their own.

    Raises:
        UserError: the data set or its truth is not as expected.

    Example:
        >>> open_dataset("no/such/folder")
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected a folder with train/CLASS/*.jpg, found nothing at no/such/folder: ...
    """
    from importlib import import_module

    from rfga.types import UserError

    named = isinstance(data, str) and data in DATASETS and data != "folder"
    if named and truth is not None:
        raise UserError(f"expected no truth for {data!r}, which carries its own, found {truth}: leave it out")
    module, _, name = DATASETS[str(data) if named else "folder"].partition(":")
    kind = getattr(import_module(module), name)
    dataset: Dataset = kind() if named else kind(Path(data), truth, truth_split)
    return dataset
