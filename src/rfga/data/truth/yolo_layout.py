"""Where the files of a YOLO data set lie, and what data.yaml says of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rfga.data.spelling import path_key
from rfga.data.truth.naming import SPLIT_WORDS
from rfga.data.walk import find_images
from rfga.types import UserError
from rfga.untrusted import parse_yaml, read_text

_YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_CLASS_LISTS = ("classes.txt", "labels/classes.txt", "obj.names")  # of Label Studio, labelImg, CVAT
_LISTS = ("train", "val", "test")
_NO_LABELS = {"classes.txt", *(f"{split}.txt" for split in (*_LISTS, "valid"))}
_LOOKED_AT = 20  # text files, to see whether they are labels
_CVAT_FOLDERS = {"obj_train_data": "train", "obj_valid_data": "val", "obj_validation_data": "val"}


def is_yolo(path: Path) -> bool:
    """Whether ``path`` is the folder of a YOLO data set, or its data.yaml.

    Example:
        >>> is_yolo(Path("no/such/folder"))
        False
    """
    if path.is_file():
        return path.suffix.lower() in (".yaml", ".yml")
    if any((path / name).is_file() for name in _YAML_NAMES):
        return True
    if not any((path / name).is_file() for name in _CLASS_LISTS):
        return False
    files = (path / name for name in find_images(path, (".txt",)) if Path(name).name not in _NO_LABELS)
    return (path / "labels").is_dir() or any(_holds_labels(file) for file in islice(files, _LOOKED_AT))


@dataclass(frozen=True)
class Description:
    """What data.yaml, or a list of classes, says."""

    root: Path
    names: dict[int, str]  # class names
    own_names: dict[str, str]  # stem of a label file -> photograph that was listed under another name
    listed: frozenset[str] = frozenset()  # photographs in lists, relative to images/
    has_keypoints: bool = False  # lines go on behind the box


def read_description(path: Path) -> Description:
    """What is said of the data set at ``path``.

    Raises:
        UserError: data.yaml cannot be read, or is none.
    """
    if path.is_dir():
        described = [path / name for name in _YAML_NAMES if (path / name).is_file()]
        if not described:
            lists = [path / name for name in _CLASS_LISTS if (path / name).is_file()]
            return Description(path, dict(enumerate(filter(None, read_lines(lists[0])))), {})
        path = described[0]
    try:
        held = parse_yaml(read_text(path), as_text=True)
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
    own_names = {without_ending(listed): name for listed, name in renamed.items()}
    listed = _listed(path.parent, [held.get(split) for split in _LISTS])
    return Description(path.parent, _class_names(held, path), own_names, listed, "kpt_shape" in held)


def label_files(root: Path, split: str) -> dict[str, Path]:
    """Label files by their path below the folder of labels.

    That is ``labels/``, ``SPLIT/labels/`` (the split under any of its names), CVAT's ``obj_train_data/``, or
    the folder itself, where labelImg puts them beside its list of classes.

    Raises:
        UserError: there is no such folder.
    """
    word = SPLIT_WORDS.get(split.casefold())
    folders = [root / "labels", *(root / name / "labels" for name in _split_folders(root, split))]
    folders += [root / name for name, of in _CVAT_FOLDERS.items() if word in (None, of)]
    folders = [folder for folder in folders if folder.is_dir()]
    if not folders and (root / "classes.txt").is_file():
        folders = [root]
    if not folders:
        raise UserError(
            f"expected the label files of {root} in labels or {split}/labels, found neither: put them there"
        )
    found: dict[str, Path] = {}
    for folder in folders:
        for name in sorted(find_images(folder, (".txt",))):
            if Path(name).name not in _NO_LABELS:
                key = name if name not in found else f"{folder.relative_to(root).as_posix()}/{name}"
                found[key] = folder / name
    return found


def read_lines(file: Path) -> list[str]:
    """The lines of a text file, without space around them.

    Raises:
        UserError: it cannot be read as text.
    """
    try:
        return [line.strip() for line in read_text(file).split("\n")]
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected lines of text, found {file} unreadable ({error}): write it anew"
        ) from error


def without_ending(name: str) -> str:
    """A path in one spelling, without the ending of its last part."""
    return path_key(name.rpartition(".")[0])


def _holds_labels(file: Path) -> bool:
    """Whether the first line of a text file is a box."""
    try:
        words = next((line.split() for line in read_lines(file) if line), [])
        return len(words) > 4 and all(math.isfinite(float(word)) for word in words)
    except (UserError, ValueError):
        return False


def _split_folders(root: Path, split: str) -> list[str]:
    """Names of the folder of a split, as it is called and as tools call it."""
    # Class folders without splits are their own train.
    word = SPLIT_WORDS.get(split.casefold(), "train")
    names = [split, *(name for name, of in SPLIT_WORDS.items() if of == word and name != split)]
    return [name for name in names if (root / name).is_dir()]


def _class_names(held: Mapping[str, Any], path: Path) -> dict[int, str]:
    names = held.get("names")
    if isinstance(names, list):
        names = {str(index): name for index, name in enumerate(names)}
    if (
        not isinstance(names, dict)
        or not names
        or not all(str(index).isdecimal() and len(str(index)) < 10 for index in names)
        or not all(isinstance(name, str) for name in names.values())
    ):
        raise UserError(
            f"expected 'names' as a list, or from 0, 1, ... to class names, found {names!r:.60} in {path}: "
            "correct it"
        )
    return {int(index): name for index, name in names.items()}


def _listed(root: Path, lists: Iterable[Any]) -> frozenset[str]:
    """What lists of photographs beside data.yaml name, relative to the last ``images/``."""
    found: set[str] = set()
    for name in lists:
        if isinstance(name, str) and name.endswith(".txt") and _lies_below(root, name):
            lines = read_lines(root / name)
            found.update(f"/{path_key(line)}".rpartition("/images/")[2] for line in lines if line)
    return frozenset(found)


def _lies_below(root: Path, name: str) -> bool:
    """Whether a list is a file of the data set; lists of other places are left alone."""
    try:
        path = (root / name).resolve()
        return path.is_relative_to(root.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
