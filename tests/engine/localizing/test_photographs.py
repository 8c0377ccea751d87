from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import ExifTags, Image

from rfga.engine.localizing.photographs import (
    Found,
    Photos,
    as_image,
    as_list,
    is_one,
    label_indices,
    name_of,
)
from rfga.types import Prediction, UserError


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A photograph 80 wide and 60 high whose metadata turn it by a quarter, its left upper corner white."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:20, :20] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    return tmp_path / "a.jpg"


def test_files_and_images_stand_upright(turned: Path) -> None:
    with Image.open(turned) as opened:
        found = [as_image(turned), as_image(str(turned)), as_image(opened)]
    for image in found:
        assert (image.size, image.mode) == ((60, 80), "RGB")
        pixels = np.asarray(image)
        assert pixels[:15, 45:].min() > 200  # a quarter to the right
        assert pixels[30:].max() < 60
        assert np.array_equal(pixels, np.asarray(found[0]))


def test_arrays_are_taken_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(as_image(pixels)), pixels)
    assert np.array_equal(np.asarray(as_image(pixels[:, ::-1])), pixels[:, ::-1])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((60, 80)),
        np.zeros((60, 80, 4), np.uint8),
        np.zeros((60, 80, 3)),
        np.zeros((0, 80, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"expected an array \(H, W, 3\) of uint8, RGB, found"):
        as_image(array)


def test_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected an image, found no file"):
        as_image(tmp_path / "none.jpg")
    with pytest.raises(UserError, match=r"expected a path, a PIL image or an array .* found bytes"):
        as_image(cast(str, b"\xff\xd8"))


def test_an_image_that_cannot_be_decoded(turned: Path) -> None:
    turned.write_bytes(turned.read_bytes()[:-200])
    with (
        Image.open(turned) as opened,
        pytest.raises(UserError, match="expected a complete image, found it dam"),
    ):
        as_image(opened)


def test_one_or_several() -> None:
    picture = np.zeros((6, 8, 3), np.uint8)
    for one in ("a.jpg", Path("a.jpg"), Image.fromarray(picture), picture):
        assert is_one(one)
        assert len(as_list(one)) == 1
    for several in cast(
        "tuple[Photos, ...]", (["a.jpg", picture], (Path("a.jpg"), "b.jpg"), np.stack([picture, picture]))
    ):
        assert not is_one(several)
        assert len(as_list(several)) == 2
    assert as_list([]) == []
    assert [name_of(one, 3) for one in (Path("x/a.jpg"), picture)] == ["x/a.jpg", "3"]


def test_labels_are_names() -> None:
    classes = ("bat", "cat", "dog")
    assert label_indices(None, classes, 2) is None
    assert label_indices("dog", classes, 2) == [2, 2]
    assert label_indices(["dog", "bat"], classes, 2) == [2, 0]
    with pytest.raises(UserError, match="expected one label for each of 3 photographs, found 2"):
        label_indices(["dog", "bat"], classes, 3)
    with pytest.raises(UserError, match="expected a label out of bat, cat, dog, found 'cow'"):
        label_indices("cow", classes, 1)


def test_nothing_found_is_no_box() -> None:
    blank = np.zeros((224, 224))
    found = Found("cat", Prediction("a.jpg", (60, 80), 1, 0.9, np.zeros((0, 4)), np.zeros(0), blank, 0.2))
    assert found.box is None
    assert found.mask.shape == (60, 80)
    assert not found.mask.any()
    assert (len(found.boxes), len(found.scores)) == (0, 0)
