"""Boxes and masks from files: COCO JSON, the benchmark's lists, or a folder of masks beside the photographs.

A reader knows which photographs it has truth for (``images_without_truth``) and which photographs it
names in vain (``missing_images``). Sizes are compared with the photograph when its truth is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol
from unicodedata import normalize

import numpy as np

from rfga.data.coco import CocoImage, read_coco
from rfga.data.images import find_images, opened, path_key, read_size
from rfga.data.metadata import MetadataTruth, find_masks, is_metadata, read_metadata
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
        rfga.types.UserError: expected truth as COCO JSON file or folder of the benchmark's lists or folder
        of masks, found no such thing at boxes.csv: check its name
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
        images, class_names = read_coco(path)
        known = {path_key(image_id): image_id for image_id in image_ids}
        self._path, self._split_folder = path, split_folder
        self._images: dict[str, CocoImage] = {}
        self._warnings: dict[str, str] = {}
        for image in images:
            image_id = known.get(path_key(image.file_name))
            if image_id is None:
                continue
            own_class = normalize("NFC", image_id.partition("/")[0])
            if own_class in class_names:
                image.boxes = [(name, box) for name, box in image.boxes if name == own_class]
            if image.boxes:
                self._images[image_id] = image
        self.missing_images = tuple(
            image.file_name for image in images if path_key(image.file_name) not in known
        )
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
        masks = {path_key(name): name for name in sorted(find_images(path, (".png",)))}
        self._path, self._split_folder = path, split_folder
        self._masks: dict[str, Path] = {}
        used = set()
        for image_id in image_ids:
            long, short = (
                path_key(image_id) + ".png",
                path_key(str(PurePosixPath(image_id).with_suffix(".png"))),
            )
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


class ListedTruth:
    """Boxes or masks of the benchmark's lists of one split (``metadata/CUB/val``).

    Its image ids are relative to the split's folder, or begin with the split's name: ``val/CLASS/NAME``.
    Masks lie in ``masks/`` beside the lists, or beside a folder up to three levels above.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        self._lists = read_metadata(path, complete=False)
        listed = {path_key(name): name for name in (*self._lists.boxes, *self._lists.masks)}
        self._path, self._split_folder = path, split_folder
        self._listed: dict[str, str] = {}  # image id -> its name in the lists
        for image_id in image_ids:
            for key in (path_key(image_id), f"{split_folder.name}/{path_key(image_id)}"):
                if key in listed:
                    self._listed.setdefault(image_id, listed[key])
        named = set(self._listed.values())
        self.missing_images = tuple(name for name in listed.values() if name not in named)
        self.images_without_truth = tuple(image_id for image_id in image_ids if image_id not in self._listed)
        if not self._listed:
            raise UserError(
                f"expected boxes or masks of the photographs in {split_folder}, found none in the lists of "
                f"{path} (they name {len(listed)} others): give ids relative to that folder (CLASS/NAME)"
            )
        self._id_of = {name: image_id for image_id, name in self._listed.items()}
        masks = find_masks(path) if self._lists.masks else None
        self._reader = MetadataTruth(self._lists, masks, self._size_of)

    def truth(self, image_id: str) -> Truth | None:
        """Boxes or a mask in original pixels, None where there are none; UserError where they do not fit."""
        name = self._listed.get(image_id)
        if name is None:
            return None
        stated_hw = self._lists.sizes_hw.get(name)
        size_hw = read_size(self._split_folder / image_id)
        if stated_hw not in (None, size_hw):
            raise _size_error(f"image {name!r} in {self._path}", stated_hw, size_hw)
        return self._reader.truth(name)

    def warnings(self) -> list[str]:
        """Always empty: a size fits or is an error."""
        return []

    def _size_of(self, name: str) -> tuple[int, int]:
        return read_size(self._split_folder / self._id_of[name])


READERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, Path, Sequence[str]], TruthReader]]] = {
    "COCO JSON file": (lambda path: path.is_file() and path.suffix.lower() == ".json", CocoTruth),
    "folder of the benchmark's lists": (is_metadata, ListedTruth),
    "folder of masks": (Path.is_dir, MaskTruth),
}
"""Kind of truth -> (whether a path is of this kind, its reader); the first that fits is taken."""


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
