"""The YOLO data set as Ultralytics reads it: its rules are followed here, from data.yaml to boxes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from rfga.output.export.yolo import place_photographs, write_yolo
from rfga.types import FloatArray, Prediction
from tests.output.export.exported import CLASSES, NAMES, photographs, predictions


def listed(yaml_file: Path, split: str) -> list[str]:
    """Files of a split by Ultralytics' rules: lists lie below data.yaml's folder, ./ is the list's folder."""
    held = yaml.safe_load(yaml_file.read_text(encoding="utf-8"))
    assert "path" not in held  # its absence means the folder of data.yaml
    file = yaml_file.parent / held[split]
    lines = file.read_text(encoding="utf-8").strip().splitlines()
    return [line.replace("./", f"{file.parent}{os.sep}") if line.startswith("./") else line for line in lines]


def label_file(image: str) -> Path:
    """The label file by Ultralytics' rule: the last /images/ becomes /labels/, the ending .txt."""
    renamed = f"{os.sep}labels{os.sep}".join(image.rsplit(f"{os.sep}images{os.sep}", 1))
    return Path(renamed.rsplit(".", 1)[0] + ".txt")


def edges(label: Path, size_hw: tuple[int, int]) -> tuple[list[int], FloatArray]:
    rows = np.array([[float(word) for word in line.split()] for line in label.read_text().splitlines()])
    assert rows.shape[1] == 5
    assert rows.min() >= 0
    assert rows[:, 1:].max() <= 1.00000001
    middle, size = rows[:, 1:3], rows[:, 3:]
    scale = np.array([size_hw[1], size_hw[0]] * 2)
    return rows[:, 0].astype(int).tolist(), np.concatenate([middle - size / 2, middle + size / 2], 1) * scale


def by_id(found: list[Prediction]) -> dict[str, Prediction]:
    return {prediction.image_id: prediction for prediction in found}


@pytest.mark.parametrize("how", ["link", "copy"])
def test_ultralytics_rules_lead_from_data_yaml_to_the_boxes(
    how: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    made = photographs(tmp_path / "photos")
    found = predictions(made, rng)
    path = write_yolo(iter(found), CLASSES, tmp_path / "out")
    place_photographs(((name, tmp_path / "photos" / name) for name, _ in made), tmp_path / "out", how)
    held = yaml.safe_load((path / "data.yaml").read_text(encoding="utf-8"))
    assert held["names"] == dict(enumerate(CLASSES))
    assert set(held) <= {"train", "val", "names", "renamed"}
    images = listed(path / "data.yaml", "train")
    assert images == listed(path / "data.yaml", "val")  # nine photographs with boxes: none set aside
    assert len(images) == len(set(images)) == len(set(map(label_file, images))) == len(made) - 1
    expected = [prediction for prediction in found if len(prediction.boxes)]
    for image, prediction in zip(images, expected, strict=True):
        original = tmp_path / "photos" / prediction.image_id
        assert Path(image).is_symlink() == (how == "link")
        assert Path(image).read_bytes() == original.read_bytes()
        assert Path(image).suffix == original.suffix
        labels, boxes = edges(label_file(image), prediction.size_hw)
        assert labels == [prediction.label] * len(prediction.boxes)
        np.testing.assert_allclose(boxes, prediction.boxes, atol=1e-5)
    labels_written = {file for file in (path / "labels").rglob("*") if file.is_file()}
    assert labels_written == set(map(label_file, images))


def test_only_names_that_mislead_are_changed(tmp_path: Path, rng: np.random.Generator) -> None:
    found = predictions(photographs(tmp_path / "photos"), rng)
    held = yaml.safe_load((write_yolo(found, CLASSES, tmp_path / "out") / "data.yaml").read_text())
    assert held["renamed"] == {
        "tench/same.png.png": "tench/same.png",
        "Müller, Köln/St. Jr._/x.y.png": "Müller, Köln/St. Jr./x.y.png",
        "tench/images_/deep/#1?d=2%20+.jpg": "tench/images/deep/#1?d=2%20+.jpg",
    }


def made_up(names: list[str]) -> list[Prediction]:
    box = np.array([[1.0, 2.0, 30.0, 40.0]])
    return [Prediction(name, (60, 80), 0, 1.0, box, np.ones(1), None, 0.2) for name in names]


def test_splits_are_those_of_the_folders_else_every_tenth_is_val(tmp_path: Path) -> None:
    path = write_yolo(made_up([f"tench/{number:02}.jpg" for number in range(25)]), CLASSES, tmp_path / "a")
    assert [Path(name).stem for name in listed(path / "data.yaml", "val")] == ["09", "19"]
    assert len(listed(path / "data.yaml", "train")) == 23
    path = write_yolo(made_up(["train/t/a.jpg", "val/t/a.jpg", "test/t/a.jpg"]), CLASSES, tmp_path / "b")
    for split in ("train", "val", "test"):
        assert listed(path / "data.yaml", split) == [f"{path}{os.sep}images/{split}/t/a.jpg"]
    path = write_yolo(made_up(["Train/t/a.jpg", "valid/t/a.jpg"]), CLASSES, tmp_path / "e")
    assert listed(path / "data.yaml", "val") == [f"{path}{os.sep}images/valid/t/a.jpg"]
    path = write_yolo(made_up(["val/t/a.jpg"]), CLASSES, tmp_path / "c")
    assert listed(path / "data.yaml", "train") == listed(path / "data.yaml", "val")
    held = yaml.safe_load((write_yolo([], CLASSES, tmp_path / "d") / "data.yaml").read_text())
    assert (held["train"], held["val"]) == ("train.txt", "train.txt")


def test_names_that_no_list_can_hold(tmp_path: Path) -> None:
    names = ["tench/two\nlines.jpg", "tench/\udcff.jpg", "tench/two_lines.jpg"]
    path = write_yolo(made_up(names), CLASSES, tmp_path)
    images = [Path(name).name for name in listed(path / "data.yaml", "train")]
    assert images == ["two_lines.jpg", "_.jpg", "two_lines.jpg.jpg"]
    held = yaml.safe_load((path / "data.yaml").read_text())
    assert held["renamed"] == dict(zip([f"tench/{name}" for name in images], names, strict=True))


def test_photographs_that_somebody_put_there_stay(tmp_path: Path, rng: np.random.Generator) -> None:
    made = photographs(tmp_path / "photos")
    found = predictions(made, rng)
    path = write_yolo(found, CLASSES, tmp_path / "out")
    (path / "images").symlink_to(tmp_path / "photos")
    write_yolo(found[:1], CLASSES, tmp_path / "out")
    place_photographs([], tmp_path / "out", "link")
    assert (path / "images").is_symlink()
    assert len(listed(path / "data.yaml", "train")) == 1
    assert not list((tmp_path / "out").rglob(".*"))


def test_links_that_the_system_refuses_become_copies(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = photographs(tmp_path / "photos")

    def refuse(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    write_yolo(predictions(made, rng), CLASSES, tmp_path / "out")
    images = place_photographs([(NAMES[0], tmp_path / "photos" / NAMES[0])], tmp_path / "out", "link")
    with Image.open(images / NAMES[0]) as image:
        assert image.size == (80, 60)
    assert not (images / NAMES[0]).is_symlink()
