"""The benchmark's lists: found, read, copied and written (their form: ``rfga.data.truth.metadata``)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rfga.data.truth.metadata import IDS, LABELS, LOCALIZATION, SIZES
from rfga.files import make_folder, replacing
from rfga.types import SPLIT_ALIASES, UserError

LISTS = (IDS, LABELS, SIZES, LOCALIZATION)
BENCHMARK = "https://github.com/clovaai/wsolevaluation"
LISTS_THERE = f"the folder metadata/ of {BENCHMARK}"

Row = tuple[object, ...]

_INDEX = re.compile(r"[0-9]{1,9}")  # of a class


@dataclass(frozen=True)
class SplitLists:
    """What is written of a split.

    Args:
        labels: id and class index of each photograph, in order.
        sizes: id, width and height in pixels.
        localization: id and box, or id, mask and ignored region.
    """

    labels: Sequence[tuple[str, int]]
    sizes: Sequence[Row] = ()
    localization: Sequence[Row] = ()


def write_lists(folder: Path, lists: SplitLists) -> None:
    """Write the four lists of a split into ``folder``."""
    _write(folder / IDS, ((name,) for name, _ in lists.labels))
    _write(folder / LABELS, lists.labels)
    _write(folder / SIZES, lists.sizes)
    _write(folder / LOCALIZATION, lists.localization)


def copy_lists(source: Path, folder: Path) -> None:
    """Copy the four lists as they are; one that is missing becomes empty."""
    for name in LISTS:
        with replacing(folder / name) as temporary:
            if (source / name).is_file():
                shutil.copyfile(source / name, temporary)


def find_split(metadata: Path | None, set_name: str, split: str) -> Path | None:
    """The folder of a split's lists: SPLIT or SET/SPLIT, under the split's own or the benchmark's name.

    Example:
        >>> find_split(Path("no/such/folder"), "CUB", "val") is None
        True
    """
    if metadata is None:
        return None
    names = [split, *(alias for alias, meant in SPLIT_ALIASES.items() if meant == split)]
    folders = [base / name for base in (metadata, metadata / set_name) for name in names]
    return next((folder for folder in folders if (folder / LABELS).is_file()), None)


def require_lists(metadata: Path | None, set_name: str, splits: Iterable[str]) -> None:
    """Refuse a folder of lists that holds none of what is looked for.

    Raises:
        UserError: so it is.
    """
    if metadata is not None and not any(find_split(metadata, set_name, split) for split in splits):
        raise UserError(
            f"expected lists in {metadata / set_name}/{'|'.join(splits)}/{LABELS}, found none: give "
            f"{LISTS_THERE}"
        )


def read_rows(path: Path, separator: str | None = ",") -> list[list[str]]:
    """The lines of a list, split at ``separator`` (None: at blanks); none where there is no file.

    Raises:
        UserError: the file is no text.
    """
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"expected lines of text in {path}, found none ({error}): replace it") from error
    return [[cell.strip() for cell in line.split(separator)] for line in lines if line.strip()]


def read_labels(folder: Path) -> list[tuple[str, int]]:
    """Id and class index of each photograph of a split.

    Raises:
        UserError: a line is of another form.
    """
    path = folder / LABELS
    rows = read_rows(path)
    if wrong := next((row for row in rows if not (len(row) == 2 and _INDEX.fullmatch(row[1]))), None):
        raise UserError(f"expected id,class in {path}, found {','.join(wrong)!r:.80}: correct the line")
    return [(name, int(label)) for name, label in rows]


def read_ids(folder: Path) -> list[str]:
    """The ids of a split, from the list of classes where there is none of ids."""
    return [row[0] for row in read_rows(folder / IDS) or read_rows(folder / LABELS)]


def missing_files(root: Path, names: Sequence[str]) -> list[str]:
    """Which of ``names`` are no files below ``root``."""
    return [name for name in names if not (root / name).is_file()]


def require_all(missing: Sequence[str], names: Sequence[str], what: str) -> None:
    """Refuse a set of which a part is missing.

    Raises:
        UserError: anything is missing.
    """
    if missing:
        raise UserError(
            f"expected {len(names)} {what}, found {len(missing)} of them missing in the archives (first "
            f"{missing[0]}): get the archives again, or the lists that belong to them"
        )


def write_classes(folder: Path, names: Iterable[str]) -> None:
    """Write the names of the classes in the order of their indices."""
    _write(folder / "classes.txt", ((name,) for name in names))


def _write(path: Path, rows: Iterable[Row]) -> None:
    make_folder(path.parent)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{','.join(map(str, row))}\n" for row in rows)
