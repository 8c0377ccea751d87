"""Metadata that nobody asked for never cost a photograph; a bomb in them stays packed."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rfga.data.images import read_image, read_size
from rfga.data.png_metadata import without_bad_metadata
from rfga.types import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
LONG = b"a" * 1_200_000


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", found)


def plain() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


def with_chunk(added: bytes, late: bool) -> bytes:
    """The picture with a chunk behind its header, or behind its pixels."""
    whole = plain()
    place = whole.rindex(struct.pack(">I", 0) + b"IEND") if late else 8 + 25  # signature, IHDR
    return whole[:place] + added + whole[place:]


BAD = {
    "zTXt": chunk(b"zTXt", b"words\0\0" + zlib.compress(LONG)),
    "iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LONG)),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + zlib.compress(LONG)),
    "unknown packing": chunk(b"zTXt", b"words\0\7" + zlib.compress(b"a few")),
    "wrong checksum": chunk(b"tEXt", b"words\0a few", checksum=7),
    "short pHYs": chunk(b"pHYs", b"\0\0"),
    "odd cHRM": chunk(b"cHRM", b"\0" * 31),
    "long tEXt": b"",  # of 40 MB: made where it is needed
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_bad_metadata_cost_nothing(name: str, late: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(with_chunk(BAD[name] or chunk(b"tEXt", b"words\0" + b"a" * 40_000_000), late))
    assert np.array_equal(np.asarray(read_image(path)), PIXELS)
    assert read_size(path) == (20, 30)
    (clean,) = [without_bad_metadata(io.BytesIO(path.read_bytes()))]
    assert clean.read() == plain()


@pytest.mark.parametrize("late", [False, True])
def test_what_pillow_reads_is_left_as_it_is(late: bool) -> None:
    good = chunk(b"tEXt", b"words\0a few") + chunk(b"zTXt", b"more\0\0" + zlib.compress(LONG[:1_000_000]))
    good += chunk(b"zTXt", b"broken\0\0no stream") + chunk(b"iTXt", b"plain\0\0\0\0\0" + LONG)
    file = io.BytesIO(with_chunk(good, late))
    assert without_bad_metadata(file) is file
    with Image.open(file) as image:
        image.load()
        assert image.info["words"] == "a few"


def test_orientation_beside_what_is_too_long(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG", exif=exif)
    whole = stream.getvalue()
    (tmp_path / "a.png").write_bytes(whole[:33] + BAD["zTXt"] + whole[33:])
    assert read_size(tmp_path / "a.png") == (30, 20)
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), np.rot90(PIXELS, -1))


def test_a_bomb_stays_packed(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(60_000_000), 9)
    (tmp_path / "a.png").write_bytes(with_chunk(chunk(b"zTXt", b"words\0\0" + bomb), late=False))
    tracemalloc.start()
    read_image(tmp_path / "a.png")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * PngImagePlugin.MAX_TEXT_CHUNK


def test_a_file_cut_short_is_still_damaged(tmp_path: Path) -> None:
    whole = with_chunk(BAD["zTXt"], late=False)
    (tmp_path / "a.png").write_bytes(whole[:-400])
    with pytest.raises(UserError, match="damaged"):
        read_image(tmp_path / "a.png")
