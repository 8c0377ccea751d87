"""Boxes that files of any kind give for the photographs of a split, each checked when it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rfga.data.images import is_turned, read_size
from rfga.data.spelling import class_key, nearly_same
from rfga.data.truth.gathered import Gathered
from rfga.data.truth.given import NOTHING_HERE, Given
from rfga.data.truth.remarks import Remark, Remarks
from rfga.types import Truth, UserError

Box = TypeVar("Box")


@dataclass(slots=True)
class Marked:
    """The boxes marked in one photograph."""

    where: str  # the file, or its entry, that says so
    size_hw: tuple[float, float] | None  # of the photograph, as stated there
    boxes: list[tuple[str, list[float]]] = field(default_factory=list)  # class name; edges x0, y0, x1, y1
    as_fractions: bool = False  # edges as fractions of width and height instead of pixels
    reviewed: bool = False  # by a person: there are no other objects, and none at all where there is no box


class BoxTruth:
    """Boxes of a split's photographs, in original pixels.

    Every box of a photograph counts, except those of other classes where the name of the photograph's class
    folder is among the classes. Boxes are cut at the photograph's border, with a warning where more than one
    pixel goes.

    Args:
        gathered: what is marked; photographs without a box may be among them.
        class_names: all classes that boxes may have.
        split_folder: where the photographs are.
        image_ids: all photographs of the split.
    """

    def __init__(
        self,
        gathered: Gathered[Marked],
        class_names: Collection[str],
        split_folder: Path,
        image_ids: Sequence[str],
    ) -> None:
        self._split_folder = split_folder
        self._marked: dict[str, Marked] = {}
        self._reviewed = {name: replace(image) for name, image in gathered.by_id.items() if image.reviewed}
        self._warnings: dict[str, str] = {}
        own_class = OwnClass(class_names, gathered)
        for image_id, image in gathered.by_id.items():
            image.boxes = own_class.boxes(image_id, image.boxes)
            if image.boxes:
                self._marked[image_id] = image
        sizeless = [image_id for image_id, image in self._marked.items() if image.size_hw is None]
        tell_turned(gathered.remarks, split_folder, sizeless)
        self.remarks: tuple[Remark, ...] = gathered.remarks.listed()
        self.missing_images = tuple(gathered.missing)
        self.images_without_truth = tuple(image_id for image_id in image_ids if image_id not in self._marked)

    def require_boxes(self, path: Path, named: int, remedy: str) -> None:
        """Refuse truth that says nothing.

        Args:
            path: where it comes from.
            named: how many photographs it names.
            remedy: how photographs are to be named.

        Raises:
            UserError: there is no box of any photograph of the split.
        """
        if self._marked or self._reviewed:
            return
        # What was left out is why nothing remains, unless names do not fit.
        if self.remarks and not self.missing_images:
            more = f" (and {len(self.remarks) - 1} more)" if len(self.remarks) > 1 else ""
            found = f"expected boxes of the photographs in {self._split_folder}, found none in {path}: "
            sentence = f"{self.remarks[0][1]}{more}"
            raise UserError(sentence if str(path) in sentence else found + sentence)
        first = f", as {self.missing_images[0]!r:.100}" if self.missing_images else ""
        if not self.missing_images:
            remedy = "mark objects in them"
        besides = "".join(f"; {sentence}" for _, sentence in self.remarks[:1])
        raise UserError(
            f"expected boxes of the photographs in {self._split_folder}, found none in {path} (it names "
            f"{named} images, of which {len(self.missing_images)} are not there{first}): {remedy}{besides}"
        )

    def truth(self, image_id: str) -> Truth | None:
        """Boxes in original pixels, None where there are none; UserError where they do not fit."""
        image = self._marked.get(image_id)
        return None if image is None else self._fitted(image_id, image)

    def given(self, image_id: str) -> Given | None:
        """What a person has said of a photograph, boxes of other classes among it; None where nothing.

        Raises:
            UserError: the boxes do not fit.
        """
        image = self._reviewed.get(image_id) or self._marked.get(image_id)
        if image is None:
            return None
        if not image.boxes:
            return NOTHING_HERE
        boxes = self._fitted(image_id, image).boxes
        assert boxes is not None  # there are some
        return Given(boxes, tuple(name for name, _ in image.boxes))

    def _fitted(self, image_id: str, image: Marked) -> Truth:
        size_hw = read_size(self._split_folder / image_id)
        if image.size_hw not in (None, size_hw):
            raise size_error(f"image {image_id!r} in {image.where}", image.size_hw, size_hw)
        height, width = size_hw
        boxes = np.array([box for _, box in image.boxes], dtype=np.float64)
        if image.as_fractions:
            boxes *= (width, height, width, height)
        outside = (boxes[:, :2] >= (width, height)).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
        if outside.any():
            raise UserError(
                f"expected boxes that overlap their photograph, found x0, y0, x1, y1 = "
                f"{boxes[outside][0].tolist()} outside the {width} x {height} pixels of {image_id!r}: "
                f"correct its bbox in {image.where}"
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


def size_error(what: str, stated_hw: tuple[float, ...] | None, size_hw: tuple[int, int]) -> UserError:
    """The error of truth that was made for a photograph of another size.

    Example:
        >>> print(size_error("mask a.png", (80, 60), (60, 80)))
        expected the size of the photograph as a viewer shows it, 80x60, found 60x80 for mask a.png: apply its
        EXIF orientation before marking objects
    """
    stated = "x".join(f"{side:g}" for side in reversed(stated_hw or ()))
    turned = stated_hw == size_hw[::-1]
    remedy = "apply its EXIF orientation before marking objects" if turned else "use the marked photograph"
    return UserError(
        f"expected the size of the photograph as a viewer shows it, {size_hw[1]}x{size_hw[0]}, found "
        f"{stated} for {what}: {remedy}"
    )


class OwnClass:
    """Which boxes of a photograph are of its own class, the name of its folder.

    Args:
        class_names: all that boxes may have.
        gathered: where it is said that names do not quite fit.
    """

    def __init__(self, class_names: Collection[str], gathered: Gathered[Any]) -> None:
        self._names, self._remarks = class_names, gathered.remarks
        self._keys = {class_key(name) for name in class_names}

    def boxes(self, image_id: str, boxes: list[tuple[str, Box]]) -> list[tuple[str, Box]]:
        """Those of its class; all of them, where no box may have this class."""
        folder, slash, _ = image_id.partition("/")
        if not slash or not boxes:
            return boxes
        wanted = {class_key(folder)} & self._keys or set(map(class_key, nearly_same(folder, self._names)))
        if not wanted:
            if len(self._keys) > 1:
                self._tell("truth_claims", _NO_CLASS, f"{folder!r} of {image_id}")
            return boxes
        own = [pair for pair in boxes if class_key(pair[0]) in wanted]
        if class_key(folder) not in wanted and own:
            self._tell("truth_spelling", _NEARLY, f"{own[0][0]!r} for {folder!r}")
        if len(own) < len(boxes):
            others = sorted({name for name, _ in boxes} - {name for name, _ in own})
            if own:
                self._tell("truth_left_out", _OTHERS, image_id, len(boxes) - len(own))
            else:
                self._tell("other_class", _ONLY_OTHERS, f"{', '.join(others)} in {image_id}")
        return own

    def _tell(self, kind: str, sentence: str, where: str, times: int = 1) -> None:
        self._remarks.count(kind, sentence, where, times)


def tell_turned(remarks: Remarks, split_folder: Path, image_ids: Iterable[str]) -> None:
    """Say which photographs are turned when they are shown, of those whose truth states no size.

    Boxes of such truth may have been drawn on the stored pixels: nothing in it would tell.
    """
    for image_id in image_ids:
        try:
            if is_turned(split_folder / image_id):
                remarks.count("truth_claims", _TURNED, image_id)
        except UserError:  # told when the photograph is read
            continue


_TURNED = (
    "expected the size that boxes were drawn on, found none for {count} photographs that viewers turn (EXIF; "
    "first: {first}): their boxes are taken as drawn on what a viewer shows, so look whether they fit"
)
_NO_CLASS = (
    "expected the class of every photograph among those of the boxes, found {count} photographs whose class "
    "no box may have (first: {first}): all of their boxes are taken, of whatever class"
)
_NEARLY = (
    "expected classes spelled as the class folders, found {count} photographs with boxes of another case or "
    "with space around (first: {first}): they are taken as the same class, so rename one"
)
_ONLY_OTHERS = (
    "expected a box of each photograph's class, found {count} photographs with boxes of others alone (first: "
    "{first}): correct the class or the folder"
)
_OTHERS = "expected boxes of each photograph's class, found {count} of others (first: {first}): left out"
