"""Photographs as people really have them, and files that are none."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE_WH = (40, 28)  # as a viewer shows every one of them


def picture(seed: int = 0, size_wh: tuple[int, int] = SIZE_WH) -> Image.Image:
    """A coloured picture of soft noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size_wh)


def _animated(path: Path) -> None:
    picture(1).save(path, save_all=True, append_images=[picture(2), picture(3)])


def _exif_rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # viewers turn it by 90 degrees
    picture(4, SIZE_WH[::-1]).save(path, exif=exif)


def _sixteen_bit(path: Path) -> None:
    Image.fromarray(np.linspace(0, 65535, 28 * 40).reshape(28, 40).astype(np.uint16)).save(path)


GOOD: dict[str, Callable[[Path], None]] = {
    "grey.jpg": lambda path: picture().convert("L").save(path),
    "palette.png": lambda path: picture().convert("P").save(path),
    "cmyk.jpg": lambda path: picture().convert("CMYK").save(path),
    "16 bit.png": _sixteen_bit,
    "transparent.png": lambda path: picture().convert("RGBA").save(path),
    "animated.gif": _animated,
    "rotated.jpg": _exif_rotated,
    "with spaces, commas; and 'quotes'.png": lambda path: picture().save(path),
    "Käfig 猫 ñ.jpg": lambda path: picture().save(path),
    "UPPER.JPG": lambda path: picture().save(path),
}
"""File name -> what writes it; all of them can be used."""


def _truncated(path: Path) -> None:
    picture().save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-300])


def _bomb(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b""))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated.jpg": (_truncated, "damaged"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "empty file"),
    "text.jpg": (lambda path: path.write_text("no picture"), "is none or has a damaged beginning"),
    "bomb.png": (_bomb, "at most 178,956,970 pixels"),
}
"""File name -> what writes it, and what is said of it."""
