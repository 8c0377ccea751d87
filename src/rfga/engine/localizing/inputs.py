"""What a user points at: files, folders and lists of photographs, each with the class to box."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rfga.data.walk import find_images
from rfga.types import UserError


@dataclass(frozen=True)
class Photograph:
    """One file to localize in."""

    image_id: str  # path relative to the folder that was given, with forward slashes
    path: Path
    folder_class: str | None  # the nearest folder around it that is named as a class


def find_photographs(
    paths: Sequence[Path], classes: Sequence[str], outputs: Path | None = None
) -> list[Photograph]:
    """All photographs that ``paths`` name, in a fixed order; a file named twice counts once.

    Args:
        paths: image files, folders (searched through), or ``.txt`` lists with one path a line, relative to
            the list.
        classes: names that class folders may have.
        outputs: a folder that is passed over where it lies in one of ``paths``: an earlier run may have
            written pictures there.

    Raises:
        UserError: a path is not there, nothing is found, or two photographs would share one name.
    """
    found: dict[str, Photograph] = {}
    places: set[str] = set()
    for path in paths:
        beyond = _below(path, outputs)
        for photograph in _named_by(path, classes):
            place = _place(photograph.path)  # links stay apart, since each has a class folder
            if place in places or (beyond and place.startswith(beyond)):
                continue
            places.add(place)
            if photograph.image_id in found:
                raise UserError(
                    f"expected names that differ, found {photograph.image_id} for {photograph.path} and "
                    f"{found[photograph.image_id].path}: give the folder above both"
                )
            found[photograph.image_id] = photograph
    if not found:
        raise UserError(
            f"expected photographs in {', '.join(map(str, paths))}, found none: give another folder"
        )
    return list(found.values())


def read_labels(file: Path, classes: Sequence[str]) -> dict[str, int]:
    """Class indices by image id from lines ``image id,class name``.

    Raises:
        UserError: the file is not there or cannot be read, or a line names an unknown class.
    """
    if not file.is_file():
        raise UserError(
            f"expected --labels folder, predicted or a file, found nothing at {file}: check the path"
        )
    index = {name: i for i, name in enumerate(classes)}
    labels: dict[str, int] = {}
    for number, row in enumerate(_rows(file), start=1):
        if not row:
            continue
        if len(row) != 2 or row[1].strip() not in index:
            raise UserError(
                f"expected 'image,class' with a class out of {', '.join(list(classes)[:10])}, found "
                f"{','.join(row)!r} in line {number} of {file}: correct the line"
            )
        labels[row[0].strip()] = index[row[1].strip()]
    return labels


def choose_labels(
    photographs: Sequence[Photograph], wanted: str | None, classes: Sequence[str]
) -> list[int | None]:
    """The class index to box in each photograph; None stands for the most probable one.

    Args:
        photographs: from ``find_photographs``.
        wanted: "folder", "predicted", a file of labels, or None: the folder's class where every photograph
            lies in a class folder, else the predicted one.
        classes: names by index.

    Raises:
        UserError: a photograph has no class where one is needed.

    Example:
        >>> choose_labels([Photograph("cat/a.jpg", Path("cat/a.jpg"), "cat")], None, ["bat", "cat"])
        [1]
    """
    index = {name: i for i, name in enumerate(classes)}
    if wanted is None:
        wanted = "folder" if all(p.folder_class is not None for p in photographs) else "predicted"
    if wanted == "predicted":
        return [None] * len(photographs)
    if wanted == "folder":
        chosen = {p.image_id: index.get(p.folder_class or "") for p in photographs}
        remedy = f"put them into folders named {', '.join(list(classes)[:10])}"
    else:
        given = read_labels(Path(wanted), classes)
        chosen = {p.image_id: given.get(p.image_id) for p in photographs}
        remedy = f"add lines to {wanted}"
    without = [name for name, label in chosen.items() if label is None]
    if without:
        raise UserError(
            f"expected a class for every photograph, found none for {len(without)} (first {without[0]}): "
            f"use --labels predicted, or {remedy}"
        )
    return list(chosen.values())


def _named_by(path: Path, classes: Sequence[str]) -> Iterator[Photograph]:
    if path.is_dir():
        for name in sorted(find_images(path)):
            yield Photograph(name, path / name, _folder_class(path / name, path, classes))
    elif path.suffix.lower() == ".txt" and path.is_file():
        for line in _lines(path):
            if line.strip():
                yield _listed(path.parent, line.strip(), classes)
    elif path.exists():
        yield Photograph(path.name, path, _folder_class(path, path.parent, classes))
    else:
        raise UserError(f"expected a photograph, a folder or a list, found nothing at {path}: check the path")


def _folder_class(path: Path, top: Path, classes: Sequence[str]) -> str | None:
    """The nearest class folder around ``path``, no higher than ``top``."""
    # Without following links: a link that is named as a class counts as its folder.
    folder, highest = Path(_place(path)).parent, Path(_place(top))
    while folder.name not in classes:
        if folder in (highest, folder.parent):
            return None
        folder = folder.parent
    return folder.name


def _place(path: Path) -> str:
    """Where ``path`` is, in one spelling, without following links."""
    return os.path.normpath(path.absolute())


def _below(path: Path, outputs: Path | None) -> str:
    """What names begin with in ``outputs``, if it lies in the folder ``path``; else nothing."""
    if outputs is None:
        return ""
    above, ours = _place(path), _place(outputs)
    return ours + os.sep if Path(above) in Path(ours).parents else ""


def _listed(folder: Path, line: str, classes: Sequence[str]) -> Photograph:
    named = Path(line)
    path = folder / named
    if not path.is_file():
        raise UserError(f"expected a photograph at {path}, found none: correct the list")
    # A name leads elsewhere, too, where it begins with a drive or ends as Windows does not write names.
    if named.anchor or any(not part.strip(". ") for part in named.parts):
        return Photograph(path.name, path, _folder_class(path, path.parent, classes))
    return Photograph(named.as_posix(), path, _folder_class(path, folder, classes))


def _rows(file: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(_lines(file))
    except csv.Error as error:
        raise UserError(
            f"expected lines 'image,class', found {file} unreadable ({error}): correct it"
        ) from error


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected a list in UTF-8, found {file} unreadable ({error}): save it as UTF-8"
        ) from error
