"""HEIC and AVIF: read where a library for them is there, else the error says which one is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from rfga.data import formats
from rfga.data.checks.look import look_at_file
from rfga.data.formats import how_to_read, unidentified
from rfga.data.images import read_image, read_size
from rfga.data.unreadable import UnreadableError
from rfga.data.walk import find_images

READS_AVIF = ".avif" in formats.IMAGE_SUFFIXES
READS_HEIF = ".heic" in formats.IMAGE_SUFFIXES


def half_red() -> Image.Image:
    """240 x 160, its left half red, the right one blue."""
    pixels = np.zeros((160, 240, 3), np.uint8)
    pixels[:, :120, 0] = pixels[:, 120:, 2] = 250
    return Image.fromarray(pixels)


def test_an_ending_is_read_or_not() -> None:
    assert not formats.IMAGE_SUFFIXES & formats.OTHER_PICTURES
    assert {".heic", ".heif", ".avif", ".jpg"} <= formats.IMAGE_SUFFIXES | formats.OTHER_PICTURES
    assert bool(features.check("avif")) == READS_AVIF
    assert how_to_read("a.HEIC").startswith("pip install 'rfga[heif]'")
    assert how_to_read("a.avif").startswith("pip install 'pillow>=11.3'")


@pytest.mark.skipif(READS_HEIF, reason="pillow-heif is installed")
def test_the_error_names_what_reads_heic(tmp_path: Path) -> None:
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    assert "IMG_1.jpg is HEIC: pip install 'rfga[heif]'" in str(unidentified(head, Path("IMG_1.jpg")))
    (tmp_path / "a.HEIC").write_bytes(head)
    assert list(find_images(tmp_path)) == []
    assert list(find_images(tmp_path, formats.OTHER_PICTURES)) == ["a.HEIC"]


def test_the_error_of_a_tiff_that_is_not_read(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "a.tiff"), np.random.default_rng(0).random((20, 30, 3)).astype(np.float32))
    with pytest.raises(UnreadableError, match=r"TIFF of another kind, .*: save it with 8 or 16 bits"):
        read_image(tmp_path / "a.tiff")


def test_floating_point_tiff_with_places_without_a_value(tmp_path: Path) -> None:
    values = np.full((20, 30), 0.5, np.float32)
    values[3, 4], values[5, 6], values[0, 0] = np.nan, np.inf, 1.0
    Image.fromarray(values).save(tmp_path / "a.tiff")
    pixels = np.asarray(read_image(tmp_path / "a.tiff"))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[3, 4].tolist() == pixels[5, 6].tolist() == [0, 0, 0]
    assert pixels[9, 9].tolist() == [128, 128, 128]


@pytest.mark.skipif(not READS_AVIF, reason="this Pillow reads no AVIF")
def test_avif_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter to the right: what is left comes to the top
    half_red().save(tmp_path / "a.avif", exif=exif)
    image = read_image(tmp_path / "a.avif")
    assert (image.height, image.width) == read_size(tmp_path / "a.avif") == (240, 160)
    assert np.asarray(image)[20, 80].argmax() == 0
    assert np.asarray(image)[220, 80].argmax() == 2
    assert list(find_images(tmp_path)) == ["a.avif"]
    assert [kind for kind, _ in look_at_file(tmp_path / "a.avif").remarks] == ["exif_rotated"]
    (tmp_path / "a.avif").rename(tmp_path / "b.jpg")
    assert "rename it to b.avif" in look_at_file(tmp_path / "b.jpg").remarks[0][1]


@pytest.mark.skipif(not READS_HEIF, reason="pillow-heif is not installed")
def test_heic_is_read(tmp_path: Path) -> None:
    formats.pillow_formats()
    half_red().save(tmp_path / "a.heic")
    image = read_image(tmp_path / "a.heic")
    assert (image.height, image.width) == read_size(tmp_path / "a.heic") == (160, 240)
    assert np.asarray(image)[80, 20].argmax() == 0
    assert np.asarray(image)[80, 220].argmax() == 2
    assert list(find_images(tmp_path)) == ["a.heic"]
