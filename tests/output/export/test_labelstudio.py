"""Label Studio's tasks and configuration, checked by what its documentation says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest

from rfga.output.export.labelstudio import labelling_config, write_labelstudio
from tests.output.export.exported import CLASSES, photographs, predictions

RESULT_KEYS = {
    *("id", "type", "from_name", "to_name", "original_width", "original_height", "image_rotation"),
    *("value", "score"),
}


def check_task(task: dict[str, Any], config: ElementTree.Element) -> list[str]:
    """The schema of a task with predictions, against its configuration; gives the ids of its results."""
    (control,), (image,) = config.findall("RectangleLabels"), config.findall("Image")
    assert image.attrib["value"].removeprefix("$") in task["data"]
    assert control.attrib["toName"] == image.attrib["name"]
    labels = {label.attrib["value"] for label in control.findall("Label")}
    ids = []
    for prediction in task["predictions"]:
        assert set(prediction) == {"model_version", "score", "result"}
        assert 0 <= prediction["score"] <= 1
        for item in prediction["result"]:
            assert set(item) == RESULT_KEYS
            assert item["type"] == "rectanglelabels"
            assert (item["from_name"], item["to_name"]) == (control.attrib["name"], image.attrib["name"])
            value = item["value"]
            assert set(value) == {"x", "y", "width", "height", "rotation", "rectanglelabels"}
            assert value["rotation"] == item["image_rotation"] == 0
            assert set(value["rectanglelabels"]) <= labels
            assert 0 <= value["x"] < value["x"] + value["width"] <= 100 + 1e-9
            assert 0 <= value["y"] < value["y"] + value["height"] <= 100 + 1e-9
            ids.append(item["id"])
    return ids


def test_tasks_follow_the_schema_and_hold_the_boxes(tmp_path: Path, rng: np.random.Generator) -> None:
    found = predictions(photographs(tmp_path / "photos"), rng)
    path = write_labelstudio(iter(found), CLASSES, tmp_path / "out")
    config = ElementTree.parse(tmp_path / "out" / "labelstudio_config.xml").getroot()
    tasks = json.loads(path.read_text())
    ids = [result_id for task in tasks for result_id in check_task(task, config)]
    assert len(ids) == len(set(ids)) == sum(len(prediction.boxes) for prediction in found)
    for task, prediction in zip(tasks, found, strict=True):
        address = urlsplit(task["data"]["image"])
        assert address.path == "/data/local-files/"
        assert parse_qs(address.query) == {"d": [prediction.image_id]}
        (held,) = task["predictions"]
        assert held["score"] == max(prediction.scores, default=0)
        assert [item["score"] for item in held["result"]] == prediction.scores.tolist()
        for item, (x0, y0, x1, y1) in zip(held["result"], prediction.boxes, strict=True):
            height, width = prediction.size_hw
            assert (item["original_width"], item["original_height"]) == (width, height)
            value = item["value"]
            assert value["x"] / 100 * width == pytest.approx(x0, abs=1e-9)
            assert value["y"] / 100 * height == pytest.approx(y0, abs=1e-9)
            assert value["width"] / 100 * width == pytest.approx(x1 - x0)
            assert value["height"] / 100 * height == pytest.approx(y1 - y0)


def test_configuration_is_xml_whatever_the_classes_are_called() -> None:
    names = [*CLASSES, "</Label>", "'\"", "x" * 300, *(f"class {number}" for number in range(50))]
    labels = ElementTree.fromstring(labelling_config(names)).findall("RectangleLabels/Label")
    assert [label.attrib["value"] for label in labels] == names
    colours = [label.attrib["background"] for label in labels]
    assert len(set(colours)) == len(names)
    assert all(len(colour) == 7 and colour[0] == "#" for colour in colours)


def test_no_photographs_are_an_empty_list(tmp_path: Path) -> None:
    assert json.loads(write_labelstudio([], CLASSES, tmp_path).read_text()) == []
