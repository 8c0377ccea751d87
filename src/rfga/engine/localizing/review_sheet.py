"""From the journal of a run to its review sheet: the photographs whose boxes deserve a look first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from rfga.data.images import read_image
from rfga.engine.localizing.inputs import Photograph
from rfga.engine.localizing.journal import Summary
from rfga.engine.localizing.localizer import Localizer
from rfga.output.review.page import THUMBNAIL_PIXELS, ReviewItem, photograph_confidence, write_review
from rfga.types import ByteArray, Prediction, UserError
from rfga.untrusted import fitting

REVIEW_NAME = "review.html"


def write_review_sheet(
    predictions: Iterable[Prediction],
    photographs: Sequence[Photograph],
    localizer: Localizer,
    out: Path,
    most: int,
    summary: Summary,
) -> Path:
    """Write ``review.html`` into a folder of ``localize``: the worst photographs, the worst of them first.

    Only these are kept in memory, without their pictures, which are read one at a time.

    Args:
        predictions: read once, one at a time.
        photographs: with their files, at least those of the predictions.
        localizer: that found the boxes.
        out: the folder; what lies in its ``pictures`` is shown as heat maps.
        most: photographs on the sheet.
        summary: of the run.

    Raises:
        UserError: the page cannot be written.
    """
    counted, facts = _Counted(predictions), _facts(localizer, summary)
    worst = heapq.nsmallest(most, counted, key=lambda found: (photograph_confidence(found), found.image_id))
    wanted = {found.image_id for found in worst}
    paths = {p.image_id: p.path for p in photographs if p.image_id in wanted}
    items = []
    for found in worst:
        # A JPEG is decoded at a fraction of its size many times faster.
        least_side = THUMBNAIL_PIXELS * min(found.size_hw) // max(found.size_hw)
        picture = out / "pictures" / fitting(found.image_id, ".jpg")
        items.append(
            ReviewItem(
                prediction=found,
                class_name=localizer.classes[found.label],
                photograph=partial(_photograph, paths[found.image_id], least_side),
                heated=partial(_picture, picture, least_side),
            )
        )
    path = out / REVIEW_NAME
    write_review(path, items, counted.total, facts)
    return path


def _facts(localizer: Localizer, summary: Summary) -> list[tuple[str, str]]:
    """Name and value of what the page says of the run."""
    threshold = f"{localizer.threshold.value:.3g} ({localizer.threshold.source})"
    looked = ", looked at twice" if localizer.second_looks else ""
    facts = [("threshold", threshold), ("confidence", localizer.confidence.source + looked)]
    facts += [("witness", summary.witness)] if summary.witness else []
    facts += [("without a box", str(summary.without_box)), ("failed", str(len(summary.failed)))]
    return facts + [(f"warning {text}", str(count)) for text, count in summary.warnings.items()]


class _Counted:
    """Passes predictions on and counts them."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self.total, self._predictions = 0, predictions

    def __iter__(self) -> Iterator[Prediction]:
        for prediction in self._predictions:
            self.total += 1
            yield prediction


def _photograph(path: Path, least_side: int) -> ByteArray | None:
    """A photograph, whose sides need so many pixels at least; None where it is gone by now."""
    try:
        return np.asarray(read_image(path, least_side))
    except UserError:
        return None


def _picture(path: Path, least_side: int) -> ByteArray | None:
    """A picture that the run wrote, as ``_photograph``; None where there is none."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (least_side, least_side))
            return np.asarray(image.convert("RGB"))
    except OSError:
        return None
