"""What the page takes in: files that are images by their content, of bounded size, under harmless names."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count
from math import isfinite
from pathlib import Path, PurePosixPath

from PIL import Image

from rfga.data.images import opened, read_image
from rfga.types import UserError

MAX_BOXES = 10
"""Boxes per photograph that can be asked for."""

_MEGABYTE = 1_000_000
_LONGEST_NAME, _LONGEST_SUFFIX = 120, 20  # characters
# Control characters, halves of surrogate pairs, and those that turn the direction of writing.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Limits:
    """How much the page takes in and keeps.

    Args:
        max_upload_mb: of one file, in megabytes of 10^6 bytes.
        max_pixels: of one photograph, seen in its header before it is decoded.
        max_photographs: that one visitor may have on the page.
        max_visitors: whose photographs are kept; those of the one who was away longest go first.

    Raises:
        UserError: a number that leaves no room for a photograph.

    Example:
        >>> Limits(max_upload_mb=0.5).max_upload_bytes
        500000
    """

    max_upload_mb: float = 20.0
    max_pixels: int = 50_000_000
    max_photographs: int = 32
    max_visitors: int = 8

    def __post_init__(self) -> None:
        if not (isfinite(self.max_upload_mb) and self.max_upload_bytes >= 1):
            raise UserError(f"expected --max-upload-mb above 0, found {self.max_upload_mb}: give 20")
        if self.max_pixels < 1:
            raise UserError(f"expected --max-pixels of at least 1, found {self.max_pixels}: give 50000000")

    @property
    def max_upload_bytes(self) -> int:
        """Of one file."""
        return int(self.max_upload_mb * _MEGABYTE)

    @property
    def max_request_bytes(self) -> int:
        """Of all files that are sent at once, with what stands around them."""
        return self.max_photographs * (self.max_upload_bytes + 4096)


def read_upload(path: Path, name: str, limits: Limits) -> Image.Image:
    """A photograph that somebody sent, upright and RGB; its name plays no part in what it is taken for.

    Args:
        path: where it lies.
        name: what to call it in an error.
        limits: of its bytes and pixels.

    Raises:
        UserError: it is no image, is damaged, or is too large.

    Example:
        >>> read_upload(Path("lost.jpg"), "mine.jpg", Limits())
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected an image, found no file mine.jpg: check its name
    """
    try:
        if path.is_file() and path.stat().st_size > limits.max_upload_bytes:
            raise UserError(
                f"expected at most {limits.max_upload_mb:g} MB, found "
                f"{path.stat().st_size / _MEGABYTE:.1f} MB in {name}: shrink it"
            )
        with opened(path) as header:
            width, height = header.size
        if width * height > limits.max_pixels:
            raise UserError(
                f"expected an image of at most {limits.max_pixels:,} pixels, found {width} x {height} in "
                f"{name}: shrink it"
            )
        return read_image(path)
    except UserError as error:
        raise UserError(str(error).replace(str(path), name)) from error
    except MemoryError as error:
        raise UserError(
            f"expected an image that memory has room for, found {name} too large: shrink it"
        ) from error


def plain_name(given: str, taken: Collection[str] = ()) -> str:
    r"""The last part of a file's name, without what is no letter or sign, and unlike those ``taken``.

    Example:
        >>> plain_name("C:\\photos\\a.jpg"), plain_name("../a.jpg", taken=["a.jpg", "a (2).jpg"])
        ('a.jpg', 'a (3).jpg')
        >>> plain_name("/"), plain_name("<b>\n.jpg")
        ('photograph', '<b>.jpg')
    """
    last = _UNFIT.sub("", re.split(r"[/\\]", given)[-1]).strip()
    if last in ("", ".", ".."):
        last = "photograph"
    suffix = PurePosixPath(last).suffix
    suffix = suffix if len(suffix) <= _LONGEST_SUFFIX else ""
    stem = last.removesuffix(suffix)[: _LONGEST_NAME - len(suffix)]
    names = (f"{stem}{suffix}" if number == 1 else f"{stem} ({number}){suffix}" for number in count(1))
    return next(name for name in names if name not in taken)


@dataclass(frozen=True)
class Choices:
    """What a visitor has set on the page.

    Args:
        threshold: fraction of a map's maximum, from 0 to below 1.
        label: index of the class to look for; None for each photograph's most probable one.
        max_boxes: per photograph, 1 to ``MAX_BOXES``.
        heat: show the heat map.
    """

    threshold: float
    label: int | None = None
    max_boxes: int = 1
    heat: bool = True

    @classmethod
    def checked(
        cls, threshold: object, label: object, max_boxes: object, heat: object, class_count: int
    ) -> Choices:
        """The choices in whatever a browser sent.

        Args:
            threshold: see the class.
            label: index of a class, or -1 for the most probable one.
            max_boxes: see the class.
            heat: see the class.
            class_count: how many classes there are.

        Raises:
            UserError: something that the page does not offer.

        Example:
            >>> Choices.checked(0.3, -1, 2, True, 10)
            Choices(threshold=0.3, label=None, max_boxes=2, heat=True)
        """
        value, index, boxes = _number(threshold), _number(label), _number(max_boxes)
        if not 0 <= value < 1:
            raise UserError("expected a threshold from 0 to below 1, found another: choose one of the page")
        if not (index.is_integer() and -1 <= index < class_count):
            raise UserError("expected a class of the model, found another: choose one of the page")
        if not (boxes.is_integer() and 1 <= boxes <= MAX_BOXES):
            raise UserError(f"expected 1 to {MAX_BOXES} boxes, found another number: choose one of the page")
        return cls(value, None if index < 0 else int(index), int(boxes), bool(heat))


def _number(value: object) -> float:
    """A finite number; one outside of every range for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
        return float(value)
    return -2.5
