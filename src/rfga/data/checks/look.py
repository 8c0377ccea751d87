"""One look at a photograph: can it be read, what is odd about its file, and a hash of what it shows.

JPEG files are decoded at the smallest scale that the hash needs, which reads the whole file (so that a
missing end is noticed) in a fraction of the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from rfga.data.checks.picture_hash import SIDE, WordArray, picture_hash
from rfga.data.images import opened, upright
from rfga.data.orientation import orientation, upright_size
from rfga.types import UserError

MIN_SIDE_PIXELS = 32
"""A shorter side leaves a network nothing to find."""

MAX_ASPECT = 6.0
"""Photographs are squeezed into a square; what is longer than this loses its shape."""

BLANK_DEVIATION = 0.5
"""Standard deviation of the shrunken grey values below which nothing can be seen."""

_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".jfif"),  # JPEG with further pictures behind, as some telephones write
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "DIB": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2",),
    "HEIF": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
}
_TURNED = (2, 3, 4, 5, 6, 7, 8)  # EXIF orientations

Remark = tuple[str, str]  # kind of finding, sentence


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one look at a photograph told; without sizes where it cannot be used."""

    remarks: tuple[Remark, ...]
    size_hw: tuple[int, int] | None = None  # as a viewer shows it
    stored_hw: tuple[int, int] | None = None  # before its EXIF orientation is applied
    content: bytes = b""  # 16 bytes, the same for the same file
    shown: WordArray | None = None  # ``picture_hash``


def look_at_file(path: Path) -> Look:
    """Read a photograph's file once.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.effect_noise((300, 20), 90).save(Path(folder) / "a.jpg", "PNG")
        ...     look = look_at_file(Path(folder) / "a.jpg")
        >>> look.size_hw, [kind for kind, _ in look.remarks]
        ((20, 300), ['wrong_extension', 'tiny', 'extreme_aspect'])
    """
    width = height = 0
    try:
        with opened(path) as image:
            width, height = image.size
            size_hw = upright_size(image, path)
            remarks = [*_of_format(path, image)]
            image.draft("L", (2 * SIDE, 2 * SIDE))
            image.load()
            turn = orientation(image)
            picture = upright(image)
        content = _digest(path)
    except UserError as error:
        kind = "damaged" if width else "empty" if _is_empty(path) else "unreadable"
        return Look(remarks=((kind, str(error)),))
    if turn in _TURNED:
        remarks.append(
            ("exif_rotated", f"expected upright pixels, found EXIF orientation {turn}: they are turned")
        )
    shown, seen = _shown(picture)
    remarks += [*_of_size(size_hw), *seen]
    return Look(tuple(remarks), size_hw, (height, width), content, shown)


def look_at_picture(picture: Image.Image) -> Look:
    """The same for a picture in memory, which has no file.

    Example:
        >>> [kind for kind, _ in look_at_picture(Image.new("RGB", (40, 31))).remarks]
        ['tiny', 'blank']
    """
    size_hw = (picture.height, picture.width)
    content = hashlib.blake2b(repr(size_hw).encode() + picture.tobytes(), digest_size=16).digest()
    shown, seen = _shown(picture)
    return Look((*_of_size(size_hw), *seen), size_hw, size_hw, content, shown)


def _of_format(path: PurePath, image: Image.Image) -> Iterator[Remark]:
    """What the header says, before it is decoded."""
    file_format = image.format or ""
    endings = _ENDINGS.get(file_format, ())
    if path.suffix.lower() not in endings:
        yield (
            "wrong_extension",
            f"expected a name that ends as its contents ({file_format}), found {path.name}: rename it to "
            f"{path.with_suffix(endings[0]).name}, since other programs may refuse it",
        )
    if getattr(image, "is_animated", False) and file_format != "MPO":
        yield "animated", "expected one picture, found several frames: the first is taken"
    if image.mode == "CMYK":
        yield "cmyk", "expected RGB or grey, found CMYK: it is turned into RGB without a colour profile"
    if image.mode in ("I", "F") or any("16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        yield "sixteen_bit", f"expected 8 bits a value, found more (mode {image.mode}): they become 8"


def _of_size(size_hw: tuple[int, int]) -> Iterator[Remark]:
    height, width = size_hw
    if min(size_hw) < MIN_SIDE_PIXELS:
        yield (
            "tiny",
            f"expected sides of at least {MIN_SIDE_PIXELS} pixels, found {width} x {height}: use a larger "
            "photograph or remove it",
        )
    if max(size_hw) > MAX_ASPECT * min(size_hw):
        yield (
            "extreme_aspect",
            f"expected a longer side of at most {MAX_ASPECT:g} times the shorter one, found {width} x "
            f"{height}: crop it, since it is squeezed into a square",
        )


def _shown(picture: Image.Image) -> tuple[WordArray | None, list[Remark]]:
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float64)
    if grey.std() < BLANK_DEVIATION:
        found = f"grey {grey.mean():.0f} all over"
        return None, [("blank", f"expected something to see, found {found}: look at it, or remove it")]
    return picture_hash(grey), []


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0
