"""Folders of photographs without any object, beside class folders, in every layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rfga.data import open_dataset
from rfga.data.base import Dataset

NAMES = ("background", "empty")


def put(root: Path, names: list[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20)).save(root / name)
    return root


def listed(dataset: Dataset, split: str) -> tuple[list[str], list[tuple[str, int]]]:
    samples = [sample.image_id for sample in dataset.samples(split)]
    return samples, [(sample.image_id, sample.label) for sample in dataset.background(split)]


def test_splits(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        ["train/cat/0.jpg", "train/Empty/1.jpg", "val/cat/2.jpg", "val/empty/deep/3.jpg", "background/4.jpg"],
    )
    dataset = open_dataset(root, background=NAMES)
    assert dataset.classes == ("cat",)
    assert listed(dataset, "train") == (["cat/0.jpg"], [("Empty/1.jpg", -1), ("background/4.jpg", -1)])
    assert listed(dataset, "val") == (["cat/2.jpg"], [("empty/deep/3.jpg", -1)])
    assert all(s.path.is_file() for split in ("train", "val") for s in dataset.background(split))
    assert dataset.notes == ()


@pytest.mark.parametrize("photographs", [["cat/0.jpg", "dog/0.jpg"], ["0.jpg"]], ids=["classes", "loose"])
def test_beside_classes_or_loose_photographs(tmp_path: Path, photographs: list[str]) -> None:
    root = put(tmp_path / "widget", [*photographs, "empty/1.jpg"])
    dataset = open_dataset(root, background=NAMES)
    assert listed(dataset, "train") == (photographs, [("empty/1.jpg", -1)])


def test_without_the_name_it_is_a_class(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, ["cat/0.jpg", "empty/1.jpg"]))
    assert dataset.classes == ("cat", "empty")
    assert dataset.background("train") == ()
