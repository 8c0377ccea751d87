"""The class of a photograph by the folders that it lies in, as training has it.

In ``church/tench/a.jpg`` it is church: folders inside a class folder belong to the class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rfga.data.spelling import class_key
from rfga.data.walk import subfolders
from rfga.types import SPLIT_FOLDERS, UserError


class FolderClasses:
    """Finds the class of photographs below one folder that was given.

    Args:
        top: the folder; no link in its path is followed: one that is named as a class counts as its folder.
        classes: names that class folders may have.

    Example:
        >>> folders = FolderClasses(Path("/photos"), ["church", "tench"])
        >>> [folders.of(Path(path)) for path in ("/photos/val/church/tench/a.jpg", "/photos/cover.jpg")]
        ['church', None]
    """

    def __init__(self, top: Path, classes: Sequence[str]) -> None:
        self._names: Mapping[str, str] = {class_key(name): name for name in classes}
        self._top = top
        self._within = None if _holds_splits(top) else self._class_around(top)

    def of(self, photograph: Path) -> str | None:
        """The class of a photograph; None where none of its folders is named as one."""
        if self._within is not None:
            return self._within
        below = photograph.parent.parts[len(self._top.parts) :]
        found = [name for part in below if (name := self._named(part)) is not None]
        # A class may be called train, but train/bus/a.jpg shows a bus.
        if len(found) > 1 and found[0].lower() in SPLIT_FOLDERS:
            found = found[1:]
        return found[0] if found else self._named(self._top.name)

    def _class_around(self, folder: Path) -> str | None:
        """The class of which the folder that was given is a part, where other classes lie beside it."""
        found = None
        while (name := self._named(folder.name)) is not None:
            if self._holds_another(folder.parent, name):
                found = name
            folder = folder.parent
        return found

    def _holds_another(self, folder: Path, than: str) -> bool:
        named = [name for part in _subfolders(folder) if (name := self._named(part)) is not None]
        return any(name != than and name.lower() not in SPLIT_FOLDERS for name in named)

    def _named(self, folder: str) -> str | None:
        return self._names.get(class_key(folder))


def _holds_splits(folder: Path) -> bool:
    """Whether this is the folder of a data set, whatever its name."""
    return any(SPLIT_FOLDERS.get(name.lower()) == "train" for name in _subfolders(folder))


def _subfolders(folder: Path) -> list[str]:
    try:
        return subfolders(folder)
    except UserError:  # one above may be one that nobody may list
        return []
