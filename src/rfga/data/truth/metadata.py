"""The benchmark's own lists: which images, their classes and sizes, and their boxes or masks.

Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right" (CVPR 2020) keep, in a folder
for each split, ``image_ids.txt`` (id), ``class_labels.txt`` (id,class), ``image_sizes.txt``
(id,width,height) and ``localization.txt`` (id,x0,y0,x1,y1, a line or four more numbers for each further box;
or id,mask,ignore, a line for each mask, with the ignore region named once).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from rfga.data.images import opened
from rfga.geometry.maps import EVAL_SIZE_HW, resize_mask, spread_mask
from rfga.types import MASK_BACKGROUND, MASK_IGNORED, MASK_OBJECT, ByteArray, FloatArray, Truth, UserError
from rfga.untrusted import read_text

T = TypeVar("T")

LOCALIZATION, IDS, LABELS, SIZES = "localization.txt", "image_ids.txt", "class_labels.txt", "image_sizes.txt"

_TOO_LARGE = 2**53  # from here on, floats hold only some of the whole numbers


@dataclass(frozen=True, slots=True, eq=False)
class Metadata:
    """What a folder of lists says. Boxes and masks are never both there."""

    image_ids: tuple[str, ...]
    labels: dict[str, int]
    sizes_hw: dict[str, tuple[int, int]]
    boxes: dict[str, FloatArray]  # (n, 4) the benchmark's own four numbers in original pixels
    masks: dict[str, tuple[tuple[str, ...], str | None]]  # mask files and the file of ignored pixels


def is_metadata(folder: Path) -> bool:
    """Whether ``folder`` holds the benchmark's lists.

    Example:
        >>> is_metadata(Path("no/such/folder"))
        False
    """
    return (folder / LOCALIZATION).is_file()


def read_metadata(folder: Path, *, complete: bool = True) -> Metadata:
    """Read the lists of one split.

    Args:
        folder: of the split.
        complete: every image of ``image_ids.txt`` has to have a box or mask.

    Raises:
        UserError: a list is missing, or a line of it is not as described above.
    """
    if not is_metadata(folder):
        raise UserError(
            f"expected a folder with {LOCALIZATION} of one split, found none in {folder}: give SET/SPLIT"
        )
    sizes: dict[str, tuple[int, int]] = {}
    for row in _rows(folder, SIZES, needed=False):
        _put(sizes, row[0], _size(row, folder), folder / SIZES)
    labels: dict[str, int] = {}
    for row in _rows(folder, LABELS, needed=False):
        _put(labels, row[0], _integers(row, 1, folder / LABELS)[0], folder / LABELS)
    boxes: dict[str, list[FloatArray]] = {}
    masks: dict[str, tuple[tuple[str, ...], str | None]] = {}
    for row in _rows(folder, LOCALIZATION):
        if len(row) == 3:
            files, ignored = masks.get(row[0], ((), None))
            masks[row[0]] = ((*files, row[1]), row[2] or ignored)
        else:
            boxes.setdefault(row[0], []).append(_boxes(row, folder))
    ids = tuple(row[0] for row in _rows(folder, IDS, needed=False)) or tuple(boxes or masks)
    _check(folder, ids if complete else tuple(boxes), set(boxes), set(masks), set(sizes))
    stacked = {image_id: np.concatenate(parts) for image_id, parts in boxes.items()}
    return Metadata(ids, labels, sizes, stacked, masks)


class MetadataTruth:
    """Boxes or masks of a split by image id, as a truth reader.

    Masks of an image are united, and what is ignored but no object is left out. The files of one image may
    differ in size from each other and from the photograph; what the benchmark compares is the mask that they
    give at 224 x 224.

    Args:
        metadata: from ``read_metadata``.
        mask_root: the folder that mask names are relative to; needed where there are masks.
        size_of: height and width of the photograph of an image id; masks are given in its pixels, in such a
            way that they become the benchmark's at 224 x 224. Without it they are given at 224 x 224.
    """

    def __init__(
        self,
        metadata: Metadata,
        mask_root: Path | None = None,
        size_of: Callable[[str], tuple[int, int]] | None = None,
    ) -> None:
        if metadata.masks and mask_root is None:
            raise UserError(
                "expected the folder of the masks that the lists name, found none: give --masks DIR"
            )
        self.metadata, self._root, self._size_of = metadata, mask_root, size_of

    def truth(self, image_id: str) -> Truth | None:
        """Boxes in original pixels or a mask; None where the lists do not name the image.

        Raises:
            UserError: a mask is not there, cannot be read, or lies outside the folder of masks.
        """
        if image_id in self.metadata.boxes:
            return Truth(size_hw=self.metadata.sizes_hw[image_id], boxes=self.metadata.boxes[image_id])
        if image_id not in self.metadata.masks:
            return None
        files, ignored = self.metadata.masks[image_id]
        regions = [_region_pixels(self._place(file)) for file in files]
        left_out = None if ignored is None else _region_pixels(self._place(ignored))
        if self._size_of is None:
            return Truth(
                size_hw=EVAL_SIZE_HW, mask=_united(_at_eval_size(regions), _at_eval_size([left_out]))
            )
        size_hw = self._size_of(image_id)
        if {pixels.shape for pixels in (*regions, left_out) if pixels is not None} == {size_hw}:
            return Truth(size_hw=size_hw, mask=_united(regions, [left_out]))
        mask = _united(_at_eval_size(regions), _at_eval_size([left_out]))
        return Truth(size_hw=size_hw, mask=spread_mask(mask, size_hw))

    def _place(self, name: str) -> Path:
        root = (self._root or Path()).resolve()
        try:
            path = (root / name).resolve()
        except (OSError, ValueError):  # a name that no file can have
            path = Path()
        if not path.is_relative_to(root):
            raise UserError(
                f"expected masks inside {root}, found the name {name!r:.200}: correct {LOCALIZATION}"
            )
        return path


def find_masks(folder: Path) -> Path:
    """The folder ``masks`` beside the lists of a split, or beside a folder up to three levels above.

    Raises:
        UserError: there is none.
    """
    above = [folder, *folder.resolve().parents[:3]]
    for place in above:
        if (place / "masks").is_dir():
            return place / "masks"
    raise UserError(
        f"expected the masks that {folder / LOCALIZATION} names in a folder masks, found none in "
        f"{', '.join(map(str, above))}: put it there"
    )


def _united(regions: Sequence[ByteArray | None], ignored: Sequence[ByteArray | None]) -> ByteArray:
    """Objects, ignored pixels and background of regions of one size; an object is never ignored."""
    sizes = [pixels.shape for pixels in (*regions, *ignored) if pixels is not None]
    mask: ByteArray = np.full(sizes[0], MASK_BACKGROUND, np.uint8)
    for parts, value in ((ignored, MASK_IGNORED), (regions, MASK_OBJECT)):
        for pixels in parts:
            if pixels is not None:
                mask[pixels > 127] = value
    return mask


def _at_eval_size(regions: Sequence[ByteArray | None]) -> list[ByteArray | None]:
    return [None if pixels is None else resize_mask(pixels) for pixels in regions]


def _region_pixels(path: Path) -> ByteArray:
    """A mask of any mode as (H, W) uint8, 255 inside: the colour decides, transparency is dropped."""
    with opened(path) as image:
        # Palette and grey go through RGB as well, so that one rule serves all modes.
        pixels: ByteArray = np.asarray(image.convert("RGB")).max(axis=2)
    return pixels


def _rows(folder: Path, name: str, *, needed: bool = True) -> Iterator[list[str]]:
    path = folder / name
    if not path.is_file():
        if needed:
            raise UserError(f"expected {name} in {folder}, found none: complete the folder")
        return
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected lines of text in {path}, found it unreadable ({error}): replace it"
        ) from error
    yield from (line.split(",") for line in lines if line.strip())


def _put(held: dict[str, T], image_id: str, value: T, path: Path) -> None:
    """Keep what a list says of an image, which no other line of it may contradict."""
    if held.setdefault(image_id, value) != value:
        raise UserError(
            f"expected each image once, found {image_id!r:.200} again with another value in {path}: drop one"
        )


def _integers(row: list[str], count: int, path: Path) -> list[int]:
    try:
        values = [int(text) for text in row[1:]]
    except ValueError:
        values = []
    if len(values) != count or any(abs(value) >= _TOO_LARGE for value in values):
        raise UserError(
            f"expected an id and {count} whole numbers, found {','.join(row)!r:.200} in {path}: correct it"
        )
    return values


def _size(row: list[str], folder: Path) -> tuple[int, int]:
    width, height = _integers(row, 2, folder / SIZES)
    if min(width, height) < 1:
        raise UserError(
            f"expected a width and height above 0, found {','.join(row)!r:.200} in {folder / SIZES}: "
            "correct it"
        )
    return height, width


def _boxes(row: list[str], folder: Path) -> FloatArray:
    try:
        numbers = np.array([float(text) for text in row[1:]], dtype=np.float64)
    except ValueError:
        numbers = np.zeros(0)
    if not len(numbers) or len(numbers) % 4 or not np.isfinite(numbers).all():
        raise UserError(
            f"expected id,x0,y0,x1,y1 or id,mask,ignore, found {','.join(row)!r:.200} in "
            f"{folder / LOCALIZATION}: "
            "correct the line"
        )
    return numbers.reshape(-1, 4)


def _check(folder: Path, ids: tuple[str, ...], boxed: set[str], masked: set[str], sized: set[str]) -> None:
    if boxed and masked:
        raise UserError(f"expected boxes or masks, found both in {folder / LOCALIZATION}: split the list")
    known = boxed | masked
    if without := [i for i in ids if i not in known]:
        raise UserError(
            f"expected a box or mask for every image of {IDS}, found none for {len(without)} "
            f"(first {without[0]}) in {folder}: complete {LOCALIZATION}"
        )
    if sizeless := [i for i in ids if i in boxed and i not in sized]:
        raise UserError(
            f"expected the size of every image with a box, found none for {len(sizeless)} "
            f"(first {sizeless[0]}) in {folder}: complete {SIZES}"
        )
