"""Data sets: photographs, class labels and, where known, boxes or masks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfga.data.base import Dataset

DATASETS = {
    "folder": "rfga.data.folder:FolderDataset",
    "synthetic": "rfga.data.synthetic.dataset:SyntheticDataset",
    "cub": "rfga.data.benchmarks.cub:CubDataset",
    "ilsvrc": "rfga.data.benchmarks.ilsvrc:IlsvrcDataset",
    "openimages30k": "rfga.data.benchmarks.openimages30k:OpenImages30kDataset",
    "pets": "rfga.data.benchmarks.pets:PetsDataset",
}
"""Name of a data set -> "module:Class". A new data set is one file in this folder and one line here."""

MARKER = "dataset.json"
"""The file of a prepared folder that names its data set; it is written last, when the folder is whole."""


def open_dataset(
    data: str | Path,
    truth: Path | None = None,
    truth_split: str = "val",
    class_name: str | None = None,
    background: Collection[str] = (),
) -> Dataset:
    """Opens a data set: one that needs no files by its name in ``DATASETS``, others by their folder.

    ``NAME:PATH`` opens PATH as the data set NAME. A folder that ``rfga data prepare`` made is opened as what
    its ``dataset.json`` names, any other as class folders. A folder that is called like a data set without
    files is meant by ``./NAME``.

    Args:
        data: name, NAME:PATH or folder.
        truth: of class folders, boxes or masks of ``truth_split`` (COCO JSON, a folder of masks, or the
            benchmark's lists of one split); of a benchmark, the folder of its lists where that lies
            elsewhere. Data sets that carry their own take none.
        truth_split: train, val or test.
        class_name: of the one class, where photographs lie in the folder without class folders; by default
            the folder's name.
        background: of class folders, names of those whose photographs show no object and are of no class.

    Raises:
        UserError: the data set or its truth is not as expected.

    Example:
        >>> open_dataset("no/such/folder")
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected a folder with train/CLASS/*.jpg, found nothing at no/such/folder: ...
    """
    from rfga.types import UserError

    name, root = locate_dataset(data)
    if root is None:
        if truth is not None:
            raise UserError(
                f"expected {name!r} alone, which carries its own files, found truth {truth}: leave it out"
            )
        alone: Dataset = _kind(name)()
        return alone
    if name == next(iter(DATASETS)) and truth is None:
        from rfga.data.loose import LoosePhotographs, lie_loose

        if lie_loose(root, background):
            return LoosePhotographs(root, class_name, background)
    named = {"background": background} if name == next(iter(DATASETS)) else {}
    opened: Dataset = _kind(name)(root, truth, truth_split, **named)
    return opened


def locate_dataset(data: str | Path) -> tuple[str, Path | None]:
    """The name in ``DATASETS`` and the folder (None where it needs none) that ``data`` stands for.

    Raises:
        UserError: a folder is given where none is needed, or the file that names it is damaged.

    Example:
        >>> locate_dataset("synthetic"), locate_dataset("cub:birds")[0]
        (('synthetic', None), 'cub')
    """
    from rfga.types import UserError

    name, colon, place = data.partition(":") if isinstance(data, str) else ("", "", "")
    if name in DATASETS and not _kind(name).needs_folder:
        if colon:
            raise UserError(
                f"expected {name!r} alone, which carries its own files, found the folder {place!r}: "
                "leave it out"
            )
        return name, None
    if name in DATASETS and colon:
        return name, Path(place)
    root = Path(data)
    return _prepared_as(root), root


def _kind(name: str) -> type[Any]:
    from importlib import import_module

    module, _, attribute = DATASETS[name].partition(":")
    kind: type[Any] = getattr(import_module(module), attribute)
    return kind


def _prepared_as(root: Path) -> str:
    """The data set that a folder was prepared as; class folders where it says nothing."""
    from rfga.types import UserError
    from rfga.untrusted import parse_json

    marker = root / MARKER
    if not marker.is_file():
        if (root / "metadata").is_dir() and (root / "images").is_dir():
            raise UserError(
                f"expected {MARKER} in the benchmark's folder {root}, found none: finish rfga data prepare, "
                f"or say which benchmark it is, as in cub:{root}"
            )
        return next(iter(DATASETS))
    try:
        held = parse_json(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected JSON in {marker}, found it unreadable ({error}): prepare it anew"
        ) from error
    name = held.get("dataset") if isinstance(held, dict) else None
    if name not in DATASETS:
        raise UserError(
            f"expected a data set out of {', '.join(DATASETS)} in {marker}, found {name!r:.80}: "
            "prepare it anew"
        )
    return str(name)
