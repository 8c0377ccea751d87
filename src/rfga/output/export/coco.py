"""COCO JSON of predicted boxes, with their masks where there are any."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rfga.files import replacing
from rfga.output.export.checked import checked
from rfga.output.export.formats import MASKS
from rfga.output.export.segmentation import in_box, polygons, rle
from rfga.types import ByteArray, FloatArray, Prediction
from rfga.untrusted import fitting

INFO = {"description": "boxes by rfga"}
BY_PERSON = {"source": "person", "reviewed": True}
"""What an annotation says beside its score of 1 where a person made or confirmed its box."""


def write_coco(
    predictions: Iterable[Prediction],
    classes: Sequence[str],
    out_folder: Path,
    file_names: Mapping[str, str] | None = None,
    note: str | None = None,
) -> Path:
    """Write ``coco.json``: images, one annotation with ``score`` for each box, categories from 1.

    Where ``out_folder`` holds the mask of a photograph, each annotation has the mask's pixels in its box: as
    polygons (``segmentation``) and as compressed runs (``rle``), which stand for the same pixels; ``area``
    counts them. Otherwise ``area`` is that of the box.

    A photograph that a person has looked at has ``"reviewed": true``, as has each of its annotations, beside
    ``"source": "person"``.

    Args:
        predictions: read once, one at a time; boxes in original pixels.
        classes: names in the order of the class indices.
        out_folder: made where it is missing; the file appears whole or not at all.
        file_names: image id to ``file_name`` relative to the given folder, where it is not the id itself.
            Predictions of one name are of one image, for each of its classes; the first tells of the image.
        note: what a reader of the file has to know of the boxes, as ``info.note``.

    Raises:
        ValueError: a prediction contradicts itself (`checked`).
        UserError: the folder cannot be written.

    Example:
        >>> box, blank = np.array([[10.0, 5.0, 30.0, 25.0]]), np.zeros((224, 224))
        >>> found = Prediction("tench/1.jpg", (60, 80), 0, 0.9, box, np.array([0.8]), blank, 0.2)
        >>> path = write_coco([found], ["tench"], Path(tempfile.mkdtemp()))
        >>> json.loads(path.read_text())["annotations"][0]["bbox"]
        [10.0, 5.0, 20.0, 20.0]
    """
    return write_coco_file(
        out_folder / "coco.json", predictions, classes, out_folder / MASKS, file_names, note
    )


def write_coco_file(
    path: Path,
    predictions: Iterable[Prediction],
    classes: Sequence[str],
    masks: Path,
    file_names: Mapping[str, str] | None = None,
    note: str | None = None,
) -> Path:
    """As `write_coco`, to a file of another name.

    Args:
        path: the file.
        predictions: see `write_coco`.
        classes: see `write_coco`.
        masks: the folder of masks, which need not be there.
        file_names: see `write_coco`.
        note: see `write_coco`.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8") as stream,
        # Annotations follow the images in the file, so they wait on the disk rather than in memory.
        tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent) as waiting,
    ):
        info = INFO if note is None else {**INFO, "note": note}
        categories = [{"id": index + 1, "name": name} for index, name in enumerate(classes)]
        stream.write(f'{{"info": {_json(info)},\n"categories": {_json(categories)},\n"images": [')
        annotation_id = images = 0
        numbers = dict.fromkeys((file_names or {}).values(), 0)  # of the names that may come again
        for prediction in checked(predictions, len(classes)):
            name = (file_names or {}).get(prediction.image_id, prediction.image_id)
            image_id = numbers.get(name) or images + 1
            if image_id > images:
                images += 1
                if name in numbers:
                    numbers[name] = image_id
                stream.write((",\n" if image_id > 1 else "\n") + _json(_image(image_id, name, prediction)))
            # The mask is of what was found, and no person drew it.
            mask = None if prediction.reviewed else _mask(masks / fitting(prediction.image_id, ".png"))
            for box, score, label in zip(prediction.boxes, prediction.scores, prediction.labels, strict=True):
                annotation_id += 1
                ids = {"id": annotation_id, "image_id": image_id, "category_id": label + 1}
                by = BY_PERSON if prediction.reviewed else {}
                annotation = _json(ids | _annotation(box, float(score), mask) | by)
                waiting.write((",\n" if annotation_id > 1 else "\n") + annotation)
        stream.write('],\n"annotations": [')
        waiting.seek(0)
        shutil.copyfileobj(waiting, stream)
        stream.write("]}\n")
    return path


def _image(image_id: int, name: str, prediction: Prediction) -> dict[str, Any]:
    height, width = prediction.size_hw
    held = {"id": image_id, "file_name": name, "width": width, "height": height}
    return held | ({"reviewed": True} if prediction.reviewed else {})


def _annotation(box: FloatArray, score: float, mask: ByteArray | None) -> dict[str, Any]:
    x0, y0, x1, y1 = box.tolist()
    width, height = x1 - x0, y1 - y0
    held = {"bbox": [x0, y0, width, height], "area": width * height, "iscrowd": 0, "score": score}
    pixels = None if mask is None else in_box(mask, box)
    if pixels is None or not pixels.any():
        return held
    return held | {"area": int(pixels.sum()), "segmentation": polygons(pixels), "rle": rle(pixels)}


def _mask(path: Path) -> ByteArray | None:
    """The mask (H, W) of a photograph that was written before its boxes, None where there is none."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.asarray(image)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
