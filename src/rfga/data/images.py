"""Photographs as a viewer shows them: upright, RGB, at their own size.

Every reading of an image file goes through here, so that pixels, sizes, boxes and masks agree.
"""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rfga.data.formats import pillow_formats, require_no_raw, unidentified
from rfga.data.orientation import orientation, stated_turn, turned, upright_size
from rfga.data.png_metadata import without_bad_metadata
from rfga.data.unreadable import UnreadableError
from rfga.types import ByteArray, UserError

MAX_PIXELS = 178_956_970
"""Larger images are refused before they are decoded; the number is Pillow's own error limit."""


def read_image(path: Path, least_side: int | None = None) -> Image.Image:
    """Reads a photograph as a viewer shows it: RGB, EXIF orientation applied, first frame, on white.

    16-bit grey is scaled to 8 bits; 32-bit and floating-point grey without a known white is stretched
    from its smallest to its largest value, and what is no number becomes black.

    Args:
        path: of the file.
        least_side: pixels that both sides need at least. A JPEG of more is decoded at a half, a quarter or an
            eighth of its size, which is faster; one of less, and any other format, as it is.

    Raises:
        UserError: the file is missing, empty, damaged, not an image, or of more than ``MAX_PIXELS``.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("L", (40, 30), 200).save(Path(folder) / "grey.png")
        ...     image = read_image(Path(folder) / "grey.png")
        >>> image.mode, image.size, image.getpixel((0, 0))
        ('RGB', (40, 30), (200, 200, 200))
    """
    with opened(path) as image:
        reduce_decoding(image, least_side)
        image.load()
        rgb = upright(image)
    rgb.info = {}  # a remaining orientation tag would turn the image again wherever it is saved
    return rgb


def reduce_decoding(image: Image.Image, least_side: int | None) -> None:
    """Have an opened JPEG decoded at a part of its size, as ``read_image`` says."""
    if least_side is not None:
        image.draft(None, (least_side, least_side))  # type and colours stay; other formats know no draft


def read_size(path: Path) -> tuple[int, int]:
    """Height and width (H, W) in pixels of the upright photograph, from the header without decoding.

    A PNG whose metadata stands behind its pixels is the exception: it has to be decoded.

    Raises:
        UserError: the header cannot be read as that of an image.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("L", (40, 30)).save(Path(folder) / "grey.png")
        ...     read_size(Path(folder) / "grey.png")
        (30, 40)
    """
    with opened(path) as image:
        return upright_size(image, path)


def is_turned(path: Path) -> bool:
    """Whether a viewer turns or mirrors a photograph's pixels, from the header.

    Raises:
        UserError: the header cannot be read as that of an image.
    """
    with opened(path) as image:
        return stated_turn(image, path) != 1


def upright(loaded: Image.Image) -> Image.Image:
    """The first frame of a decoded image file as a viewer shows it, RGB on white."""
    # Asked after decoding, because PNG may carry it behind the pixels and Pillow turns TIFF by itself.
    return turned(_to_rgb(loaded), orientation(loaded))


def upright_grey(image: Image.Image) -> Image.Image:
    """An opened image file of grey values, such as a mask, as a viewer shows it."""
    image.load()
    return turned(image.convert("L"), orientation(image))


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The image file, identified but not decoded; whatever fails while it is open becomes a UserError.

    Raises:
        UserError: see ``read_image``.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):  # opening one waits until somebody writes to it
            raise UserError(f"expected an image file, found the pipe {path}: remove it")
        with path.open("rb") as file, _SILENCE:
            if not file.read(1):
                raise UnreadableError(f"expected an image, found the empty file {path}: replace or remove it")
            require_no_raw(path)
            yield _identify(file, path)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UnreadableError(f"expected an image, found no file {path}: check its name") from error
    except (IsADirectoryError, PermissionError) as error:
        raise UnreadableError(
            f"expected an image file that can be read, found {path} ({error.strerror}): check it"
        ) from error
    except Exception as error:  # damaged files make Pillow's decoders raise errors of any type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableError(
            f"expected a complete image, found {path} damaged ({reason}): replace or remove it"
        ) from error


def _identify(file: BinaryIO, path: Path) -> Image.Image:
    try:
        image = Image.open(without_bad_metadata(file), formats=pillow_formats())
    except UnidentifiedImageError as error:
        file.seek(0)
        raise unidentified(file.read(12), path) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width} x {height}")
    if min(width, height) < 1:
        raise UserError(f"expected an image with pixels, found {width} x {height} in {path}: remove it")
    return image


def _too_large(path: Path, found: str) -> UserError:
    return UserError(
        f"expected an image of at most {MAX_PIXELS:,} pixels, found {found} in {path}: shrink it"
    )


class _PillowSilence:
    """Keeps Pillow's warnings (large image, odd metadata) from the user, who can do nothing about them.

    Filters of warnings belong to the whole process, so the first thread that enters sets them and the last
    one that leaves takes them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()
        if hasattr(os, "register_at_fork"):  # a forked worker must not inherit a lock that is held
            os.register_at_fork(
                before=self._lock.acquire,
                after_in_parent=self._lock.release,
                after_in_child=self._lock.release,
            )

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_SILENCE = _PillowSilence()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_grey8(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _to_grey8(values: NDArray[Any]) -> ByteArray:
    """Grey values of 16 bits or more as 8 bits, black and white kept where they are known."""
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no grey value is finite")
    low, high = float(values[finite].min()), float(values[finite].max())
    white = 1.0 if values.dtype.kind == "f" else 65535.0
    if low >= 0 and high <= white:
        low, high = 0.0, white
    # Measured pictures mark places without a value by what is no number.
    scaled = (np.where(finite, values, low) - low) * (255 / (high - low or 1.0))
    return np.rint(scaled).astype(np.uint8)
