"""COCO JSON: images with their boxes, each entry checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

from rfga.data.spelling import path_key
from rfga.types import UserError
from rfga.untrusted import parse_json


@dataclass(slots=True)
class CocoImage:
    """One entry of a COCO file's images with the boxes found for it."""

    file_name: str
    size_hw: tuple[float, float] | None  # as stated in the file
    boxes: list[tuple[str, list[float]]] = field(default_factory=list)  # class name; edges x0, y0, x1, y1


def read_coco(path: Path) -> tuple[list[CocoImage], set[str]]:
    """The images of a COCO file with their boxes, and the names of its categories.

    Boxes marked ``iscrowd``, which outline groups, are left out.

    Raises:
        UserError: the file is unreadable or not as COCO has it; the sentence names the entry.

    Example:
        >>> read_coco(Path("lost.json"))
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected COCO JSON, found lost.json unreadable (...): write it anew
    """
    content = load_json(path)
    categories: dict[Any, str] = {}
    for item, where in _items(content, "categories", path) if "categories" in content else ():
        name = _field(item, "name", (str,), where)
        categories[_field(item, "id", (int, str), where)] = normalize("NFC", name)
    images = _parse_images(content, path)
    for item, where in _items(content, "annotations", path):
        image = images.get(_field(item, "image_id", (int, str), where))
        if image is None:
            raise UserError(
                f"expected image_id of {where} among the images, found {item['image_id']!r}: correct it"
            )
        category_id = _field(item, "category_id", (int, str), where) if categories else None
        if categories and category_id not in categories:
            raise UserError(
                f"expected category_id of {where} among the categories, found {category_id!r}: correct it"
            )
        if not item.get("iscrowd"):
            edges = _box_edges(_field(item, "bbox", (list,), where), where)
            image.boxes.append((categories.get(category_id, ""), edges))
    return list(images.values()), set(categories.values())


def _parse_images(content: dict[str, Any], path: Path) -> dict[Any, CocoImage]:
    images: dict[Any, CocoImage] = {}
    names: set[str] = set()
    for item, where in _items(content, "images", path):
        number, name = _field(item, "id", (int, str), where), _field(item, "file_name", (str,), where)
        if number in images or path_key(name) in names:
            raise UserError(
                f"expected each image once, found id {number!r} of {name!r} again in {where}: drop one"
            )
        size_hw = None
        if "width" in item and "height" in item:
            size_hw = tuple(_field(item, key, (int, float), where) for key in ("height", "width"))
        images[number] = CocoImage(name, size_hw)
        names.add(path_key(name))
    return images


def load_json(path: Path) -> dict[str, Any]:
    """The content of a COCO file, of which nothing but that it is a JSON object has been checked.

    Raises:
        UserError: it cannot be read, or is something else.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"expected COCO JSON, found {path} unreadable ({error}): write it anew") from error
    if not isinstance(content, dict):
        raise UserError(
            f"expected a COCO JSON object with images and annotations, found a {type(content).__name__} in "
            f"{path}: export it as COCO 'instances'"
        )
    return content


def _items(content: dict[str, Any], key: str, path: Path) -> list[tuple[dict[str, Any], str]]:
    """The objects of the list ``key``, each with words that say where it stands."""
    items = content.get(key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UserError(f"expected a list of objects under {key!r}, found none in {path}: give COCO JSON")
    return [(item, f"entry {index} of {key!r} in {path}") for index, item in enumerate(items)]


def _field(item: dict[str, Any], key: str, kinds: tuple[type, ...], where: str) -> Any:
    value = item.get(key)
    if not isinstance(value, kinds) or isinstance(value, bool):
        names = " or ".join(kind.__name__ for kind in kinds)
        found = repr(value) if key in item else "nothing"
        raise UserError(f"expected {key!r} of type {names}, found {found:.80} in {where}: correct it")
    return value


def _box_edges(bbox: list[Any], where: str) -> list[float]:
    """COCO's [x, y, width, height] as edges x0, y0, x1, y1."""
    try:
        x0, y0, width, height = (float(value) for value in bbox if not isinstance(value, str | bool))
    except (TypeError, ValueError, OverflowError):  # no numbers, not four of them, or beyond all floats
        x0 = y0 = width = height = math.nan
    x1, y1 = x0 + width, y0 + height
    if not (-math.inf < x0 < x1 < math.inf and -math.inf < y0 < y1 < math.inf):
        raise UserError(
            f"expected bbox as [x, y, width, height] with positive width and height, found "
            f"{bbox!s:.80} in {where}: correct it"
        )
    return [x0, y0, x1, y1]
