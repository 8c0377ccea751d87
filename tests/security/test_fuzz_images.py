"""Photographs of every format with damage to their bytes and their metadata: a sentence, or a picture."""

from __future__ import annotations

import io
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rfga.data.benchmarks.stored import read_stored, stored_size
from rfga.data.images import MAX_PIXELS, read_image, read_size
from rfga.types import UserError
from tests.odd_photographs import picture
from tests.security.doors import LONG, answered, deep_folder, fuzz, nothing_outside, run
from tests.security.mutations import damaged

FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif"}
FORMATS |= {"PPM": "ppm", "JPEG2000": "jp2"}
HEAD_BYTES = 260


@cache
def photograph(kind: str) -> bytes:
    """A sound file, with an orientation where the format has a place for it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    stream = io.BytesIO()
    options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    picture(1).save(stream, kind, **options)
    return stream.getvalue()


def damaged_photograph(kind: str) -> st.SearchStrategy[bytes]:
    """Mostly with a damaged beginning, where sizes, counts and places stand."""
    whole = photograph(kind)
    head = damaged(whole[:HEAD_BYTES]).map(lambda start: start + whole[HEAD_BYTES:])
    return head | head | damaged(whole)


def damaged_metadata() -> st.SearchStrategy[bytes]:
    """A JPEG whose EXIF block is damaged, with a length that fits, so that it is looked at."""
    whole = photograph("JPEG")
    start = whole.index(b"Exif\0\0") + 6
    length = int.from_bytes(whole[start - 8 : start - 6], "big") - 8
    block, rest = whole[start : start + length], whole[start + length :]

    def with_block(changed: bytes) -> bytes:
        stated = (len(changed) + 8).to_bytes(2, "big")
        return whole[: start - 8] + stated + b"Exif\0\0" + changed + rest

    return damaged(block).map(with_block)


def look_at(content: bytes, ending: str) -> None:
    with deep_folder() as folder, nothing_outside(folder.parents[2]):
        path = folder / f"a.{ending}"
        path.write_bytes(content)
        image, size = answered(partial(read_image, path)), answered(partial(read_size, path))
        answered(partial(read_stored, path))
        answered(partial(stored_size, path))
        path.unlink()
    if isinstance(image, UserError):
        return
    assert image.mode == "RGB"
    assert 0 < image.width * image.height <= MAX_PIXELS
    if not isinstance(size, UserError):
        assert size == (image.height, image.width)


@pytest.mark.parametrize("kind", FORMATS)
@fuzz(10)
@given(data=st.data())
def test_damaged_photographs(kind: str, data: st.DataObject) -> None:
    look_at(data.draw(damaged_photograph(kind)), FORMATS[kind])


@fuzz(25)
@given(content=damaged_metadata())
def test_damaged_metadata(content: bytes) -> None:
    look_at(content, "jpg")


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@fuzz(LONG)
@given(data=st.data())
def test_many_damaged_photographs(kind: str, data: st.DataObject) -> None:
    look_at(data.draw(damaged_photograph(kind)), FORMATS[kind])


@pytest.mark.slow
@fuzz(LONG)
@given(content=damaged_metadata())
def test_much_damaged_metadata(content: bytes) -> None:
    look_at(content, "jpg")


@fuzz(1)
@given(data=st.data())
def test_a_folder_of_damaged_photographs_is_localized_to_its_end(tiny_run: Path, data: st.DataObject) -> None:
    with deep_folder() as folder:
        (folder / "in").mkdir()
        for number, (kind, ending) in enumerate(FORMATS.items()):
            (folder / "in" / f"{number}.{ending}").write_bytes(data.draw(damaged_photograph(kind)))
        (folder / "in" / "sound.jpg").write_bytes(photograph("JPEG"))
        out = folder / "out"
        with nothing_outside(folder.parents[2], out):
            ended = run("localize", tiny_run, folder / "in", "--out", out, "--device", "cpu", "--quiet")
        assert ended.status == 0, ended
        assert (out / "pictures" / "sound.jpg.jpg").is_file()
