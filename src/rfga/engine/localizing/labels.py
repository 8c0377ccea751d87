"""The class to box in each photograph: of its folder, of a file of labels, or the most probable one."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rfga.data.spelling import class_key, nearly_same, path_key
from rfga.engine.localizing.inputs import Photograph, place, read_lines
from rfga.types import UserError

_DELIMITERS = (",", ";", "\t")
_IMAGE = ("image", "image_id", "id", "file", "filename", "file_name", "path", "photograph", "photo", "name")
_CLASS = ("class", "class_name", "label", "category")

Rows = list[tuple[int, list[str]]]  # numbers of lines, from 1, with their cells


@dataclass(frozen=True)
class Labels:
    """The classes that are boxed."""

    indices: list[int | None]  # of each photograph; None stands for the most probable one
    class_from: dict[str, int]  # folder, file or predicted -> how many have theirs from there
    notes: tuple[str, ...] = ()  # what is not as expected and yet no error


def choose_labels(photographs: Sequence[Photograph], wanted: str | None, classes: Sequence[str]) -> Labels:
    """The class to box in each photograph.

    Args:
        photographs: from ``find_photographs``.
        wanted: "folder", "predicted", a file of labels, or None: of each photograph its folder's class where
            it lies in a class folder, else the predicted one.
        classes: names by index.

    Raises:
        UserError: a photograph has no class where one is needed.

    Example:
        >>> cat = Photograph("cat/a.jpg", Path("cat/a.jpg"), "cat")
        >>> choose_labels([cat, Photograph("b.jpg", Path("b.jpg"), None)], None, ["bat", "cat"])
        Labels(indices=[1, None], class_from={'folder': 1, 'predicted': 1}, notes=())
    """
    source, remedy = "folder", f"put them into folders named {', '.join(list(classes)[:10])}"
    notes: tuple[str, ...] = ()
    if wanted == "predicted":
        chosen: list[int | None] = [None] * len(photographs)
    elif wanted in (None, "folder"):
        index = {name: i for i, name in enumerate(classes)}
        chosen = [None if p.folder_class is None else index.get(p.folder_class) for p in photographs]
    else:
        given = LabelsFile(Path(wanted), classes)
        chosen, notes = [given.of(p.image_id, p.path) for p in photographs], given.notes(len(photographs))
        source, remedy = "file", f"add lines to {wanted}"
    shown = [pair for pair in zip(photographs, chosen, strict=True) if not pair[0].is_empty]
    without = [p.image_id for p, label in shown if label is None]
    if without and wanted not in (None, "predicted"):
        raise UserError(
            f"expected a class for every photograph, found none for {len(without)} (first {without[0]}): "
            f"use --labels predicted, or {remedy}"
        )
    counts = Counter("predicted" if label is None else source for _, label in shown)
    return Labels(chosen, dict(sorted(counts.items())), notes)


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
    for delimiter in _DELIMITERS:
        try:
            rows = _rows(lines, delimiter, file)
            return _labels(rows, file, {class_key(name): i for i, name in enumerate(classes)})
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
        self.file, self._asked = file, set[str]()
        read = read_labels(file, classes)
        self._keys = {name: (path_key(name), path_key(place(file.parent / name))) for name in read}
        self._by_name = {self._keys[name][0]: label for name, label in read.items()}
        self._by_place = {self._keys[name][1]: label for name, label in read.items()}

    def of(self, image_id: str, path: Path) -> int | None:
        """The class index of a photograph; None where no line names it."""
        name, where = path_key(image_id), path_key(place(path))
        self._asked.update((name, where))
        return self._by_name.get(name, self._by_place.get(where))

    def notes(self, asked: int) -> tuple[str, ...]:
        """How many lines name none of the photographs that were asked for, if there are any."""
        unused = [name for name, keys in self._keys.items() if self._asked.isdisjoint(keys)]
        if not unused:
            return ()
        return (
            f"expected lines of photographs in {self.file}, found {len(unused)} that name none of these "
            f"{asked} (first {unused[0]}): they are passed over",
        )


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
    columns = columns_of(rows[0][1]) if rows else None
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


def columns_of(row: Sequence[str]) -> tuple[int, int] | None:
    """Where a line that names columns has photograph and class; None for any other line."""
    names = [cell.casefold() for cell in row]
    image = next((names.index(name) for name in _IMAGE if name in names), None)
    label = next((names.index(name) for name in _CLASS if name in names), None)
    return None if image is None or label is None else (image, label)
