"""Which kinds of image files are read here, and what to do about the others.

HEIC needs the library pillow-heif (extra ``heif``), AVIF a Pillow that was built with it (11.3 and later).
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import features

from rfga.data.unreadable import UnreadableError

_HEIF, _AVIF = frozenset({".heic", ".heif", ".hif"}), frozenset({".avif"})
_READS_HEIF = find_spec("pillow_heif") is not None
_READS_AVIF = bool(features.check("avif")) if "avif" in features.modules else False

IMAGE_SUFFIXES = (
    frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"})
    | frozenset({".ppm", ".pgm", ".pbm", ".pnm", ".jp2"})
    | (_HEIF if _READS_HEIF else frozenset())
    | (_AVIF if _READS_AVIF else frozenset())
)
"""Endings of image files that are read here, compared in lower case."""

OTHER_PICTURES = frozenset(
    {".jxl", ".svg", ".psd", ".ico", ".tga", ".exr", ".hdr"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"}
) | ((_HEIF | _AVIF) - IMAGE_SUFFIXES)
"""Endings of pictures that are not read here, compared in lower case."""

# Of these Pillow would read the small preview as the photograph.
_RAW = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"})
_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000")
_TIFF_HEADS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# Brands in the header of a file of the ISO family.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_INSTALL_HEIF = "pip install 'rfga[heif]', which reads it, or convert it to JPEG"
_INSTALL_AVIF = "pip install 'pillow>=11.3', which reads it, or convert it to JPEG"


@cache
def pillow_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read here.

    They are named, because Pillow would otherwise try every format it knows, of which some start other
    programs.
    """
    if _READS_HEIF:
        from pillow_heif import register_heif_opener

        register_heif_opener(thumbnails=False)
    return (*_PILLOW_FORMATS, *["HEIF"] * _READS_HEIF, *["AVIF"] * _READS_AVIF)


def how_to_read(name: str) -> str:
    """What to do about a picture out of ``OTHER_PICTURES``.

    Example:
        >>> how_to_read("a.CR2")
        'convert it to JPEG'
    """
    ending = Path(name).suffix.lower()
    return _INSTALL_HEIF if ending in _HEIF else _INSTALL_AVIF if ending in _AVIF else "convert it to JPEG"


def require_no_raw(path: Path) -> None:
    """Refuse a camera's raw file.

    Raises:
        UnreadableError: it is one by its name.
    """
    if path.suffix.lower() in _RAW:
        raise _not_read_here(path, "is of a kind that is not read", how_to_read(path.name))


def unidentified(head: bytes, path: Path) -> UnreadableError:
    """The error of a file that Pillow does not know, by its first bytes, whatever it is called.

    Example:
        >>> print(unidentified(b"MM", Path("a.jpg")))
        expected an image (JPEG, ...), found that a.jpg is none or has a damaged beginning: replace or ...
    """
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in _HEIF_BRANDS and not _READS_HEIF:
        return _not_read_here(path, "is HEIC", _INSTALL_HEIF)
    if brand in _AVIF_BRANDS and not _READS_AVIF:
        return _not_read_here(path, "is AVIF", _INSTALL_AVIF)
    if path.suffix.lower() in OTHER_PICTURES - _HEIF - _AVIF:
        return _not_read_here(path, "is of a kind that is not read", how_to_read(path.name))
    if head.startswith(_TIFF_HEADS):
        return _not_read_here(
            path, "is a TIFF of another kind, or has a damaged beginning", "save it with 8 or 16 bits a value"
        )
    return UnreadableError(
        f"expected an image (JPEG, PNG, WebP, BMP, GIF, TIFF, PPM or JPEG 2000), found that {path} "
        "is none or has a damaged beginning: replace or remove it"
    )


def _not_read_here(path: Path, what: str, remedy: str) -> UnreadableError:
    return UnreadableError(f"expected an image that is read here, found that {path} {what}: {remedy}")
