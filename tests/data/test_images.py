from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from rfga.data.images import MAX_PIXELS, read_image, read_size
from rfga.data.walk import find_images
from rfga.types import ByteArray, UserError

WIDTH, HEIGHT = 48, 32


def colours(height: int = HEIGHT, width: int = WIDTH) -> ByteArray:
    """A picture that looks different after every turn and flip."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) % 256], axis=2).astype(np.uint8)


def oriented(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(colours()).save(path, exif=exif)
    return path


def with_late_exif(path: Path) -> Path:
    """Moves the eXIf chunk of a PNG file behind its pixels."""
    data, chunks, position = path.read_bytes(), [], 8
    while position < len(data):
        end = position + 12 + struct.unpack(">I", data[position : position + 4])[0]
        chunks.append(data[position:end])
        position = end
    exif = [chunk for chunk in chunks if chunk[4:8] == b"eXIf"]
    others = [chunk for chunk in chunks if chunk[4:8] != b"eXIf"]
    assert len(exif) == 1
    path.write_bytes(data[:8] + b"".join([*others[:-1], *exif, others[-1]]))
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG file of this size that holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "late.png"])
def test_photograph_is_turned_as_a_viewer_turns_it(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = oriented(tmp_path / f"turned.{suffix}", orientation)
    if suffix == "late.png":
        with_late_exif(path)
    image = read_image(path)
    with Image.open(path) as file:
        expected = ImageOps.exif_transpose(file).convert("RGB")
    assert image.size == ((HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert read_size(path) == (image.height, image.width)
    assert image.getexif().get(0x0112, 1) == 1  # or it would be turned once more


def test_orientation_of_a_photograph_against_a_corner_drawn_by_hand(tmp_path: Path) -> None:
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:8, :8] = 255  # upper left as stored; 6 means: turn clockwise to see it
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "six.png", exif=exif)
    seen = np.asarray(read_image(tmp_path / "six.png"))
    assert seen.shape == (32, 16, 3)
    assert seen[:8, 8:].min() == 255  # upper right
    assert seen[8:].max() == 0
    assert seen[:, :8].max() == 0


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
        b"Exif\x00\x00rubbish",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff",
    ],
)
def test_damaged_exif_leaves_the_photograph_as_it_is(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray(colours()).save(tmp_path / "odd.jpg", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "odd.jpg").size == (WIDTH, HEIGHT)
        assert read_size(tmp_path / "odd.jpg") == (HEIGHT, WIDTH)


FORMATS = ["L.jpg", "1.png", "CMYK.jpg", "CMYK.tif", "P.png", "P.gif", "RGB.bmp", "RGB.webp", "RGB.ppm"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_mode_becomes_rgb(tmp_path: Path, name: str) -> None:
    mode, suffix = name.split(".")
    stored = Image.fromarray(colours()).convert(mode)
    path = tmp_path / f"picture.{suffix}"
    stored.save(path, lossless=True)  # other formats than WebP pay no heed
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
    difference = np.abs(np.asarray(image, dtype=int) - np.asarray(stored.convert("RGB"), dtype=int))
    assert difference.max() <= (60 if suffix == "jpg" else 2)
    assert difference.mean() <= (8 if suffix == "jpg" else 1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_show_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 24, HEIGHT))
    image.paste((0, 0, 0, 51), (24, 0, 36, HEIGHT))
    image.convert(mode).save(tmp_path / "clear.png")
    row = np.asarray(read_image(tmp_path / "clear.png"))[0]
    assert (row[:24] == 255).all()
    assert (row[24:36] == 204).all()
    assert (row[36:] == 0).all()


@pytest.mark.parametrize(("suffix", "transparency"), [("png", 1), ("png", b"\xff\x00"), ("gif", 1)])
def test_transparent_palette_colours_show_white(
    tmp_path: Path, suffix: str, transparency: int | bytes
) -> None:
    image = Image.new("P", (WIDTH, HEIGHT))
    image.putpalette([200, 10, 20, 0, 0, 255] + [0] * 756)
    image.paste(1, (0, 0, 24, HEIGHT))
    path = tmp_path / f"palette.{suffix}"
    image.save(path, transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = np.asarray(read_image(path))[0]
    assert (row[:24] == 255).all()
    assert (row[24:] == (200, 10, 20)).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / f"deep.{suffix}"), values)
    grey = np.asarray(read_image(tmp_path / f"deep.{suffix}"))
    assert grey.shape == (40, 60, 3)
    np.testing.assert_array_equal(grey[..., 0], np.rint(values / 257).astype(np.uint8))
    assert len(np.unique(grey)) == 256


def test_dark_16_bit_grey_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), 257 * 9, dtype=np.uint16)).save(tmp_path / "dark.png")
    assert (np.asarray(read_image(tmp_path / "dark.png")) == 9).all()


def test_16_bit_colour_and_float_grey(tmp_path: Path) -> None:
    colour = np.full((4, 6, 3), (10 * 257, 20 * 257, 200 * 257), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "colour.png"), colour)
    assert read_image(tmp_path / "colour.png").getpixel((0, 0)) == (200, 20, 10)
    unit = np.linspace(0, 0.5, 24, dtype=np.float32).reshape(4, 6)
    Image.fromarray(unit).save(tmp_path / "unit.tif")
    assert np.asarray(read_image(tmp_path / "unit.tif")).max() == 128
    Image.fromarray(unit * 1000 - 100).save(tmp_path / "wide.tif")
    wide = np.asarray(read_image(tmp_path / "wide.tif"))
    assert (wide.min(), wide.max()) == (0, 255)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_animation_gives_its_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    assert read_image(path).getcolors() == [(WIDTH * HEIGHT, (255, 0, 0))]


@pytest.mark.parametrize("name", ["a b,c.jpg", "Schlüssel-é-漢字.jpg", "UPPER.JPEG", "png called.jpg"])
def test_names_and_suffixes_do_not_matter(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(colours()).save(buffer, "PNG" if "png" in name else "JPEG")
    (tmp_path / name).write_bytes(buffer.getvalue())
    assert read_image(tmp_path / name).size == (WIDTH, HEIGHT)
    assert list(find_images(tmp_path)) == [name]


def bad_files(folder: Path) -> dict[str, Path]:
    """Every kind of file that is no good image, by a word of the error it must give."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    whole: dict[str, bytes] = {}
    for name in ("jpeg", "progressive", "png", "gif", "tiff", "webp"):
        buffer = io.BytesIO()
        progressive = name == "progressive"
        Image.fromarray(noise).save(buffer, "jpeg" if progressive else name, progressive=progressive)
        whole[name] = buffer.getvalue()
    contents = {
        "empty.jpg": b"",
        "text.jpg": b"this is no image, whatever its name says\n" * 20,
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        "bomb.png": png_header(100_000, 100_000),
        "bomb2.png": png_header(MAX_PIXELS, 2),
        "zero.ppm": b"P6\n0 0\n255\n",
        "zero.gif": b"GIF89a" + bytes(7) + b",\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00;",
        "no pixels.png": png_header(30, 20),
        "beginning.jpg": whole["jpeg"][:30],
        "nearly.jpg": whole["jpeg"][:-200],
        "progressive.jpg": whole["progressive"][:-200],
    }
    contents |= {f"half.{name}": content[: len(content) // 2] for name, content in whole.items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    return {name: folder / name for name in [*contents, "folder.jpg", "missing.jpg"]}


def test_bad_files_give_one_sentence(tmp_path: Path) -> None:
    said = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, path in bad_files(tmp_path).items():
            with pytest.raises(UserError, match=r"^expected .*, found .*: ") as caught:
                read_image(path)
            said[name] = str(caught.value)
            assert "\n" not in said[name]
            assert name in said[name]
    assert "empty file" in said["empty.jpg"]
    assert "found no file" in said["missing.jpg"]
    assert "is none" in said["text.jpg"]
    assert "is none" in said["script.jpg"]  # no PostScript interpreter is ever called
    assert "damaged" in said["half.jpeg"]
    assert "truncated" in said["nearly.jpg"]
    assert "truncated" in said["progressive.jpg"]
    assert "at most 178,956,970 pixels" in said["bomb.png"]
    assert "at most 178,956,970 pixels" in said["bomb2.png"]


def test_a_bomb_is_refused_before_decoding_and_whatever_pillows_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 20_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(UserError, match="found 20000 x 20000"):
        read_image(tmp_path / "bomb.png")
    with pytest.raises(UserError, match="found 20000 x 20000"):
        read_size(tmp_path / "bomb.png")


def test_large_images_pass_without_pillows_warning(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    (tmp_path / "large.png").write_bytes(png_header(10_000, 10_001))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_size(tmp_path / "large.png") == (10_001, 10_000)
    assert not caught
    assert limit == Image.MAX_IMAGE_PIXELS


def test_size_is_read_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [oriented(tmp_path / f"turned.{suffix}", 6) for suffix in ("jpg", "png", "tif", "webp")]
    Image.fromarray(colours()).save(tmp_path / "plain.png")

    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert [read_size(path) for path in paths] == [(WIDTH, HEIGHT)] * 4
    assert read_size(tmp_path / "plain.png") == (HEIGHT, WIDTH)


def test_threads_read_the_same_and_leave_the_filters_of_warnings(tmp_path: Path) -> None:
    path = oriented(tmp_path / "turned.jpg", 5)
    expected = read_image(path).tobytes()
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        assert all(image.tobytes() == expected for image in threads.map(read_image, [path] * 200))
    assert list(warnings.filters) == before


def test_find_images_leaves_out_what_is_hidden_and_circles(tmp_path: Path) -> None:
    for name in [
        "a.jpg",
        "b/c.PNG",
        "b/d/e.tiff",
        ".hidden.jpg",
        ".git/f.jpg",
        "__MACOSX/g.jpg",
        "note.txt",
        "jpg",
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    assert sorted(find_images(tmp_path)) == ["a.jpg", "b/c.PNG", "b/d/e.tiff", "broken.jpg", "link.jpg"]
    with pytest.raises(UserError, match="expected a folder that can be listed"):
        list(find_images(tmp_path / "absent"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"expected an image file, found the pipe .*a\.jpg: remove it"):
        read_image(tmp_path / "a.jpg")
