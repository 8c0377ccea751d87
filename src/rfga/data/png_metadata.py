"""Metadata of PNG files over which Pillow gives up a photograph whose pixels are whole.

A text or colour profile that unpacks to more than a megabyte, one with a wrong checksum, or a short note of
the wrong length: viewers pass over them, and so do we. Nothing here unpacks more than that megabyte.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

from PIL import PngImagePlugin

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANIMATION = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # small letters, too, but part of the picture
_LENGTHS = {b"pHYs": 9, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_MOST_TEXT = PngImagePlugin.MAX_TEXT_CHUNK  # of one, unpacked
_MOST_TEXTS = PngImagePlugin.MAX_TEXT_MEMORY // 2  # of all
_MOST_CHUNKS = 100_000


def without_bad_metadata(file: BinaryIO) -> BinaryIO:
    """The file itself where it is no PNG or Pillow reads it as it is, else a copy without what hinders it.

    Args:
        file: opened at any place; it is left at its beginning.
    """
    file.seek(0)
    dropped = _bad_chunks(file) if file.read(len(_SIGNATURE)) == _SIGNATURE else []
    file.seek(0)
    if not dropped:
        return file
    kept = io.BytesIO()
    for begin, end in dropped:
        kept.write(file.read(begin - file.tell()))
        file.seek(end)
    kept.write(file.read())
    file.seek(0)
    kept.seek(0)
    return kept


def _bad_chunks(file: BinaryIO) -> list[tuple[int, int]]:
    """Where chunks begin and end that hinder Pillow."""
    found, texts = [], 0
    position = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            break
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        end = position + 12 + length  # length, kind, data, checksum
        if kind[0] & 0x20 and kind not in _ANIMATION:
            text = _length_of_text(file, kind, length)
            texts += text or 0
            if text is None or texts > _MOST_TEXTS:
                found.append((position, end))
                texts -= text or 0
        position = end
    return found


def _length_of_text(file: BinaryIO, kind: bytes, length: int) -> int | None:
    """How many bytes a chunk holds when it is unpacked; None for one that hinders Pillow."""
    if length != _LENGTHS.get(kind, length) or length > _MOST_TEXTS:
        return None
    data, checksum = file.read(length), file.read(4)
    if len(data) < length or zlib.crc32(kind + data) != int.from_bytes(checksum, "big"):
        return None
    # A keyword and a zero, then how the rest is packed; iTXt says before whether it is, and behind it more.
    rest = data.partition(b"\0")[2]
    if kind in (b"zTXt", b"iCCP"):
        if rest[:1] not in (b"\0", b""):
            return None  # packed in a way that nobody knows
        rest = rest[1:]
    elif kind == b"iTXt" and rest[:2] == b"\x01\0":
        rest = rest[2:].split(b"\0", 2)[-1]
    else:
        return length
    unpacked = _unpacked(rest)
    return None if unpacked >= _MOST_TEXT else unpacked


def _unpacked(packed: bytes) -> int:
    try:
        return len(zlib.decompressobj().decompress(packed, _MOST_TEXT))
    except zlib.error:
        return 0  # Pillow passes over what cannot be unpacked
