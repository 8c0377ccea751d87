"""YOLO data sets as truth: data.yaml with the classes, and one label file for each photograph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfga.data.spelling import path_key
from rfga.data.truth.marked import BoxTruth, Marked
from rfga.data.truth.naming import PhotographNames
from rfga.data.walk import find_images
from rfga.types import UserError
from rfga.untrusted import parse_yaml

_YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_CLASS_LIST = "classes.txt"  # what Label Studio writes in the place of data.yaml
_LISTS = ("train", "val", "test")
_MOST_DIGITS = 9  # of the number of a class


def is_yolo(path: Path) -> bool:
    """Whether ``path`` is the folder of a YOLO data set, or its data.yaml.

    Example:
        >>> is_yolo(Path("no/such/folder"))
        False
    """
    if path.is_file():
        return path.suffix.lower() in (".yaml", ".yml")
    listed = (path / _CLASS_LIST).is_file() and (path / "labels").is_dir()
    return listed or any((path / name).is_file() for name in _YAML_NAMES)


class YoloTruth(BoxTruth):
    """Boxes of a YOLO data set: ``data.yaml`` or ``classes.txt``, and ``labels/`` or ``SPLIT/labels/``.

    The boxes of ``tench/a.jpg`` stand in ``labels/tench/a.txt`` or ``labels/SPLIT/tench/a.txt``; where all
    label files lie in one folder, in ``a.txt``, if only one photograph has that name. A line is ``class x y
    width height`` or ``class x y x y x y ...`` (the outline of an object), in fractions of the photograph. An
    empty file says that there is no object, and nothing is known of that photograph.

    Raises:
        UserError: a file is not as YOLO has it, or none is of a photograph of the split.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        described = _read_description(path)
        photographs = PhotographNames(image_ids, split_folder.name)
        marked: dict[str, Marked] = {}
        missing, files = [], _label_files(described.root, split_folder.name)
        for stem, file in files.items():
            boxes = _read_labels(file, described.names)
            found = _photographs(stem, photographs, described, split_folder.name)
            if not found:
                missing.append(stem)
            for image_id in found:
                marked[image_id] = Marked(str(file), None, list(boxes), as_fractions=True)
        super().__init__(marked, described.names.values(), split_folder, image_ids, missing)
        self.require_boxes(path, len(files), "name label files as the photographs (labels/CLASS/NAME.txt)")


@dataclass(frozen=True)
class _Description:
    root: Path
    names: dict[int, str]  # class names
    own_names: dict[str, str]  # stem of a label file -> photograph that was listed under another name
    listed: frozenset[str] = frozenset()  # photographs in lists, relative to images/


def _read_description(path: Path) -> _Description:
    if path.is_dir():
        described = [path / name for name in _YAML_NAMES if (path / name).is_file()]
        if not described:
            return _Description(path, dict(enumerate(filter(None, _lines(path / _CLASS_LIST)))), {})
        path = described[0]
    try:
        held = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"expected YAML, found {path} unreadable ({reason:.200}): write it anew") from error
    if not isinstance(held, dict):
        raise UserError(f"expected keys such as names and train, found none in {path}: give YOLO's data.yaml")
    renamed = held.get("renamed", {})
    if not isinstance(renamed, dict) or not all(
        isinstance(name, str) for pair in renamed.items() for name in pair
    ):
        raise UserError(f"expected 'renamed' from names to names, found something else in {path}: drop it")
    own_names = {_without_ending(listed): name for listed, name in renamed.items()}
    lists = [held.get(split) for split in _LISTS]
    return _Description(path.parent, _class_names(held, path), own_names, _listed(path.parent, lists))


def _class_names(held: Mapping[str, Any], path: Path) -> dict[int, str]:
    names = held.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(str(index).isdecimal() for index in names):
        raise UserError(
            f"expected 'names' as a list, or from 0, 1, ... to class names, found {names!r:.60} in {path}: "
            "correct it"
        )
    return {int(index): str(name) for index, name in names.items()}


def _listed(root: Path, lists: Iterable[Any]) -> frozenset[str]:
    """What lists of photographs beside data.yaml name, relative to the last ``images/``."""
    found: set[str] = set()
    for name in lists:
        if isinstance(name, str) and name.endswith(".txt") and _lies_below(root, name):
            lines = _lines(root / name)
            found.update(f"/{path_key(line)}".rpartition("/images/")[2] for line in lines if line)
    return frozenset(found)


def _lies_below(root: Path, name: str) -> bool:
    """Whether a list is a file of the data set; lists of other places are left alone."""
    try:
        path = (root / name).resolve()
        return path.is_relative_to(root.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _label_files(root: Path, split: str) -> dict[str, Path]:
    """Label files by their path without ending below labels/ of the root or of the split."""
    for folder in (root / "labels", root / split / "labels"):
        if folder.is_dir():
            return {_without_ending(name): folder / name for name in sorted(find_images(folder, (".txt",)))}
    raise UserError(
        f"expected the label files of {root} in labels or {split}/labels, found neither: put them there"
    )


def _without_ending(name: str) -> str:
    return path_key(name.rpartition(".")[0])


def _photographs(stem: str, photographs: PhotographNames, described: _Description, split: str) -> list[str]:
    if stem in described.own_names:
        found = photographs.at(described.own_names[stem])
        return [] if found is None else [found]
    same = photographs.with_stem(stem)
    if len(same) > 1:
        # Photographs that differ in their ending alone share a file, unless lists tell them apart.
        keys = [(path_key(image_id), image_id) for image_id in same]
        named = [i for key, i in keys if not described.listed.isdisjoint({key, f"{split}/{key}"})]
        same = named or same
    if not same and (found := photographs.at(stem)) is not None:
        same = [found]
    if not same and "/" not in stem and (found := photographs.called_with_stem(stem)) is not None:
        same = [found]
    return same


def _read_labels(file: Path, names: Mapping[int, str]) -> list[tuple[str, list[float]]]:
    boxes = []
    for number, line in enumerate(_lines(file), start=1):
        if line:
            boxes.append(_read_line(line, names, f"line {number} of {file}"))
    return boxes


def _read_line(line: str, names: Mapping[int, str], where: str) -> tuple[str, list[float]]:
    index, *words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    outline = len(numbers) >= 6 and len(numbers) % 2 == 0
    if not (len(numbers) == 4 or outline) or not all(map(math.isfinite, numbers)):
        remedy = "drop the confidence" if len(numbers) == 5 else "correct it"
        raise UserError(f"expected class x y width height, found {line!r:.80} in {where}: {remedy}")
    if not index.isdecimal() or len(index) > _MOST_DIGITS or int(index) not in names:
        raise UserError(
            f"expected the number of a class out of {min(names)} to {max(names)}, found {index!r:.40} in "
            f"{where}: correct it or the names"
        )
    if outline:
        xs, ys = numbers[::2], numbers[1::2]
        edges = [min(xs), min(ys), max(xs), max(ys)]
    else:
        x, y, width, height = numbers
        edges = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if not (edges[0] < edges[2] and edges[1] < edges[3]):
        raise UserError(f"expected a box with width and height, found {line!r:.80} in {where}: correct it")
    if max(map(abs, edges)) > 2:
        raise UserError(
            f"expected fractions of width and height, found {line!r:.80} in {where}: divide pixels by the "
            "photograph's size"
        )
    return names[int(index)], edges


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected lines of text, found {file} unreadable ({error}): write it anew"
        ) from error
