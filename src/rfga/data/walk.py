"""What lies in folders of photographs: one walk with one rule, for training and localizing alike.

Links to files and folders are followed. Left out are links to a folder that they lie in, what systems and
other programs put there for themselves, and folders that a command of ours made.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rfga.data.formats import IMAGE_SUFFIXES
from rfga.data.spelling import class_key
from rfga.files import is_output
from rfga.types import SPLIT_FOLDERS, Sample, UserError

MOST_LINKS = 4
"""Links to folders that may follow one another on the way to a photograph."""

# Of Synology, QNAP, macOS, Windows, ext file systems; lower case. What begins with a dot needs no line.
_NOBODYS = frozenset(
    {"@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "__macosx", "lost+found"}
    | {"$recycle.bin", "recycler", "system volume information", "found.000", "thumbs.db", "desktop.ini"}
    | {"network trash folder", "temporary items"}
)


def is_nobodys(name: str) -> bool:
    """Whether a file or folder is called as those that a system keeps for itself.

    Example:
        >>> [is_nobodys(name) for name in ("@eaDir", "._a.jpg", "$RECYCLE.BIN", "tench")]
        [True, True, True, False]
    """
    return name.startswith(".") or name.casefold() in _NOBODYS


def is_picture(name: str, suffixes: Collection[str] = IMAGE_SUFFIXES) -> bool:
    """Whether a name ends as one of ``suffixes``, in letters of any case.

    Example:
        >>> is_picture("A.JPG"), is_picture("a.txt")
        (True, False)
    """
    return name.lower().endswith(tuple(suffixes))


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in ``folder``, by name, without what is nobody's.

    Raises:
        UserError: the folder is missing, is a file, or may not be listed.
    """
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not is_nobodys(entry.name)]
    except OSError as error:
        raise UserError(
            f"expected a folder that can be listed, found {folder} ({error.strerror}): check its name"
        ) from error
    return sorted(shown, key=lambda entry: entry.name)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; a link that leads nowhere or in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, but for links to where they lie and for output of ours.

    Raises:
        UserError: it cannot be listed.
    """
    above = _way_to(folder)
    return [
        entry.name
        for entry in list_folder(folder)
        if is_folder(entry) and not is_output(Path(entry.path)) and not _leads_around(entry, above)
    ]


def find_images(folder: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> Iterator[str]:
    """Relative paths (forward slashes) of all files in ``folder`` that end as ``suffixes``, unsorted.

    Raises:
        UserError: a folder cannot be listed, or more than ``MOST_LINKS`` links follow one another.
    """
    steps = [_Step("", folder, _way_to(folder), 0)]
    while steps:
        step = steps.pop()
        for entry in list_folder(step.folder):
            if not is_folder(entry):
                if is_picture(entry.name, suffixes):
                    yield step.prefix + entry.name
            elif not is_output(Path(entry.path)) and not _leads_around(entry, step.above):
                steps.append(step.into(entry))


class _Step(NamedTuple):
    """A folder on the way."""

    prefix: str  # its path below the first folder, with a slash behind it
    folder: Path
    above: tuple[Path, ...]  # where it and the folders on the way to it really are
    links: int  # that were followed

    def into(self, entry: os.DirEntry[str]) -> _Step:
        path, links = Path(entry.path), self.links + _is_link(entry)
        if links > MOST_LINKS:
            raise UserError(
                f"expected at most {MOST_LINKS} links to folders on the way to a photograph, found more at "
                f"{path}: put the folder there instead"
            )
        place = path.resolve() if _is_link(entry) else self.above[0] / entry.name
        return _Step(f"{self.prefix}{entry.name}/", path, (place, *self.above), links)


def _way_to(folder: Path) -> tuple[Path, ...]:
    absolute = folder.absolute()
    return tuple(path.resolve() for path in (absolute, *absolute.parents))


def _leads_around(entry: os.DirEntry[str], above: Sequence[Path]) -> bool:
    """Whether an entry is a link to a folder that holds one of those on the way to it."""
    if not _is_link(entry):
        return False
    target = Path(entry.path).resolve()
    return any(target == place or target in place.parents for place in above)


def _is_link(entry: os.DirEntry[str]) -> bool:
    is_junction = getattr(entry, "is_junction", None)  # of Windows, from Python 3.12 on
    return entry.is_symlink() or bool(is_junction and is_junction())


class FolderClasses:
    """Finds the class of photographs below one folder that was given, as training has it.

    In ``church/tench/a.jpg`` it is church: folders inside a class folder belong to the class.

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


def of_two_classes(folders: Iterable[tuple[Path, str]]) -> Iterator[str]:
    """Folders whose photographs count for several classes, because a link leads to them.

    Args:
        folders: each folder with photographs, and the class that they count for; pairs may come again.
    """
    classes: dict[str, dict[str, None]] = {}
    for folder, name in dict.fromkeys(folders):
        classes.setdefault(os.path.realpath(folder), {})[name] = None
    for place, names in classes.items():
        if len(names) > 1:
            yield (
                f"expected a folder of its own for each class, found that by a link {place} is of "
                f"{' and '.join(names)}: its photographs count for each"
            )


def of_several_classes(samples: Iterable[Sample]) -> dict[Path, tuple[int, ...]]:
    """The photographs that lie in folders of several classes, because links lead to one file.

    Returns:
        The path of each such sample -> the classes of its file, in their order. A file that cannot be reached
        is told of where photographs are read.
    """
    files: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        with suppress(OSError):
            held = sample.path.stat()
            files.setdefault((held.st_dev, held.st_ino), []).append(sample)
    found: dict[Path, tuple[int, ...]] = {}
    for same in files.values():
        labels = tuple(sorted({sample.label for sample in same}))
        if len(labels) > 1 and len(same) == len(labels):
            found |= dict.fromkeys((sample.path for sample in same), labels)
    return found
