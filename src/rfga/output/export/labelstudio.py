"""Predicted boxes as tasks of Label Studio, with the labelling configuration that shows them."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from rfga.files import replacing
from rfga.output.export.checked import checked
from rfga.types import FloatArray, Prediction

CONFIG_NAME = "labelstudio_config.xml"
MODEL_VERSION = "rfga"
LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves files below its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""

_CONTROL, _IMAGE = "label", "image"  # names of the tags in the configuration
_GOLDEN = 0.618034  # of the circle of hues between two classes: neighbours differ most


def write_labelstudio(
    predictions: Iterable[Prediction],
    classes: Sequence[str],
    out_folder: Path,
    file_names: Mapping[str, str] | None = None,
) -> Path:
    """Write ``labelstudio.json``, one task with predictions a photograph, and ``labelstudio_config.xml``.

    Photographs are named as Label Studio serves local files: give it the folder that was localized as
    LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, and its class folders as local storage. Boxes are percentages of
    width and height. A photograph without a box is a task with an empty prediction. What a person has
    looked at is an annotation (``ground_truth``) instead of a prediction.

    Arguments, result and errors are those of `rfga.output.export.coco.write_coco`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> box = np.array([[20.0, 15.0, 60.0, 45.0]])
        >>> found = Prediction("tench/1.jpg", (60, 80), 0, 0.9, box, np.array([0.8]), None, 0.2)
        >>> [task] = json.loads(write_labelstudio([found], ["tench"], Path(tempfile.mkdtemp())).read_text())
        >>> task["predictions"][0]["result"][0]["value"]["x"]
        25.0
    """
    path = out_folder / "labelstudio.json"
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for number, prediction in enumerate(checked(predictions, len(classes)), start=1):
            name = prediction.image_id if file_names is None else file_names[prediction.image_id]
            task = _task(prediction, name, classes, number)
            stream.write((",\n" if number > 1 else "\n") + json.dumps(task, allow_nan=False))
        stream.write("\n]\n")
    with replacing(out_folder / CONFIG_NAME) as temporary:
        temporary.write_text(labelling_config(classes), encoding="utf-8")
    return path


def labelling_config(classes: Sequence[str]) -> str:
    """The labelling configuration in which these tasks open: a picture and upright boxes of the classes.

    Example:
        >>> print(labelling_config(["cat & dog"]).splitlines()[3].strip())
        <Label value="cat &amp; dog" background="#d93636"/>
    """
    lines = ["<View>", f'  <Image name="{_IMAGE}" value="$image" zoom="true"/>']
    lines.append(f'  <RectangleLabels name="{_CONTROL}" toName="{_IMAGE}" canRotate="false">')
    for index, name in enumerate(classes):
        rgb = (round(255 * part) for part in colorsys.hsv_to_rgb(index * _GOLDEN % 1, 0.75, 0.85))
        colour = "#" + "".join(f"{part:02x}" for part in rgb)
        lines.append(f'    <Label value={quoteattr(name)} background="{colour}"/>')
    return "\n".join([*lines, "  </RectangleLabels>", "</View>", ""])


def _task(prediction: Prediction, name: str, classes: Sequence[str], number: int) -> dict[str, Any]:
    image = LOCAL_FILES + quote(name, errors="surrogateescape")
    task: dict[str, Any] = {"data": {"image": image, "photograph": name}}
    results = [
        _result(box, prediction.size_hw, classes[label]) | {"id": f"{number}-{place}"}
        for place, (box, label) in enumerate(zip(prediction.boxes, prediction.labels, strict=True), start=1)
    ]
    if prediction.reviewed:
        return task | {"annotations": [{"result": results, "was_cancelled": False, "ground_truth": True}]}
    scores = prediction.scores.tolist()
    held = {
        "model_version": MODEL_VERSION,
        "score": float(max(scores, default=0.0)),
        "result": [one | {"score": score} for one, score in zip(results, scores, strict=True)],
    }
    return task | {"predictions": [held]}


def _result(box: FloatArray, size_hw: tuple[int, int], class_name: str) -> dict[str, Any]:
    height, width = size_hw
    x0, y0, x1, y1 = box.tolist()
    value = {
        "x": 100 * x0 / width,
        "y": 100 * y0 / height,
        "width": 100 * (x1 - x0) / width,
        "height": 100 * (y1 - y0) / height,
        "rotation": 0,
        "rectanglelabels": [class_name],
    }
    return {
        "type": "rectanglelabels",
        "from_name": _CONTROL,
        "to_name": _IMAGE,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": value,
    }
