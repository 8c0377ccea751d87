"""Photographs of one kind of thing in one folder, without class folders."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from rfga.data.background import is_background
from rfga.data.folder import FolderDataset
from rfga.data.spelling import class_key
from rfga.data.walk import is_folder, is_picture, list_folder, subfolders
from rfga.types import Sample


def lie_loose(root: Path, background: Collection[str] = ()) -> bool:
    """Whether a folder holds photographs and no folder, so that all of them are of one class.

    A folder called as one of ``background`` may lie beside them.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as root:
        ...     _ = (Path(root) / "a.jpg").write_bytes(b"")
        ...     lie_loose(Path(root))
        True
    """
    if not root.is_dir():
        return False
    folders = [name for name in subfolders(root) if not is_background(name, background)]
    return not folders and bool(_pictures(root))


class LoosePhotographs(FolderDataset):
    """All photographs of a folder as the train split of one class, named after the folder.

    Args:
        root: the folder.
        class_name: another name for the class.
        background: names of folders below it whose photographs show no object.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as root:
        ...     Image.new("RGB", (40, 30)).save(Path(root) / "0.png")
        ...     dataset = LoosePhotographs(Path(root), class_name="widget")
        ...     dataset.classes, [sample.image_id for sample in dataset.samples("train")]
        (('widget',), ['0.png'])
    """

    def __init__(self, root: Path, class_name: str | None = None, background: Collection[str] = ()) -> None:
        self._class_name = class_key(class_name or root.resolve().name or "object")
        super().__init__(root, background=background)
        self.notes = (
            f"photographs without class folders: all are taken for {self._class_name}, no class is learned",
        )

    def _find_splits(self) -> dict[str, Path]:
        return {"train": self.root}

    def _find_classes(self) -> tuple[str, ...]:
        return (self._class_name,)

    def _require_photographs(self) -> None:
        """They are what the folder was taken for."""

    def _scan(self, folder: Path) -> Iterator[Sample]:
        for name in _pictures(folder):
            yield Sample(name, folder / name, 0)


def _pictures(folder: Path) -> list[str]:
    entries = list_folder(folder)
    return sorted(entry.name for entry in entries if is_picture(entry.name) and not is_folder(entry))
