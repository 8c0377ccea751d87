"""Boxes and masks from files: COCO JSON, or a folder of masks beside the photographs.

A reader knows which photographs it has truth for (``images_without_truth``) and which photographs it
names in vain (``missing_images``). Sizes are compared with the photograph when its truth is asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from unicodedata import normalize

import numpy as np

from rfga.data.images import find_images, opened, read_size
from rfga.types import MASK_BACKGROUND, MASK_IGNORED, MASK_OBJECT, ByteArray, Truth, UserError


class TruthReader(Protocol):
    """What is known about the photographs of one split, by image id."""

    missing_images: tuple[str, ...]  # named in the truth, not in the split's folder
    images_without_truth: tuple[str, ...]  # in the split's folder, nothing known of them

    def truth(self, image_id: str) -> Truth | None:
        """Boxes or mask in original pixels; None where nothing is known.

        Raises:
            UserError: what is known does not fit the photograph.
        """

    def warnings(self) -> list[str]:
        """One sentence for each photograph whose truth had to be changed, of those asked for so far."""


def open_truth(path: Path, split_folder: Path, image_ids: Sequence[str]) -> TruthReader:
    """Opens the truth of the photographs ``image_ids`` that lie in ``split_folder``.

    Raises:
        UserError: ``path`` is none of the known kinds, or is malformed, or tells nothing of the photographs.

    Example:
        >>> open_truth(Path("boxes.csv"), Path("val"), ["tench/a.jpg"])
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected truth as COCO JSON file or folder of masks, found no such thing at
        boxes.csv: check its name
    """
    for is_kind, reader in READERS.values():
        if is_kind(path):
            return reader(path, split_folder, image_ids)
    raise UserError(
        f"expected truth as {' or '.join(READERS)}, found no such thing at {path}: check its name"
    )


class CocoTruth:
    """Boxes of a COCO JSON file whose ``file_name`` is relative to the split's folder.

    Every box of an image counts, with two exceptions: those marked ``iscrowd``, which outline groups; and
    those of other classes, where the name of the image's class folder is among the file's categories.
    Boxes are cut at the photograph's border, with a warning where more than one pixel goes.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        images, class_names = _parse_coco(path)
        known = {_key(image_id): image_id for image_id in image_ids}
        self._path, self._split_folder = path, split_folder
        self._images: dict[str, _CocoImage] = {}
        self._warnings: dict[str, str] = {}
        for image in images:
            image_id = known.get(_key(image.file_name))
            if image_id is None:
                continue
            own_class = normalize("NFC", image_id.partition("/")[0])
            if own_class in class_names:
                image.boxes = [(name, box) for name, box in image.boxes if name == own_class]
            if image.boxes:
                self._images[image_id] = image
        self.missing_images = tuple(image.file_name for image in images if _key(image.file_name) not in known)
        self.images_without_truth = tuple(image_id for image_id in image_ids if image_id not in self._images)
        if not self._images:
            raise UserError(
                f"expected boxes of the photographs in {split_folder}, found none in {path} (it names "
                f"{len(images)} images, of which {len(self.missing_images)} are not there): give file_name "
                "relative to that folder (CLASS/NAME)"
            )

    def truth(self, image_id: str) -> Truth | None:
        """Boxes in original pixels, None where there are none; UserError where they do not fit."""
        image = self._images.get(image_id)
        if image is None:
            return None
        size_hw = read_size(self._split_folder / image_id)
        if image.size_hw not in (None, size_hw):
            raise _size_error(f"image {image_id!r} in {self._path}", image.size_hw, size_hw)
        height, width = size_hw
        boxes = np.array([box for _, box in image.boxes], dtype=np.float64)
        outside = (boxes[:, :2] >= (width, height)).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
        if outside.any():
            raise UserError(
                f"expected boxes that overlap their photograph, found x0, y0, x1, y1 = "
                f"{boxes[outside][0].tolist()} outside the {width} x {height} pixels of {image_id!r}: "
                f"correct its bbox in {self._path}"
            )
        clipped = np.clip(boxes, 0, (width, height, width, height))
        if np.abs(clipped - boxes).max() > 1:
            self._warnings[image_id] = (
                f"{image_id}: boxes reach over the {width} x {height} pixels and are cut"
            )
        return Truth(size_hw=size_hw, boxes=clipped)

    def warnings(self) -> list[str]:
        """One sentence for each photograph asked for so far whose boxes were cut by more than a pixel."""
        return list(self._warnings.values())


class MaskTruth:
    """PNG masks (255 object, 0 background, 128 ignored) at the photograph's relative path.

    The mask of ``tench/a.jpg`` is ``tench/a.png`` or ``tench/a.jpg.png``.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        masks = {_key(name): name for name in sorted(find_images(path, (".png",)))}
        self._path, self._split_folder = path, split_folder
        self._masks: dict[str, Path] = {}
        used = set()
        for image_id in image_ids:
            long, short = _key(image_id) + ".png", _key(str(PurePosixPath(image_id).with_suffix(".png")))
            found = long if long in masks else short
            if found in masks:
                self._masks[image_id] = path / masks[found]
                used.add(found)
        self.missing_images = tuple(name for key, name in masks.items() if key not in used)
        self.images_without_truth = tuple(image_id for image_id in image_ids if image_id not in self._masks)
        if not self._masks:
            raise UserError(
                f"expected masks of the photographs in {split_folder}, found {len(masks)} PNG files in "
                f"{path} and none at a photograph's relative path: name them CLASS/NAME.png"
            )

    def truth(self, image_id: str) -> Truth | None:
        """The mask in original pixels, None where there is none; UserError where it does not fit."""
        path = self._masks.get(image_id)
        if path is None:
            return None
        mask = _read_mask(path)
        size_hw = read_size(self._split_folder / image_id)
        if mask.shape != size_hw:
            raise _size_error(f"mask {path}", mask.shape, size_hw)
        return Truth(size_hw=size_hw, mask=mask)

    def warnings(self) -> list[str]:
        """Always empty: a mask fits or is an error."""
        return []


READERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, Path, Sequence[str]], TruthReader]]] = {
    "COCO JSON file": (lambda path: path.is_file() and path.suffix.lower() == ".json", CocoTruth),
    "folder of masks": (Path.is_dir, MaskTruth),
}
"""Kind of truth -> (whether a path is of this kind, its reader); the first that fits is taken."""


@dataclass(slots=True)
class _CocoImage:
    """One entry of a COCO file's images with the boxes found for it."""

    file_name: str
    size_hw: tuple[float, float] | None  # as stated in the file
    boxes: list[tuple[str, list[float]]] = field(default_factory=list)  # class name; edges x0, y0, x1, y1


def _parse_coco(path: Path) -> tuple[list[_CocoImage], set[str]]:
    """The images of a COCO file with their boxes, and the names of its categories."""
    content = _load_json(path)
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


def _parse_images(content: dict[str, Any], path: Path) -> dict[Any, _CocoImage]:
    images: dict[Any, _CocoImage] = {}
    names: set[str] = set()
    for item, where in _items(content, "images", path):
        number, name = _field(item, "id", (int, str), where), _field(item, "file_name", (str,), where)
        if number in images or _key(name) in names:
            raise UserError(
                f"expected each image once, found id {number!r} of {name!r} again in {where}: drop one"
            )
        size_hw = None
        if "width" in item and "height" in item:
            size_hw = tuple(_field(item, key, (int, float), where) for key in ("height", "width"))
        images[number] = _CocoImage(name, size_hw)
        names.add(_key(name))
    return images


def _load_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
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


def _read_mask(path: Path) -> ByteArray:
    with opened(path) as image:
        if image.mode not in ("1", "L"):
            raise UserError(
                f"expected a mask of 8-bit grey, found Pillow mode {image.mode} in {path}: save it as grey "
                "with 255 object, 0 background, 128 ignored"
            )
        mask = np.array(image.convert("L"))
    values = set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist())
    if values - {MASK_OBJECT, MASK_BACKGROUND, MASK_IGNORED}:
        remedy = "multiply it by 255" if values <= {0, 1} else "save it without smoothing or other labels"
        raise UserError(
            f"expected the mask values 255, 0 and 128, found {sorted(values)!s:.60} in {path}: {remedy}"
        )
    return mask


def _size_error(what: str, stated_hw: tuple[float, ...] | None, size_hw: tuple[int, int]) -> UserError:
    stated = "x".join(map(str, reversed(stated_hw or ())))
    turned = stated_hw == size_hw[::-1]
    remedy = "apply its EXIF orientation before marking objects" if turned else "use the marked photograph"
    return UserError(
        f"expected the size of the photograph as a viewer shows it, {size_hw[1]}x{size_hw[0]}, found "
        f"{stated} for {what}: {remedy}"
    )


def _key(name: str) -> str:
    """A relative path in one spelling: forward slashes, composed letters (macOS decomposes them)."""
    return normalize("NFC", PurePosixPath(name.replace("\\", "/")).as_posix())
