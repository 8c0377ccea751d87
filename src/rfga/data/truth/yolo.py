"""YOLO data sets as truth: data.yaml with the classes, and one label file for each photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rfga.data.spelling import path_key
from rfga.data.truth.gathered import Gathered
from rfga.data.truth.marked import BoxTruth, Marked
from rfga.data.truth.remarks import Remarks
from rfga.data.truth.yolo_layout import Description, label_files, read_description, read_lines, without_ending
from rfga.types import UserError

_MOST_DIGITS = 9  # of the number of a class
_RENAMED = (
    "expected the photograph that each label file lies at under 'renamed', too, found {count} that name "
    "another one there (first: {first}): each is taken as that of its own place"
)


class YoloTruth(BoxTruth):
    """Boxes of a YOLO data set: ``data.yaml`` or ``classes.txt``, and ``labels/`` or ``SPLIT/labels/``.

    The boxes of ``tench/a.jpg`` stand in ``labels/tench/a.txt`` or ``labels/SPLIT/tench/a.txt``, or by its
    name alone in ``labels/a.txt``; of two photographs that differ in their ending alone a list in data.yaml
    has to tell which is meant. A line is ``class x y width height`` or ``class x y x y x y ...`` (the outline
    of an object), in fractions of the photograph. An empty file says that there is no object, and nothing is
    known of that photograph. Lines that are none are left out.

    Raises:
        UserError: data.yaml is none, or no file gives a box of a photograph of the split.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        described = read_description(path)
        gathered = Gathered[Marked](image_ids, split_folder)
        files = label_files(described.root, split_folder.name)
        for name, found in gathered.names.beside(files).items():
            own = _told_apart(found, described, split_folder.name)
            image_id = gathered.one(name, _renamed(name, own, described, gathered))
            if image_id is None:
                continue
            boxes = _read_labels(files[name], described, gathered.remarks)
            if boxes:
                gathered.put(image_id, str(files[name]), Marked(str(files[name]), None, boxes, True))
        super().__init__(gathered, described.names.values(), split_folder, image_ids)
        self.require_boxes(path, len(files), "name label files as the photographs (labels/CLASS/NAME.txt)")


def _told_apart(found: list[str], described: Description, split: str) -> list[str]:
    """Of photographs that differ in their ending alone, and so share a label file, those in lists."""
    if len(found) < 2:
        return found
    keys = [(path_key(image_id), image_id) for image_id in found]
    return [one for key, one in keys if not described.listed.isdisjoint({key, f"{split}/{key}"})] or found


def _renamed(name: str, own: list[str], described: Description, gathered: Gathered[Marked]) -> list[str]:
    """The photographs that a label file may be of, where data.yaml says that some were renamed."""
    stated = described.own_names.get(without_ending(name))
    if stated is None:
        return own
    found = gathered.names.find(stated)
    both = [image_id for image_id in own if image_id in found]
    if own and found and not both:
        gathered.remarks.count("truth_claims", _RENAMED, f"{name}, which names {stated}")
    return both or own or found


def _read_labels(file: Path, described: Description, remarks: Remarks) -> list[tuple[str, list[float]]]:
    boxes = []
    try:
        for number, line in enumerate(read_lines(file), start=1):
            if line:
                try:
                    boxes.append(_read_line(line, described, f"line {number} of {file}"))
                except UserError as error:
                    remarks.fault(str(error))
    except UserError as error:  # the whole file
        remarks.fault(str(error))
    return boxes


def _read_line(line: str, described: Description, where: str) -> tuple[str, list[float]]:
    first, *words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if described.has_keypoints and len(numbers) > 4:
        numbers = numbers[:4]
    outline = len(numbers) >= 6 and len(numbers) % 2 == 0
    if not (len(numbers) == 4 or outline) or not all(map(math.isfinite, numbers)):
        remedy = "drop the confidence" if len(numbers) == 5 else "correct it"
        raise UserError(f"expected class x y width height, found {line!r:.80} in {where}: {remedy}")
    whole, _, rest = first.partition(".")
    if (
        not whole.isdecimal()
        or len(whole) > _MOST_DIGITS
        or rest.strip("0")
        or int(whole) not in described.names
    ):
        raise UserError(
            f"expected the number of a class out of {min(described.names, default=0)} to "
            f"{max(described.names, default=0)}, found {first!r:.40} in {where}: correct it or the names"
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
    return described.names[int(whole)], edges
