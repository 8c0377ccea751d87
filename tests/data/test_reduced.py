"""Large JPEGs read at a part of their size: when, how far, and how little that changes."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rfga.data import open_dataset
from rfga.data.benchmarks.stored import read_stored
from rfga.data.folder import FolderDataset
from rfga.data.images import read_image
from rfga.data.transforms import Augmentation, SampleImages
from rfga.engine.run.config import CropKind

WIDTH, HEIGHT = 800, 600


def picture(path: Path, orientation: int = 1) -> Path:
    """Smooth, so that only the way of reading can make a difference."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("least_side", "size"),
    [(None, (800, 600)), (301, (800, 600)), (300, (400, 300)), (151, (400, 300)), (75, (100, 75))],
)
def test_a_jpeg_is_halved_as_long_as_both_sides_stay(
    tmp_path: Path, least_side: int | None, size: tuple[int, int]
) -> None:
    path = picture(tmp_path / "a.jpg")
    assert read_image(path, least_side).size == size
    assert read_stored(path, least_side).size == size


def test_the_photograph_is_upright_and_other_formats_stay_whole(tmp_path: Path) -> None:
    turned = picture(tmp_path / "turned.jpg", orientation=6)
    assert read_image(turned, 300).size == (300, 400)
    assert read_stored(turned, 300).size == (400, 300)
    assert read_image(picture(tmp_path / "a.png"), 75).size == (WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    for name in ("a", "b"):
        (root / "train" / name).mkdir(parents=True)
        picture(root / "train" / name / "1.jpg")
    return root


@pytest.mark.parametrize("crop", get_args(CropKind))
def test_training_sees_nearly_the_same(folder: Path, crop: CropKind) -> None:
    dataset = open_dataset(folder)
    both = []
    for reduced in (False, True):
        augmentation = Augmentation(crop, min_scale=0.5, reduced=reduced)
        both.append(SampleImages(dataset, dataset.samples("train"), 64, augmentation)[0, 7][0].float())
    assert 0 < (both[0] - both[1]).abs().mean() < 1.5  # of 255


def test_how_large_a_reduced_photograph_has_to_be() -> None:
    assert Augmentation().least_side(224) == 2 * 256
    part = Augmentation("random-resized", min_scale=0.25)
    # The smallest part has a quarter of the area, and sides of up to 4:3.
    assert part.least_side(224) >= 2 * 224 / np.sqrt(0.25 * 3 / 4)


def test_measuring_never_reduces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(folder)
    monkeypatch.setattr(FolderDataset, "reduced_image", lambda *_: pytest.fail("read at a part of its size"))
    images = SampleImages(dataset, dataset.samples("train"), 64, Augmentation(reduced=True))
    assert images[0][0].dtype == torch.uint8
