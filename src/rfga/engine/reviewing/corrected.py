"""The files of corrected boxes: ``corrected.json``, and the other formats below ``corrected/``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rfga.engine.reviewing.review import Review
from rfga.engine.run.options import resolve
from rfga.files import replacing
from rfga.output.export.coco import write_coco_file
from rfga.output.export.formats import FORMATS, MASKS, PHOTOGRAPHS
from rfga.types import Prediction

COCO, FOLDER, WRONG = "corrected.json", "corrected", "wrong.txt"
"""What is written beside the boxes: COCO JSON, the other formats, and in it the names of the wrong ones."""


def write_corrected(review: Review, formats: Sequence[str]) -> list[str]:
    """Write the boxes as they are after all corrections; gives the names of the files.

    ``corrected.json`` is COCO; other formats and the list of wrong photographs lie in ``corrected/``.

    Raises:
        UserError: they cannot be written.
    """
    place, written = review.found.place, [COCO]
    folder = place.boxes / FOLDER
    write_coco_file(place.boxes / COCO, _corrected(review), review.classes, place.boxes / MASKS)
    for name in formats:
        if name == "coco":
            continue
        path = resolve(FORMATS, name, "format")(_corrected(review), review.classes, folder)
        written.append(path.relative_to(place.boxes).as_posix())
        if name in PHOTOGRAPHS:
            resolve(PHOTOGRAPHS, name, "format")(_photographs(review), folder, "link")
    wrong = [name for number, name in enumerate(review.found.names) if review.state(number) == "wrong"]
    with replacing(folder / WRONG) as temporary:
        text = "".join(f"{name}\n" for name in wrong)
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    return [*written, f"{FOLDER}/{WRONG}"]


def _corrected(review: Review) -> Iterator[Prediction]:
    for number in range(len(review.found)):
        held = review.corrected(number)
        if held is not None:
            yield held


def _photographs(review: Review) -> Iterator[tuple[str, Path]]:
    for number, name in enumerate(review.found.names):
        path = review.photograph(number)
        if path is not None and review.state(number) != "wrong":
            yield name, path
