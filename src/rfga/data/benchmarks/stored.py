"""Photographs as benchmarks read them: the pixels as they are stored.

Boxes and masks of a benchmark lie on the stored pixels, and its numbers were measured on them, so the
orientation that a camera noted beside them (EXIF) is not applied here.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from rfga.data.images import opened, reduce_decoding
from rfga.types import Sample, UserError


class StoredPixels:
    """A data set whose photographs are taken as they are stored, and come with checksums."""

    def image(self, sample: Sample) -> Image.Image:
        """The photograph as it is stored: RGB, EXIF orientation not applied, original size.

        Raises:
            UserError: the file cannot be read as an image.
        """
        return read_stored(sample.path)

    def reduced_image(self, sample: Sample, least_side: int) -> Image.Image:
        """The same, smaller where that is faster, but on no side of less than ``least_side`` pixels."""
        return read_stored(sample.path, least_side)

    def check(self, sample: Sample) -> None:
        """See whether the photograph is there: a benchmark may have a million.

        Raises:
            UserError: it is missing or empty.
        """
        require_file(sample.path)


def read_stored(path: Path, least_side: int | None = None) -> Image.Image:
    """The stored pixels as RGB, (W, H) as in the file's header; for ``least_side`` see ``read_image``.

    Raises:
        UserError: the file is missing or cannot be read as an image.

    Example:
        >>> read_stored(Path("lost.jpg"))
        Traceback (most recent call last):
        ...
        rfga.data.unreadable.UnreadableError: expected an image, found no file lost.jpg: check its name
    """
    with opened(path) as image:
        reduce_decoding(image, least_side)
        pixels = image.convert("RGB")
    pixels.info = {}  # a remaining orientation tag would turn the image wherever it is saved
    return pixels


def stored_size(path: Path) -> tuple[int, int]:
    """Height and width (H, W) of the stored pixels, from the header.

    Raises:
        UserError: the header cannot be read as that of an image.
    """
    with opened(path) as image:
        return image.height, image.width


def require_file(path: Path) -> None:
    """See without opening it that a file is there and holds something.

    Raises:
        UserError: it is missing, or empty.

    Example:
        >>> require_file(Path("lost.jpg"))
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected an image, found no file lost.jpg: check its name
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # the second of a name that no file can have
        raise UserError(f"expected an image, found no file {path}: check its name") from error
    if not size:
        raise UserError(f"expected an image, found the empty file {path}: replace or remove it")
