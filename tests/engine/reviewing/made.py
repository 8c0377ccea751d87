"""A small folder of boxes as ``rfga localize`` leaves it, without a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rfga.engine.localizing.journal import SUMMARY_NAME, Journal
from rfga.types import Prediction

CLASSES = ("cat", "dog", "a&<b>\"c'")
SIZE_HW = (120, 200)
NAMES = ("cat/unsure.jpg", "cat/sure.jpg", "dog/none.png", "dog/two.jpg", "dog/<img src=x>.png")
BOXES: tuple[list[tuple[list[float], float]], ...] = (
    [([20.0, 10.0, 90.0, 70.0], 0.2)],
    [([30.0, 20.0, 130.0, 100.0], 0.9)],
    [],
    [([5.0, 5.0, 60.0, 60.0], 0.5), ([100.0, 50.0, 190.0, 110.0], 0.4)],
    [([50.0, 20.0, 150.0, 100.0], 0.7)],
)
WORST_FIRST = (2, 0, 3, 4, 1)  # numbers: nothing found, then by confidence


def predictions() -> list[Prediction]:
    """Of each photograph: none, one or two boxes."""
    found = []
    for name, held in zip(NAMES, BOXES, strict=True):
        edges = np.array([box for box, _ in held]).reshape(-1, 4)
        scores, warnings = np.array([score for _, score in held]), ("several objects?",) * (len(held) > 1)
        label = CLASSES.index(name.partition("/")[0])
        found.append(Prediction(name, SIZE_HW, label, 0.8, edges, scores, None, 0.3, warnings))
    return found


def boxes_folder(top: Path, found: Sequence[Prediction] | None = None, *, files: bool = True) -> Path:
    """Photographs below ``top/photos`` and their boxes in ``top/boxes``."""
    found = predictions() if found is None else found
    photos, boxes = top / "photos", top / "boxes"
    boxes.mkdir(parents=True)
    photos.mkdir()
    for number, one in enumerate(found if files else ()):
        (photos / one.image_id).parent.mkdir(parents=True, exist_ok=True)
        height, width = one.size_hw
        picture = np.full((height, width, 3), 40 + 40 * number % 200, np.uint8)
        for x0, y0, x1, y1 in one.boxes.astype(int):
            picture[y0:y1, x0:x1] = (230, 200, 120)
        Image.fromarray(picture).save(photos / one.image_id)
    with Journal(boxes, {}, [one.image_id for one in found], resume=False) as journal:
        for one in found:
            journal.add(one)
    summary = {"classes": CLASSES, "folders": [str(photos)]}
    (boxes / SUMMARY_NAME).write_text(json.dumps(summary))
    return boxes
