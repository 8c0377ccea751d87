"""CSV of predicted boxes: one line a box."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rfga.files import replacing
from rfga.output.export.checked import checked
from rfga.types import Prediction

CSV_COLUMNS = ("image", "class", "x0", "y0", "x1", "y1", "score", "threshold", "source")


def write_csv(
    predictions: Iterable[Prediction],
    classes: Sequence[str],
    out_folder: Path,
    file_names: Mapping[str, str] | None = None,
) -> Path:
    """Write ``boxes.csv``: one line a box, edges in original pixels; an image without a box has no line.

    ``source`` is ``person`` where a person made or confirmed the box, else ``found``.

    Arguments, result and errors are those of `rfga.output.export.coco.write_coco`.
    """
    path = out_folder / "boxes.csv"
    with (
        replacing(path) as temporary,
        # A name that is no valid UTF-8 keeps its bytes, so that the file is found again.
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for prediction in checked(predictions, len(classes)):
            name = prediction.image_id if file_names is None else file_names[prediction.image_id]
            source = "person" if prediction.reviewed else "found"
            boxes, scores = prediction.boxes.tolist(), prediction.scores.tolist()
            for box, score, label in zip(boxes, scores, prediction.labels, strict=True):
                writer.writerow([name, classes[label], *box, score, prediction.threshold, source])
    return path
