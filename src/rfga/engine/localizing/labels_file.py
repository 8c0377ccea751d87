"""Files of labels: which class to look for in each photograph, as tables that people and programs write."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rfga.data.spelling import class_key, nearly_same, path_key
from rfga.types import UserError

_DELIMITERS = (",", ";", "\t")
_IMAGE = ("image", "image_id", "id", "file", "filename", "file_name", "path", "photograph", "photo", "name")
_CLASS = ("class", "class_name", "label", "category")

Rows = list[tuple[int, list[str]]]  # numbers of lines, from 1, with their cells


def read_labels(file: Path, classes: Sequence[str]) -> dict[str, int]:
    """Class indices by photograph from lines ``photograph,class``.

    Cells may be parted by semicolons or tabs. A first line may name the columns, which may then be in any
    order with others between them.

    Raises:
        UserError: the file is not there or cannot be read, a line names an unknown class, or two lines give a
            photograph two classes.
    """
    if not file.is_file():
        raise UserError(
            f"expected --labels folder, predicted or a file, found nothing at {file}: check the path"
        )
    lines, errors = read_lines(file), []
    index = {class_key(name): i for i, name in enumerate(classes)}
    for delimiter in _DELIMITERS:
        try:
            return _labels(_rows(lines, delimiter, file), file, index)
        except UserError as error:
            errors.append((any(delimiter in line for line in lines), error))
    raise next((error for fits, error in errors if fits), errors[0][1])


class LabelsFile:
    """The labels of a file, found by a photograph's name, or by its place.

    Args:
        file: see ``read_labels``; paths in it may be absolute, or relative to the folder it lies in.
        classes: names by index.

    Raises:
        UserError: see ``read_labels``.
    """

    def __init__(self, file: Path, classes: Sequence[str]) -> None:
        self.file = file
        read = read_labels(file, classes)
        self._by_name = {path_key(name): label for name, label in read.items()}
        self._places = {name: path_key(place(file.parent / name)) for name in read}
        self._by_place = {self._places[name]: label for name, label in read.items()}

    def of(self, image_id: str, path: Path) -> int | None:
        """The class index of a photograph; None where no line names it."""
        found = self._by_name.get(path_key(image_id))
        return self._by_place.get(path_key(place(path))) if found is None else found

    def unused(self, photographs: Iterable[tuple[str, Path]]) -> list[str]:
        """What the file names, and none of these photographs (id and path) is."""
        keys = {key for name, path in photographs for key in (path_key(name), path_key(place(path)))}
        return [name for name, where in self._places.items() if keys.isdisjoint((path_key(name), where))]


def place(path: Path) -> str:
    """Where ``path`` is, in one spelling, without following links."""
    return os.path.normpath(path.absolute())


def read_lines(file: Path) -> list[str]:
    """The lines of a text.

    Raises:
        UserError: it cannot be read as UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected a list in UTF-8, found {file} unreadable ({error}): save it as UTF-8"
        ) from error


def _rows(lines: Sequence[str], delimiter: str, file: Path) -> Rows:
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise UserError(
            f"expected lines 'image,class', found {file} unreadable ({error}): correct it"
        ) from error
    return [(number, row) for number, row in rows if any(row)]


def _labels(rows: Rows, file: Path, index: Mapping[str, int]) -> dict[str, int]:
    columns = _columns(rows[0][1]) if rows else None
    image, label = columns or (0, 1)
    labels: dict[str, int] = {}
    for number, row in rows[columns is not None :]:
        fits = len(row) > max(image, label) if columns else len(row) == 2
        if not fits or class_key(row[label]) not in index:
            near = nearly_same(row[label], list(index)) if fits else []
            hint = f", which differs from {near[0]!r} in case or space alone" if near else ""
            raise UserError(
                f"expected 'image,class' with a class out of {', '.join(list(index)[:10])}, found "
                f"{','.join(row)!r} in line {number} of {file}{hint}: correct the line"
            )
        found = index[class_key(row[label])]
        if labels.setdefault(row[image], found) != found:
            raise UserError(
                f"expected one class for each photograph, found another one of {row[image]!r} in line "
                f"{number} of {file}: drop one of the lines"
            )
    return labels


def _columns(row: Sequence[str]) -> tuple[int, int] | None:
    """Where a line that names columns has photograph and class; None for any other line."""
    names = [cell.casefold() for cell in row]
    image = next((names.index(name) for name in _IMAGE if name in names), None)
    label = next((names.index(name) for name in _CLASS if name in names), None)
    return None if image is None or label is None else (image, label)
