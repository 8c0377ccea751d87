"""Boxes and masks from files; ``READERS`` lists the kinds.

A reader knows which photographs it has truth for (``images_without_truth``) and which photographs it
names in vain (``missing_images``). Sizes are compared with the photograph when its truth is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from rfga.data.images import opened, read_size, upright_grey
from rfga.data.truth.coco import box_edges, gather_coco, read_coco
from rfga.data.truth.gathered import Gathered
from rfga.data.truth.labelstudio import LabelStudioTruth, is_labelstudio
from rfga.data.truth.marked import BoxTruth, Marked, size_error
from rfga.data.truth.metadata import MetadataTruth, find_masks, is_metadata, read_metadata
from rfga.data.truth.remarks import Remark
from rfga.data.truth.voc import VocTruth, is_voc
from rfga.data.truth.yolo import YoloTruth
from rfga.data.truth.yolo_layout import is_yolo
from rfga.data.walk import find_images
from rfga.types import MASK_BACKGROUND, MASK_IGNORED, MASK_OBJECT, ByteArray, Truth, UserError


class TruthReader(Protocol):
    """What is known about the photographs of one split, by image id."""

    missing_images: tuple[str, ...]  # named in the truth, not in the split's folder
    images_without_truth: tuple[str, ...]  # in the split's folder, nothing known of them
    remarks: tuple[Remark, ...]  # on what is wrong, left out or doubtful

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
        rfga.types.UserError: expected truth as Label Studio's JSON file or COCO JSON file or ... or folder
        of masks, found no such thing at boxes.csv: check its name
    """
    for is_kind, reader in READERS.values():
        if is_kind(path):
            return reader(path, split_folder, image_ids)
    raise UserError(
        f"expected truth as {' or '.join(READERS)}, found no such thing at {path}: check its name"
    )


def truth_notes(reader: TruthReader) -> list[str]:
    """What a reader has to say before any truth is asked for, a sentence each."""
    notes = [f"truth: {sentence}" for _, sentence in reader.remarks]
    if missing := reader.missing_images:
        notes.append(f"truth of no photograph: {len(missing)} named that are not there (first: {missing[0]})")
    return notes


class CocoTruth(BoxTruth):
    """Boxes of a COCO JSON file.

    Where images are ``reviewed``, only these count. Boxes marked ``iscrowd``, which outline groups, do not;
    entries that are none are left out.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        coco = read_coco(path)
        images = gather_coco(coco, image_ids, split_folder)
        gathered = Gathered[Marked](image_ids, split_folder)
        gathered.missing, gathered.remarks = images.missing, images.remarks
        for image_id, image in images.by_id.items():
            edges = [(box.class_name, box_edges(box, images.remarks)) for box in image.boxes]
            boxes = [(name, box) for name, box in edges if box is not None]
            gathered.by_id[image_id] = Marked(str(path), image.size_hw, boxes, reviewed=image.reviewed)
        super().__init__(gathered, coco.class_names, split_folder, image_ids)
        self.require_boxes(path, len(coco.images), "give file_name relative to that folder (CLASS/NAME)")


def gather_masks(path: Path, split_folder: Path, image_ids: Sequence[str]) -> Gathered[Path]:
    """The mask of each photograph that has one, and the masks of no photograph.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("a.png", "c.png"):
        ...         (Path(folder) / name).touch()
        ...     gathered = gather_masks(Path(folder), Path("val"), ["a.jpg", "b.jpg"])
        >>> list(gathered.by_id), gathered.missing
        (['a.jpg'], ['c.png'])
    """
    gathered = Gathered[Path](image_ids, split_folder)
    for name, found in gathered.names.beside(sorted(find_images(path, (".png",)))).items():
        image_id = gathered.one(name, found)
        if image_id is not None:
            gathered.put(image_id, name, path / name)
    return gathered


class MaskTruth:
    """PNG masks (255 object, 0 background, 128 ignored) at the photograph's relative path.

    The mask of ``tench/a.jpg`` is ``tench/a.png`` or ``tench/a.jpg.png``.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        self._split_folder = split_folder
        gathered = gather_masks(path, split_folder, image_ids)
        self._masks, self.remarks = gathered.by_id, gathered.remarks.listed()
        self.missing_images = tuple(gathered.missing)
        self.images_without_truth = tuple(image_id for image_id in image_ids if image_id not in self._masks)
        if not self._masks:
            besides = "".join(f"; {sentence}" for _, sentence in self.remarks[:1])
            if any(True for _ in find_images(path, (".txt",))):
                besides += "; or, if these are YOLO's labels, put data.yaml or classes.txt beside them"
            raise UserError(
                f"expected masks of the photographs in {split_folder}, found {len(self.missing_images)} PNG "
                f"files in {path} and none at a photograph's relative path: name them CLASS/NAME.png{besides}"
            )

    def truth(self, image_id: str) -> Truth | None:
        """The mask in original pixels, None where there is none; UserError where it does not fit."""
        path = self._masks.get(image_id)
        if path is None:
            return None
        mask = _read_mask(path)
        size_hw = read_size(self._split_folder / image_id)
        if mask.shape != size_hw:
            raise size_error(f"mask {path}", mask.shape, size_hw)
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
        self._path, self._split_folder = path, split_folder
        gathered = Gathered[str](image_ids, split_folder)
        listed = dict.fromkeys((*self._lists.boxes, *self._lists.masks))
        for name in listed:
            if (image_id := gathered.one(name)) is not None:
                gathered.put(image_id, f"{name!r} of {path}", name)
        self._listed = gathered.by_id  # image id -> its name in the lists
        self.missing_images, self.remarks = tuple(gathered.missing), gathered.remarks.listed()
        self.images_without_truth = tuple(image_id for image_id in image_ids if image_id not in self._listed)
        if not self._listed:
            besides = "".join(f"; {sentence}" for _, sentence in self.remarks[:1])
            raise UserError(
                f"expected boxes or masks of the photographs in {split_folder}, found none in the lists of "
                f"{path} (they name {len(listed)} others): give ids relative to that folder (CLASS/NAME)"
                f"{besides}"
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
            raise size_error(f"image {name!r} in {self._path}", stated_hw, size_hw)
        return self._reader.truth(name)

    def warnings(self) -> list[str]:
        """Always empty: a size fits or is an error."""
        return []

    def _size_of(self, name: str) -> tuple[int, int]:
        return read_size(self._split_folder / self._id_of[name])


READERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, Path, Sequence[str]], TruthReader]]] = {
    "Label Studio's JSON file": (is_labelstudio, LabelStudioTruth),
    "COCO JSON file": (lambda path: path.is_file() and path.suffix.lower() == ".json", CocoTruth),
    "folder of the benchmark's lists": (is_metadata, ListedTruth),
    "folder of YOLO labels with data.yaml": (is_yolo, YoloTruth),
    "folder of Pascal VOC XML": (is_voc, VocTruth),
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
        mask = np.array(upright_grey(image))
    values = set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist())
    if values - {MASK_OBJECT, MASK_BACKGROUND, MASK_IGNORED}:
        remedy = "multiply it by 255" if values <= {0, 1} else "save it without smoothing or other labels"
        raise UserError(
            f"expected the mask values 255, 0 and 128, found {sorted(values)!s:.60} in {path}: {remedy}"
        )
    return mask
