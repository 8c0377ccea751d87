"""Boxes that files of any kind give for the photographs of a split, each checked when it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

import numpy as np

from rfga.data.images import read_size
from rfga.types import Truth, UserError


@dataclass(slots=True)
class Marked:
    """The boxes marked in one photograph."""

    where: str  # the file, or its entry, that says so
    size_hw: tuple[float, float] | None  # of the photograph, as stated there
    boxes: list[tuple[str, list[float]]] = field(default_factory=list)  # class name; edges x0, y0, x1, y1
    as_fractions: bool = False  # edges as fractions of width and height instead of pixels


class BoxTruth:
    """Boxes of a split's photographs, in original pixels.

    Every box of a photograph counts, except those of other classes where the name of the photograph's class
    folder is among the classes. Boxes are cut at the photograph's border, with a warning where more than one
    pixel goes.

    Args:
        marked: what is marked, by image id; photographs without a box may be among them.
        class_names: all classes that boxes may have.
        split_folder: where the photographs are.
        image_ids: all photographs of the split.
        missing: what is marked and is not among them.
    """

    def __init__(
        self,
        marked: Mapping[str, Marked],
        class_names: Collection[str],
        split_folder: Path,
        image_ids: Sequence[str],
        missing: Sequence[str],
    ) -> None:
        self._split_folder = split_folder
        self._marked: dict[str, Marked] = {}
        self._warnings: dict[str, str] = {}
        known = {normalize("NFC", name) for name in class_names}
        for image_id, image in marked.items():
            own_class = normalize("NFC", image_id.partition("/")[0])
            if own_class in known:
                image.boxes = [pair for pair in image.boxes if normalize("NFC", pair[0]) == own_class]
            if image.boxes:
                self._marked[image_id] = image
        self.missing_images = tuple(missing)
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
        if not self._marked:
            raise UserError(
                f"expected boxes of the photographs in {self._split_folder}, found none in {path} (it names "
                f"{named} images, of which {len(self.missing_images)} are not there): {remedy}"
            )

    def truth(self, image_id: str) -> Truth | None:
        """Boxes in original pixels, None where there are none; UserError where they do not fit."""
        image = self._marked.get(image_id)
        if image is None:
            return None
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
