"""Whatever is exported comes back through the reader of truth as the same boxes, to the format's rounding."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from rfga.data.truth.readers import open_truth
from rfga.output.export.formats import FORMATS
from rfga.types import UserError
from tests.output.export.exported import CLASSES, NAMES, photographs, predictions


def submitted(path: Path) -> Path:
    """What Label Studio exports once somebody has submitted all predictions as they are."""
    tasks = json.loads(path.read_text())
    for task in tasks:
        (held,) = task.pop("predictions")
        task["annotations"] = [{"result": held["result"], "was_cancelled": False}]
        del task["data"]["photograph"]
    path.write_text(json.dumps(tasks))
    return path


def as_is(path: Path) -> Path:
    return path


# In pixels: floats; eight digits of a fraction; whole pixels, at least one; percent as floats.
FORMATS_READ: dict[str, tuple[float, Callable[[Path], Path]]] = {
    "coco": (1e-9, as_is),
    "yolo": (1e-5, as_is),
    "voc": (1.0, as_is),
    "labelstudio": (1e-9, submitted),
}


def test_every_format_but_csv_comes_back() -> None:
    assert set(FORMATS_READ) == set(FORMATS) - {"csv"}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", FORMATS_READ)
def test_boxes_come_back(name: str, seed: int, tmp_path: Path) -> None:
    made = photographs(tmp_path / "photos" / "val")
    found = predictions(made, np.random.default_rng(seed))
    module, function = FORMATS[name].split(":")
    path = getattr(import_module(module), function)(iter(found), CLASSES, tmp_path / "out")
    tolerance, corrected = FORMATS_READ[name]
    reader = open_truth(corrected(path), tmp_path / "photos" / "val", NAMES)
    assert reader.missing_images == ()
    assert reader.images_without_truth == ("tench/nothing.jpg",)
    for prediction in found:
        truth = reader.truth(prediction.image_id)
        if not len(prediction.boxes):
            assert truth is None
            continue
        assert truth is not None
        assert truth.boxes is not None
        assert truth.size_hw == prediction.size_hw
        assert truth.boxes.shape == prediction.boxes.shape
        distance = np.abs(truth.boxes - prediction.boxes)
        assert distance.max() <= tolerance
        if name == "voc":  # half a pixel, except where the box is too small to keep a pixel
            wide = (prediction.boxes[:, 2:] - prediction.boxes[:, :2]).min(axis=1) >= 1
            assert distance[wide].max(initial=0) <= 0.5
    assert reader.warnings() == []


@pytest.mark.parametrize("name", FORMATS_READ)
def test_truth_of_other_photographs_is_told(name: str, tmp_path: Path) -> None:
    made = photographs(tmp_path / "val")
    module, function = FORMATS[name].split(":")
    found = predictions(made, np.random.default_rng(0))[:2]
    path = getattr(import_module(module), function)(found, CLASSES, tmp_path / "out")
    with pytest.raises(UserError, match="it names 2 images, of which 2 are not there") as caught:
        open_truth(FORMATS_READ[name][1](path), tmp_path / "val", ["perch/b.jpg", "perch/c.png"])
    assert "\n" not in str(caught.value)
