"""Wherever a file says how it is turned, its size and its pixels are turned alike."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rfga.data.checks.look import look_at_file
from rfga.data.images import read_image, read_size

WIDTH, HEIGHT = 60, 40


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _raw_profile(orientation: int) -> str:
    """EXIF as ImageMagick writes it into a text chunk: a name, a length, and lines of hexadecimal digits."""
    content = _exif(orientation).removeprefix(b"Exif\x00\x00")
    digits = (b"Exif\x00\x00" + content).hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return "\n".join(["", "exif", f"{len(digits) // 2:8}", *lines, ""])


def _xmp(orientation: int) -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    )


def _png_text(name: str, text: str, compressed: bool) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    if name.startswith("XML"):
        info.add_itxt(name, text, zip=compressed)
    else:
        info.add_text(name, text, zip=compressed)
    return info


def _behind_the_pixels(path: Path) -> None:
    """Move all text chunks of a PNG behind its pixels."""
    data, chunks, begin = path.read_bytes(), [], 8
    while begin < len(data):
        end = begin + 12 + int.from_bytes(data[begin : begin + 4], "big")
        chunks.append(data[begin:end])
        begin = end
    text = [chunk for chunk in chunks if chunk[5:8] == b"TXt"]
    text += [chunk for chunk in chunks if chunk[4:8] == b"tEXt"]
    rest = [chunk for chunk in chunks if chunk not in text]
    assert text
    path.write_bytes(data[:8] + b"".join([*rest[:-1], *text, rest[-1]]))


def _save_png(name: str, write: Callable[[int], str], compressed: bool, late: bool) -> Callable[..., None]:
    def save(image: Image.Image, path: Path, orientation: int) -> None:
        image.save(path, pnginfo=_png_text(name, write(orientation), compressed))
        if late:
            _behind_the_pixels(path)

    return save


SAVERS: dict[str, Callable[[Image.Image, Path, int], object]] = {
    "exif.jpg": lambda image, path, turn: image.save(path, exif=_exif(turn)),
    "xmp.jpg": lambda image, path, turn: image.save(path, xmp=_xmp(turn).encode()),
    "exif.webp": lambda image, path, turn: image.save(path, exif=_exif(turn), lossless=True),
    "xmp.webp": lambda image, path, turn: image.save(path, xmp=_xmp(turn).encode(), lossless=True),
    "tag.tif": lambda image, path, turn: image.save(path, exif=_exif(turn)),
    "xmp.tif": lambda image, path, turn: image.save(path, tiffinfo={700: _xmp(turn).encode()}),
    "eXIf.png": lambda image, path, turn: image.save(path, exif=_exif(turn)),
    "tEXt.png": _save_png("Raw profile type exif", _raw_profile, compressed=False, late=False),
    "zTXt.png": _save_png("Raw profile type exif", _raw_profile, compressed=True, late=False),
    "late zTXt.png": _save_png("Raw profile type exif", _raw_profile, compressed=True, late=True),
    "iTXt.png": _save_png("XML:com.adobe.xmp", _xmp, compressed=False, late=False),
    "late iTXt.png": _save_png("XML:com.adobe.xmp", _xmp, compressed=False, late=True),
}
"""Name of a file -> what writes it with an orientation."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", SAVERS)
def test_size_and_pixels_agree(tmp_path: Path, name: str, orientation: int) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:10, :12] = 255  # the first corner
    SAVERS[name](Image.fromarray(pixels), tmp_path / name, orientation)
    expected_hw = (WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH)
    image = read_image(tmp_path / name)
    assert (image.height, image.width) == expected_hw
    assert read_size(tmp_path / name) == expected_hw
    look = look_at_file(tmp_path / name)
    assert look.size_hw == expected_hw
    # Where EXIF's table puts the first corner: orientation -> bottom?, right?
    bottom, right = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    corner = image.getpixel((right * (image.width - 1), bottom * (image.height - 1)))
    assert isinstance(corner, tuple)
    assert min(corner) > 200


@pytest.mark.parametrize("text", ["", "\nexif\n 4\nzzzz", "no lines", "\n" * 9])
def test_text_that_is_no_exif_leaves_the_photograph_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.png"
    info = _png_text("Raw profile type exif", text, compressed=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(path, pnginfo=info)
    assert read_size(path) == (HEIGHT, WIDTH)
    assert read_image(path).size == (WIDTH, HEIGHT)


def test_the_size_of_a_png_without_metadata_needs_no_pixels(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big")
    data[start : start + length] = b"\xff" * length  # no stream that zlib knows
    data[start + length : start + length + 4] = zlib.crc32(data[start - 4 : start + length]).to_bytes(
        4, "big"
    )
    path.write_bytes(data)
    assert read_size(path) == (HEIGHT, WIDTH)
