"""COCO JSON: images with their boxes, each entry checked by itself; what is wrong is left out and named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfga.data.spelling import path_key
from rfga.data.truth.gathered import Gathered
from rfga.data.truth.remarks import Remarks
from rfga.types import UserError
from rfga.untrusted import parse_json, read_text

_CROWDS = (
    "expected boxes of single objects, found {count} marked iscrowd, as groups are (first: {first}): they "
    "are left out, so set iscrowd to 0 where one object is outlined, since some tools set it for every mask"
)


@dataclass(frozen=True, slots=True)
class CocoBox:
    """A box as it stands in the file."""

    class_name: str
    numbers: Any  # what stands under bbox
    where: str


@dataclass(slots=True)
class CocoImage:
    """One entry of a COCO file's images with the boxes found for it."""

    file_name: str
    size_hw: tuple[float, float] | None  # as stated in the file; 0 means unknown there
    where: str
    boxes: list[CocoBox] = field(default_factory=list)
    crowds: list[str] = field(default_factory=list)  # entries left out, because they outline groups
    reviewed: bool = False  # a person has looked at it: its boxes are right, and there are no others


@dataclass(frozen=True, slots=True)
class Coco:
    """A COCO file."""

    images: list[CocoImage]
    class_names: frozenset[str]
    faults: list[str]  # a sentence for each entry that is left out


def read_coco(path: Path) -> Coco:
    """The images of a COCO file with their boxes, and the names of its categories.

    Where any of its images is ``reviewed``, as ``rfga review`` and ``rfga build`` write it, only such images
    count: the boxes of the others were found, and are no truth. Ids may be whole numbers, texts, or floats of
    the same value.

    Raises:
        UserError: the file is unreadable, or no object with lists of images and annotations.

    Example:
        >>> read_coco(Path("lost.json"))
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected COCO JSON, found lost.json unreadable (...): write it anew
    """
    content, faults = _load_json(path), list[str]()
    categories: dict[str, str] = {}
    for item, where in _items(content, "categories", path) if content.get("categories") else ():
        key, name = _id(item, "id"), item.get("name")
        if key is None or not isinstance(name, str):
            faults.append(_fault("an id and a name", where, item))
        else:
            categories[key] = name
    images = _read_images(content, path, faults)
    for item, where in _items(content, "annotations", path):
        image, category = (
            images.get(_id(item, "image_id") or ""),
            categories.get(_id(item, "category_id") or ""),
        )
        if image is None:
            faults.append(_fault("an image_id out of the images", where, item))
        elif category is None and content.get("categories"):
            faults.append(_fault("a category_id out of the categories", where, item))
        elif item.get("iscrowd") in (None, 0, False, "", "0"):
            image.boxes.append(CocoBox(category or "", item.get("bbox"), where))
        else:
            image.crowds.append(where)
    reviewed = [image for image in images.values() if image.reviewed]
    return Coco(reviewed or list(images.values()), frozenset(categories.values()), faults)


def gather_coco(coco: Coco, image_ids: Sequence[str], split_folder: Path) -> Gathered[CocoImage]:
    """The images of a COCO file that are photographs of a split."""
    gathered = Gathered[CocoImage](image_ids, split_folder)
    for sentence in coco.faults:
        gathered.remarks.fault(sentence)
    for image in coco.images:
        image_id = gathered.one(image.file_name)
        if image_id is not None:
            gathered.put(image_id, image.where, image)
    for image in gathered.by_id.values():
        for where in image.crowds:
            gathered.remarks.count("truth_left_out", _CROWDS, where)
    return gathered


def box_numbers(box: CocoBox) -> tuple[float, float, float, float] | None:
    """The four finite numbers x, y, width, height of a box; None where they are none."""
    try:
        if not isinstance(box.numbers, list) or any(isinstance(n, str | bool) for n in box.numbers):
            return None
        x, y, width, height = map(float, box.numbers)
    except (TypeError, ValueError, OverflowError):  # no numbers, not four of them, or beyond all floats
        return None
    finite = all(map(math.isfinite, (x, y, width, height, x + width, y + height)))
    return (x, y, width, height) if finite else None


def box_edges(box: CocoBox, remarks: Remarks) -> list[float] | None:
    """COCO's [x, y, width, height] as edges x0, y0, x1, y1; None of a box without area, which is told."""
    x, y, width, height = box_numbers(box) or (0.0, 0.0, 0.0, 0.0)
    if x + width > x and y + height > y:
        return [x, y, x + width, y + height]
    remarks.fault(
        f"expected bbox as [x, y, width, height] with positive width and height, found {box.numbers!s:.80} "
        f"in {box.where}: correct it"
    )
    return None


def _read_images(content: dict[str, Any], path: Path, faults: list[str]) -> dict[str, CocoImage]:
    entries: list[tuple[str, CocoImage]] = []
    for item, where in _items(content, "images", path):
        key, name = _id(item, "id"), item.get("file_name")
        if key is None or not isinstance(name, str):
            faults.append(_fault("an id and a file_name", where, item))
        else:
            image = CocoImage(name, _size(item, where, faults), where, reviewed=item.get("reviewed") is True)
            entries.append((key, image))
    ids = Counter(key for key, _ in entries)
    names = Counter(path_key(image.file_name) for _, image in entries)
    images: dict[str, CocoImage] = {}
    for key, image in entries:
        if ids[key] > 1 or names[path_key(image.file_name)] > 1:
            faults.append(
                f"expected each image once, found id {key!r:.40} or name {image.file_name!r:.100} again in "
                f"{image.where}: drop one"
            )
        else:
            images[key] = image
    return images


def _load_json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise UserError(f"expected COCO JSON, found {path} unreadable ({error}): write it anew") from error
    if not isinstance(content, dict):
        raise UserError(
            f"expected a COCO JSON object with images and annotations, found a {type(content).__name__} in "
            f"{path}: export it as COCO 'instances'"
        )
    return content


def _items(content: dict[str, Any], key: str, path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The entries of the list ``key``, each with where it stands; what is no object is empty."""
    items = content.get(key)
    if not isinstance(items, list):
        raise UserError(f"expected a list of objects under {key!r}, found none in {path}: give COCO JSON")
    for index, item in enumerate(items):
        yield (item if isinstance(item, dict) else {}), f"entry {index} of {key!r} in {path}"


def _id(item: dict[str, Any], key: str) -> str | None:
    """An id as text, the same for 7, 7.0 and "7"."""
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value) if value.is_integer() else value
    return str(value).strip()


def _size(item: dict[str, Any], where: str, faults: list[str]) -> tuple[float, float] | None:
    """Height and width as stated; None where one is missing or 0, which some tools write for unknown."""
    stated = [item.get("height"), item.get("width")]
    try:
        if any(isinstance(side, bool) for side in stated):
            raise ValueError
        height, width = (0.0 if side is None else float(side) for side in stated)
    except (TypeError, ValueError, OverflowError):
        height = width = math.nan
    if not (math.isfinite(height) and math.isfinite(width)):
        faults.append(
            f"expected 'width' and 'height' as numbers, found {stated[1]!r:.40} and {stated[0]!r:.40} in "
            f"{where}: correct them, since its boxes are taken without a look at the size"
        )
        return None
    return (height, width) if height > 0 and width > 0 else None


def _fault(expected: str, where: str, item: dict[str, Any]) -> str:
    return f"expected {expected} in {where}, found {item!s:.80}: correct it"
