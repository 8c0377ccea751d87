"""Pascal VOC files as other readers see them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from torchvision.datasets import VOCDetection

from rfga.output.export.voc import voc_pixels, write_voc
from rfga.types import Prediction
from tests.output.export.exported import CLASSES, photographs, predictions


def test_torchvision_reads_back_the_pixels(tmp_path: Path, rng: np.random.Generator) -> None:
    found = predictions(photographs(tmp_path / "photos"), rng)
    path = write_voc(iter(found), CLASSES, tmp_path / "out")
    files = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    assert len(files) == len(found)
    assert {"tench/same.xml", "tench/same.png.xml", "tench/same.jpg.xml", "tench/nothing.xml"} <= files
    seen = set()
    for file in files:
        held = VOCDetection.parse_voc_xml(ElementTree.parse(path / file).getroot())["annotation"]
        image_id = f"{held['folder']}/{held['filename']}"
        prediction = next(prediction for prediction in found if prediction.image_id == image_id)
        seen.add(image_id)
        size = held["size"]
        assert (int(size["height"]), int(size["width"])) == prediction.size_hw
        objects = held.get("object", [])
        assert [item["name"] for item in objects] == [CLASSES[prediction.label]] * len(prediction.boxes)
        corners = [[int(item["bndbox"][c]) for c in ("xmin", "ymin", "xmax", "ymax")] for item in objects]
        for (xmin, ymin, xmax, ymax), box in zip(corners, prediction.boxes, strict=True):
            assert 1 <= xmin <= xmax <= prediction.size_hw[1]
            assert 1 <= ymin <= ymax <= prediction.size_hw[0]
            limit = 0.5 if min(box[2] - box[0], box[3] - box[1]) >= 1 else 1.0
            assert np.abs(np.array([xmin - 1, ymin - 1, xmax, ymax]) - box).max() <= limit
        assert [float(item["score"]) for item in objects] == prediction.scores.tolist()
    assert len(seen) == len(found)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 80, 60], (1, 1, 80, 60)),  # the whole photograph
        ([10, 5, 11, 6], (11, 6, 11, 6)),  # one pixel: the eleventh, the sixth
        ([9.6, 5.4, 10.4, 6.6], (11, 6, 11, 7)),  # too narrow to round: the pixel of its middle
        ([79.9, 59.9, 80, 60], (80, 60, 80, 60)),
        ([-1e-7, 0, 0.1, 60 + 1e-7], (1, 1, 1, 60)),
    ],
)
def test_pixels_are_counted_from_one_and_the_last_is_inside(
    box: list[float], expected: tuple[int, ...]
) -> None:
    assert voc_pixels(np.array(box, dtype=np.float64), (60, 80)) == expected


def test_characters_that_xml_does_not_have(tmp_path: Path) -> None:
    name = "tench/\udcff\x01.jpg"
    found = Prediction(name, (60, 80), 0, 1.0, np.array([[1.0, 2.0, 3.0, 4.0]]), np.ones(1), None, 0.2)
    path = write_voc([found], CLASSES, tmp_path)
    (file,) = path.rglob("*.xml")
    assert file.name == "\udcff\x01.xml"
    assert ElementTree.parse(file).findtext("filename") == "??.jpg"


def test_what_is_there_is_replaced_as_a_whole(tmp_path: Path, rng: np.random.Generator) -> None:
    found = predictions(photographs(tmp_path / "photos"), rng)
    write_voc(found, CLASSES, tmp_path / "out")
    path = write_voc(found[:1], CLASSES, tmp_path / "out")
    assert [file.name for file in path.rglob("*.xml")] == ["a 1.xml"]
    assert list((tmp_path / "out").iterdir()) == [path]
