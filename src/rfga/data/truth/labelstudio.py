"""Label Studio's JSON export as truth: the boxes that people drew or corrected."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from rfga.data.formats import IMAGE_SUFFIXES
from rfga.data.truth.marked import BoxTruth, Marked
from rfga.data.truth.naming import PhotographNames
from rfga.types import UserError
from rfga.untrusted import parse_json

_UPLOAD = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before the names of uploaded files
_OPENING = re.compile(r"\ufeff?\s*\[\s*\{")
_SIDES = ("x", "y", "width", "height")


def is_labelstudio(path: Path) -> bool:
    """Whether ``path`` is a JSON file with a list of objects, as Label Studio's tasks are.

    Example:
        >>> is_labelstudio(Path("lost.json"))
        False
    """
    if not path.is_file() or path.suffix.lower() != ".json":
        return False
    with path.open(encoding="utf-8", errors="replace") as stream:
        return _OPENING.match(stream.read(1000)) is not None


class LabelStudioTruth(BoxTruth):
    """Boxes of Label Studio's export "JSON": of each task's annotations the latest that was not cancelled.

    Predictions are the model's own and no truth; a task without annotations says nothing. A photograph is
    found by its path or address, the longest end that is one of the split's counting; uploaded files by their
    name, where only one photograph has it. Rectangles alone count.

    Raises:
        UserError: the file is not as Label Studio has it, is without annotations, or is of no photograph of
            the split.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        tasks = _read_tasks(path)
        photographs = PhotographNames(image_ids, split_folder.name)
        marked: dict[str, Marked] = {}
        missing: list[str] = []
        classes: set[str] = set()
        for number, task in enumerate(tasks):
            where = f"task {task.get('id', number)} in {path}"
            name, image_id = _photograph(task, photographs, where)
            image = _marked(task, where)
            classes.update(class_name for class_name, _ in image.boxes)
            if image_id is None:
                missing.append(name)
            elif image_id in marked and marked[image_id].boxes and image.boxes:
                raise UserError(f"expected each image once, found {image_id!r} again in {where}: drop one")
            elif image_id not in marked or image.boxes:
                marked[image_id] = image
        super().__init__(marked, classes, split_folder, image_ids, missing)
        self.require_boxes(path, len(tasks), "name photographs by their path in that folder (CLASS/NAME)")


def _read_tasks(path: Path) -> list[dict[str, Any]]:
    try:
        tasks: list[dict[str, Any]] = parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected Label Studio's JSON, found {path} unreadable ({error}): export it anew"
        ) from error
    if not all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise UserError(
            f"expected tasks with 'data', found a list of something else in {path}: export it from Label "
            "Studio as JSON (not JSON-MIN), or give COCO's file of images, annotations and categories"
        )
    if not any(task.get("annotations") for task in tasks):
        raise UserError(
            f"expected tasks with annotations, found none in the {len(tasks)} tasks of {path}: predictions "
            "are no truth, so submit them in Label Studio, corrected where they are wrong, and export again"
        )
    return tasks


def _photograph(task: dict[str, Any], photographs: PhotographNames, where: str) -> tuple[str, str | None]:
    """What a task calls its photograph, and the photograph."""
    data = task["data"]
    own = data.get("photograph")  # written by rfga localize
    if isinstance(own, str) and (found := photographs.at(own)) is not None:
        return own, found
    texts = [data.get("image"), *data.values()]
    name = next((text for text in texts if isinstance(text, str) and _is_image(text)), None)
    if name is None:
        raise UserError(
            f"expected the photograph's path under 'image' of 'data', found none in {where}: add it"
        )
    for path in (name, _path_of(name)):
        if (found := photographs.at(path) or photographs.ending(path)) is not None:
            return name, found
    folder, _, called = _path_of(name).rpartition("/")
    if folder and "/data/upload/" not in f"{folder}/":
        return name, None
    return name, photographs.called(called) or photographs.called(_UPLOAD.sub("", called, count=1))


def _is_image(text: str) -> bool:
    return PurePosixPath(_path_of(text)).suffix.lower() in IMAGE_SUFFIXES or text.lower().endswith(
        tuple(IMAGE_SUFFIXES)
    )


def _path_of(address: str) -> str:
    """The path in an address: ``/data/local-files/?d=PATH``, ``s3://bucket/PATH``, ``https://host/PATH``."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    asked = parse_qs(parts.query, errors="surrogateescape").get("d")
    return asked[0] if asked else unquote(parts.path, errors="surrogateescape")


def _marked(task: dict[str, Any], where: str) -> Marked:
    image = Marked(where, None, as_fractions=True)
    annotations = task.get("annotations") or []
    if not isinstance(annotations, list) or not all(isinstance(held, dict) for held in annotations):
        raise UserError(
            f"expected a list of objects under 'annotations', found none in {where}: export it anew"
        )
    valid = [held for held in annotations if not held.get("was_cancelled")]
    if not valid:
        return image
    # Times are ISO 8601 throughout, so that their texts sort as they do; of equal ones the last counts.
    latest = max(reversed(valid), key=lambda held: (bool(held.get("ground_truth")), _time(held)))
    results = latest.get("result")
    if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
        raise UserError(f"expected a list of objects under 'result', found none in {where}: export it anew")
    for item in results:
        if item.get("type") == "rectanglelabels":
            image.boxes.append(_box(item, where))
            image.size_hw = _size(item) or image.size_hw
    return image


def _time(annotation: dict[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _size(item: dict[str, Any]) -> tuple[float, float] | None:
    height, width = item.get("original_height"), item.get("original_width")
    if isinstance(height, int | float) and isinstance(width, int | float) and height > 0 and width > 0:
        return height, width
    return None


def _box(item: dict[str, Any], where: str) -> tuple[str, list[float]]:
    value = item.get("value")
    if not isinstance(value, dict):
        raise UserError(f"expected a 'value' in every result, found none in {where}: export it anew")
    sides = [value.get(side) for side in _SIDES]
    if not all(
        isinstance(side, int | float) and not isinstance(side, bool) and math.isfinite(side) for side in sides
    ):
        raise UserError(
            f"expected x, y, width, height in percent, found {sides!s:.80} in {where}: correct them"
        )
    x, y, width, height = (side / 100 for side in sides if side is not None)
    if not (width > 0 and height > 0):
        raise UserError(f"expected positive width and height, found {sides!s:.80} in {where}: correct them")
    if value.get("rotation"):
        raise UserError(
            f"expected upright boxes, found one turned by {value['rotation']!s:.20} degrees in {where}: "
            "draw it upright"
        )
    labels = value.get("rectanglelabels")
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise UserError(f"expected a label for every box, found {labels!r:.60} in {where}: choose one")
    return labels[0], [x, y, x + width, y + height]
