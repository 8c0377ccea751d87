"""Boxes by a person, of photographs of any split, from files of several kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rfga.data.folder import FolderDataset
from rfga.types import UserError

NAMES = ("train/cat/0.png", "train/cat/1.png", "train/dog/0.png", "val/cat/0.png", "val/dog/5.png")
Entry = tuple[str, list[tuple[str, list[float]]], dict[str, Any]]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60)).save(path)
    return tmp_path / "photos"


def write(path: Path, entries: list[Entry]) -> Path:
    """COCO: file name, boxes with their class, further keys of the image."""
    names = ["cat", "dog"]
    images = [
        {"id": k, "file_name": name, "width": 80, "height": 60, **more}
        for k, (name, _, more) in enumerate(entries)
    ]
    boxes = [(k, held) for k, (_, boxes, _) in enumerate(entries) for held in boxes]
    annotations = [
        {"id": n, "image_id": k, "category_id": names.index(name), "bbox": box}
        for n, (k, (name, box)) in enumerate(boxes)
    ]
    categories = [{"id": k, "name": name} for k, name in enumerate(names)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def corrected(photographs: Path, truth: Path) -> dict[str, tuple[list[list[float]], tuple[str, ...]]]:
    dataset = FolderDataset(photographs)
    dataset.correct(truth)
    return {
        sample.path.relative_to(photographs).as_posix(): (given.boxes.tolist(), given.classes)
        for sample, given in dataset.corrections
    }


CAT, DOG = ("cat", [10.0, 5.0, 20.0, 30.0]), ("dog", [1.0, 2.0, 3.0, 4.0])
CAT_EDGES, DOG_EDGES = [10.0, 5.0, 30.0, 35.0], [1.0, 2.0, 4.0, 6.0]
REVIEWED = {"reviewed": True}


def test_names_below_the_folder_and_below_the_split(photographs: Path, tmp_path: Path) -> None:
    entries: list[Entry] = [
        ("train/cat/0.png", [CAT], {}),
        ("dog/5.png", [DOG], {}),
        ("cat/1.png", [CAT], {}),
    ]
    assert corrected(photographs, write(tmp_path / "boxes.json", entries)) == {
        "train/cat/0.png": ([CAT_EDGES], ("cat",)),
        "train/cat/1.png": ([CAT_EDGES], ("cat",)),
        "val/dog/5.png": ([DOG_EDGES], ("dog",)),
    }


def test_a_name_of_two_splits_is_of_val(photographs: Path, tmp_path: Path) -> None:
    found = corrected(photographs, write(tmp_path / "boxes.json", [("cat/0.png", [CAT], {})]))
    assert found.keys() == {"val/cat/0.png"}


def test_where_a_person_has_looked_only_that_counts(photographs: Path, tmp_path: Path) -> None:
    """Found boxes are none; no box says that nothing is there; another class than the folder's stays."""
    entries: list[Entry] = [
        ("train/cat/0.png", [CAT], {}),
        ("train/cat/1.png", [], REVIEWED),
        ("val/cat/0.png", [DOG], REVIEWED),
        ("val/dog/5.png", [DOG, CAT], REVIEWED),
    ]
    truth = write(tmp_path / "corrected.json", entries)
    assert corrected(photographs, truth) == {
        "train/cat/1.png": ([], ()),
        "val/cat/0.png": ([DOG_EDGES], ("dog",)),
        "val/dog/5.png": ([DOG_EDGES, CAT_EDGES], ("dog", "cat")),
    }
    val = FolderDataset(photographs, truth)
    known = {sample.image_id: val.truth(sample) for sample in val.samples("val")}
    assert known["cat/0.png"] is None
    assert known["dog/5.png"] is not None
    assert known["dog/5.png"].boxes is not None
    assert known["dog/5.png"].boxes.tolist() == [DOG_EDGES]


def test_a_folder_of_yolo_and_of_masks(photographs: Path, tmp_path: Path) -> None:
    yolo = tmp_path / "yolo"
    (yolo / "labels/train/cat").mkdir(parents=True)
    (yolo / "data.yaml").write_text("names: [cat, dog]\n")
    (yolo / "labels/train/cat/0.txt").write_text("0 0.25 0.5 0.5 1\n")
    assert corrected(photographs, yolo) == {"train/cat/0.png": ([[0.0, 0.0, 40.0, 60.0]], ("cat",))}
    mask = Image.new("L", (80, 60))
    mask.paste(255, (7, 8, 20, 30))
    (tmp_path / "masks/dog").mkdir(parents=True)
    mask.save(tmp_path / "masks/dog/5.png")
    assert corrected(photographs, tmp_path / "masks") == {"val/dog/5.png": ([[7.0, 8.0, 20.0, 30.0]], ())}


def test_what_fits_nothing_is_refused(photographs: Path, tmp_path: Path) -> None:
    truth = write(tmp_path / "boxes.json", [("train/cat/9.png", [CAT], {})])
    with pytest.raises(UserError, match="expected boxes of the photographs"):
        corrected(photographs, truth)
    truth = write(tmp_path / "boxes.json", [("train/cat/0.png", [CAT], {"width": 800})])
    with pytest.raises(
        UserError, match="expected the size of the photograph as a viewer shows it, 80x60, found 800x60"
    ):
        corrected(photographs, truth)
