from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.checks.folders_to_check import (
    CLASSES,
    HEIGHT,
    WIDTH,
    clean_folders,
    photograph,
    put,
    truth_found,
)

Box = tuple[slice, slice]


def mask(value: int = 255, size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> Image.Image:
    pixels = np.zeros(size_hw, np.uint8)
    pixels[5:20, 8:40] = value
    return Image.fromarray(pixels)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    root = clean_folders(tmp_path / "data", train=1)
    for name in CLASSES:
        for number in range(3):
            put(root / "masks" / name / f"{number}.png", mask())
    return root


def test_good_masks_are_no_findings(folders: Path) -> None:
    ignored = np.asarray(mask()).copy()
    ignored[:3] = 128
    put(folders / "masks" / "cat" / "0.png", Image.fromarray(ignored))
    (folders / "masks" / "cat" / "1.png").rename(folders / "masks" / "cat" / "1.jpg.png")
    assert truth_found(folders, folders / "masks") == []


@pytest.mark.parametrize(
    ("picture", "kind", "said"),
    [
        (mask(size_hw=(30, 40)), "mask_size", "photograph's 64x48 pixels, found 40x30: make it anew"),
        (mask(size_hw=(WIDTH, HEIGHT)), "mask_size", "found 48x64: apply the photograph's EXIF"),
        (mask(1), "mask_values", r"found [0, 1]: multiply it by 255"),
        (mask(200), "mask_values", r"found [0, 200]: save it without smoothing"),
        (mask().convert("RGB"), "mask_values", "found mode RGB"),
        (mask(0), "mask_empty", "expected an object (255), found none"),
    ],
)
def test_each_wrong_mask(folders: Path, picture: Image.Image, kind: str, said: str) -> None:
    put(folders / "masks" / "dog" / "1.png", picture)
    (one,) = truth_found(folders, folders / "masks")
    assert (one.kind, one.file, one.others) == (kind, "val/dog/1.jpg", ("dog/1.png",))
    assert said in one.sentence
    assert one.shots[0].mask == folders / "masks" / "dog" / "1.png"


def test_a_damaged_mask_and_masks_of_nothing(folders: Path) -> None:
    (folders / "masks" / "cat" / "0.png").write_bytes(b"no mask")
    (folders / "masks" / "cat" / "1.png").unlink()
    put(folders / "masks" / "cat" / "9.png", mask())
    put(folders / "masks" / "dog" / "0.png", mask(1, (30, 40)))
    found = [(one.kind, one.file) for one in truth_found(folders, folders / "masks")]
    assert found == [
        ("mask_unreadable", "val/cat/0.jpg"),
        ("mask_size", "val/dog/0.jpg"),
        ("mask_values", "val/dog/0.jpg"),
        ("truth_of_nothing", "cat/9.png"),
        ("without_truth", "val/cat/1.jpg"),
    ]


def test_the_size_is_that_of_the_upright_photograph(folders: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    put(folders / "val" / "cat" / "0.jpg", photograph(77, (HEIGHT, WIDTH)), exif=exif)
    assert truth_found(folders, folders / "masks") == []


def test_a_folder_of_no_masks(folders: Path) -> None:
    (folders / "empty").mkdir()
    (one,) = truth_found(folders, folders / "empty")
    assert one.kind == "truth_unusable"
