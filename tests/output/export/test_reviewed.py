"""What a person made or confirmed is told apart from what was found, in every format that can."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from rfga.data.truth.readers import open_truth
from rfga.output.export.boxes_csv import write_csv
from rfga.output.export.coco import write_coco
from rfga.output.export.labelstudio import write_labelstudio
from rfga.output.export.voc import write_voc
from rfga.output.export.yolo import write_yolo
from rfga.types import Prediction

CLASSES = ("cat", "dog")
SIZE_HW = (60, 80)
TWO = np.array([[10.0, 5.0, 30.0, 25.0], [40.0, 8.0, 70.0, 58.0]])


def made() -> list[Prediction]:
    """Found; drawn by a person, of two classes; nothing here, says a person; nothing found."""
    none, ones = np.zeros((0, 4)), np.ones(2)
    return [
        Prediction("cat/found.jpg", SIZE_HW, 0, 0.9, TWO[:1], np.array([1.0]), None, 0.2),
        Prediction("cat/drawn.jpg", SIZE_HW, 0, 0.9, TWO, ones, None, 0.2, (), (1, 0), reviewed=True),
        Prediction("dog/empty.jpg", SIZE_HW, 1, 0.9, none, np.zeros(0), None, 0.2, reviewed=True),
        Prediction("dog/lost.jpg", SIZE_HW, 1, 0.9, none, np.zeros(0), None, 0.2),
    ]


def test_coco_names_the_person_and_never_a_crowd(tmp_path: Path) -> None:
    for found in made():  # masks of what was found: no person drew them
        mask = tmp_path / "masks" / f"{found.image_id}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(SIZE_HW, 255, np.uint8)).save(mask)
    path = write_coco(made(), CLASSES, tmp_path)
    held = json.loads(path.read_text())
    assert [image.get("reviewed") for image in held["images"]] == [None, True, True, None]
    found, *drawn = held["annotations"]
    assert not {"source", "reviewed"} & set(found)
    assert "segmentation" in found
    for annotation, box, category in zip(drawn, TWO, (2, 1), strict=True):
        assert (annotation["source"], annotation["reviewed"]) == ("person", True)
        assert (annotation["score"], annotation["iscrowd"], annotation["category_id"]) == (1, 0, category)
        assert annotation["bbox"] == [*box[:2], *(box[2:] - box[:2])]
        assert "segmentation" not in annotation
    assert len(COCO(str(path)).getAnnIds(iscrowd=False)) == 3


def test_csv_has_a_column_for_it(tmp_path: Path) -> None:
    with write_csv(made(), CLASSES, tmp_path).open(encoding="utf-8", newline="") as stream:
        rows = [(row["image"], row["class"], row["source"]) for row in csv.DictReader(stream)]
    drawn = "cat/drawn.jpg"
    assert rows == [("cat/found.jpg", "cat", "found"), (drawn, "dog", "person"), (drawn, "cat", "person")]


def test_yolo_lists_them_and_takes_the_empty_ones_as_empty(tmp_path: Path) -> None:
    path = write_yolo(made(), CLASSES, tmp_path)
    images = ["./images/cat/found.jpg", "./images/cat/drawn.jpg", "./images/dog/empty.jpg"]
    assert (path / "train.txt").read_text().splitlines() == images
    assert (path / "reviewed.txt").read_text().splitlines() == images[1:]
    assert (path / "labels/dog/empty.txt").read_text() == ""
    labels = (path / "labels/cat/drawn.txt").read_text().splitlines()
    assert [line.split()[0] for line in labels] == ["1", "0"]
    assert yaml.safe_load((path / "data.yaml").read_text())["names"] == {0: "cat", 1: "dog"}
    assert not (write_yolo(made()[:1], CLASSES, tmp_path / "b") / "reviewed.txt").exists()


def test_voc_is_verified_as_labelimg_writes_it(tmp_path: Path) -> None:
    path = write_voc(made(), CLASSES, tmp_path)
    roots = {
        found.image_id: ElementTree.parse(path / found.image_id.replace("jpg", "xml")) for found in made()
    }
    assert [root.getroot().get("verified") for root in roots.values()] == [None, "yes", "yes", None]
    told = [
        [(item.findtext("name"), item.findtext("source")) for item in root.findall("object")]
        for root in roots.values()
    ]
    assert told == [[("cat", None)], [("dog", "person"), ("cat", "person")], [], []]


def test_label_studio_has_annotations_instead_of_predictions(tmp_path: Path) -> None:
    tasks = json.loads(write_labelstudio(made(), CLASSES, tmp_path).read_text())
    assert [sorted(set(task) - {"data"}) for task in tasks] == [
        ["predictions"],
        *[["annotations"]] * 2,
        ["predictions"],
    ]
    [drawn] = tasks[1]["annotations"]
    assert [item["value"]["rectanglelabels"] for item in drawn["result"]] == [["dog"], ["cat"]]
    assert not any("score" in item for item in drawn["result"])
    assert (drawn["ground_truth"], drawn["was_cancelled"]) == (True, False)
    assert tasks[2]["annotations"][0]["result"] == []
    photos = tmp_path / "photos"
    for found in made():
        (photos / found.image_id).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE_HW[::-1]).save(photos / found.image_id)
    truth = open_truth(tmp_path / "labelstudio.json", photos, [found.image_id for found in made()])
    known = truth.truth("cat/drawn.jpg")
    assert known is not None
    assert known.boxes is not None
    np.testing.assert_allclose(known.boxes, TWO[1:], atol=1e-9)  # of the class that it is of


@pytest.mark.parametrize("write", [write_coco, write_csv, write_yolo, write_voc, write_labelstudio])
def test_classes_of_boxes_that_there_are_none_of(write: object, tmp_path: Path) -> None:
    assert callable(write)
    for labels in ((0, 2), (0,)):
        bad = Prediction("a.jpg", SIZE_HW, 0, 0.9, TWO, np.ones(2), None, 0.2, (), labels)
        with pytest.raises(ValueError, match=r"expected a sound prediction for a\.jpg, found"):
            write([bad], CLASSES, tmp_path / "new")
