"""Label Studio's JSON export as truth: the boxes that people drew or corrected."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rfga.data.truth.gathered import Gathered
from rfga.data.truth.labelstudio_regions import add_box
from rfga.data.truth.marked import BoxTruth, Marked
from rfga.data.truth.naming import address_path
from rfga.data.walk import is_picture
from rfga.types import UserError
from rfga.untrusted import parse_json, read_text

_OPENING = re.compile(r"\ufeff?\s*\[\s*\{")
_PREDICTED = (
    "expected annotations, found {count} tasks with predictions alone (first: {first}): left out, since "
    "predictions are no truth until somebody submits them"
)
_OTHER_IMAGE = (
    "expected 'photograph' of 'data' to be the image that is shown, found {count} tasks that name another "
    "one (first: {first}): the image counts"
)

Shown = tuple[str, int, str]  # key of 'data', place in its list, name of a photograph


def is_labelstudio(path: Path) -> bool:
    """Whether ``path`` is a JSON file with a list of objects, as Label Studio's tasks are.

    Example:
        >>> is_labelstudio(Path("lost.json"))
        False
    """
    if not path.is_file() or path.suffix.lower() != ".json":
        return False
    with path.open("rb") as stream:
        start = stream.read(4000)
    in_16_bits = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return _OPENING.match(start.decode("utf-16" if in_16_bits else "utf-8", errors="ignore")) is not None


class LabelStudioTruth(BoxTruth):
    """Boxes of Label Studio's export "JSON": of each task's annotations the latest that was not cancelled.

    Predictions are the model's own and no truth; a task without annotations says nothing. A photograph is
    found by its path or address, by the one rule for names. Where a task shows several, a box is on the one
    that its ``to_name`` calls by its key of 'data', or that ``item_index`` counts. Rectangles alone count.

    Raises:
        UserError: the file is not as Label Studio has it, is without annotations, or gives no box of a
            photograph of the split.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        tasks = _read_tasks(path)
        gathered = Gathered[Marked](image_ids, split_folder)
        classes: set[str] = set()
        for number, task in enumerate(tasks):
            where = f"task {task.get('id', number)!s:.40} in {path}"
            try:
                classes |= _gather(task, where, gathered)
            except UserError as error:
                gathered.remarks.fault(str(error))
        super().__init__(gathered, classes, split_folder, image_ids)
        self.require_boxes(path, len(tasks), "name photographs by their path in that folder (CLASS/NAME)")


def _read_tasks(path: Path) -> list[dict[str, Any]]:
    try:
        tasks: list[Any] = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected Label Studio's JSON, found {path} unreadable ({error}): export it anew"
        ) from error
    if not any(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise UserError(
            f"expected tasks with 'data', found a list of something else in {path}: export it from Label "
            "Studio as JSON (not JSON-MIN), or give COCO's file of images, annotations and categories"
        )
    whole = [task if isinstance(task, dict) else {} for task in tasks]
    if not any(task.get("annotations") for task in whole):
        raise UserError(
            f"expected tasks with annotations, found none in the {len(tasks)} tasks of {path}: predictions "
            "are no truth, so submit them in Label Studio, corrected where they are wrong, and export again"
        )
    return whole


def _gather(task: dict[str, Any], where: str, gathered: Gathered[Marked]) -> set[str]:
    """Keep the boxes of one task; the classes that they name."""
    shown, results = _shown(task, where), _results(task, where)
    if len({tuple(gathered.names.find(name)) or name for _, _, name in shown}) == 1:
        shown = shown[:1]  # one photograph, named several times
    if results is None:
        if task.get("predictions"):
            gathered.remarks.count("truth_left_out", _PREDICTED, where)
        results = []
    targets = [_target(item, shown, where) for item in results]
    classes: set[str] = set()
    for target in shown:
        image = Marked(where, None, as_fractions=True)
        for item, of in zip(results, targets, strict=True):
            if of == target:
                add_box(item, where, image, gathered.remarks)
        classes.update(name for name, _ in image.boxes)
        image_id = _photograph(task, target, shown, gathered)
        if image_id is not None and image.boxes:
            gathered.put(image_id, where, image)
    return classes


def _shown(task: dict[str, Any], where: str) -> list[Shown]:
    """The photographs that a task shows."""
    data = task.get("data")
    if not isinstance(data, dict):
        raise UserError(f"expected tasks with 'data', found none in {where}: export it as JSON")
    found: list[Shown] = []
    for key, value in data.items():
        names = value if isinstance(value, list) else [value]
        found += [
            (str(key), place, name)
            for place, name in enumerate(names)
            if isinstance(name, str) and (is_picture(name) or is_picture(address_path(name)))
        ]
    # rfga localize writes the photograph's path beside the address.
    shown = [one for one in found if one[0] != "photograph"] or found
    if not shown:
        raise UserError(
            f"expected the photograph's path under 'image' of 'data', found none in {where}: add it"
        )
    return shown


def _results(task: dict[str, Any], where: str) -> list[dict[str, Any]] | None:
    """What the annotation that counts says; None where there is none."""
    annotations = task.get("annotations") or []
    if not isinstance(annotations, list) or not all(isinstance(held, dict) for held in annotations):
        raise UserError(
            f"expected a list of objects under 'annotations', found none in {where}: export it anew"
        )
    valid = [held for held in annotations if not held.get("was_cancelled")]
    if not valid:
        return None
    # Times are ISO 8601 throughout, so that their texts sort as they do; of equal ones the last counts.
    latest = max(reversed(valid), key=lambda held: (bool(held.get("ground_truth")), _time(held)))
    results = latest.get("result")
    if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
        raise UserError(f"expected a list of objects under 'result', found none in {where}: export it anew")
    return results


def _time(annotation: dict[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _target(item: dict[str, Any], shown: list[Shown], where: str) -> Shown | None:
    """The photograph that a result is on."""
    if len(shown) == 1:
        return shown[0]
    keys = {key for key, _, _ in shown}
    key = next(iter(keys)) if len(keys) == 1 else item.get("to_name")
    place = item.get("item_index")
    of_key = [one for one in shown if one[0] == key]
    if len(of_key) > 1:
        of_key = [one for one in of_key if place is not None and one[1] == place]
    if of_key:
        return of_key[0]
    raise UserError(
        f"expected results that say on which of the {len(shown)} images of 'data' they are, found to_name "
        f"{item.get('to_name')!r:.40} and item_index {place!r:.20} in {where}: name each Image tag as its key"
    )


def _photograph(
    task: dict[str, Any], target: Shown, shown: list[Shown], gathered: Gathered[Marked]
) -> str | None:
    name, own = target[2], task["data"].get("photograph")
    if len(shown) > 1 or not isinstance(own, str) or own == name:
        return gathered.one(name)
    # Two claims: the image is what was looked at; its name alone is less than a path.
    seen, stated = gathered.names.find(name, alone=False), gathered.names.find(own)
    if seen and stated and seen != stated:
        gathered.remarks.count("truth_claims", _OTHER_IMAGE, f"{name}, not {own}")
    return gathered.one(name if seen else own)
