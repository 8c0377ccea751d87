"""The review sheet: one page of the boxes that deserve a person's look first, to be marked right or wrong."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from os import cpu_count
from pathlib import Path
from typing import TypeAlias

import numpy as np
from markupsafe import Markup

from rfga.output.page import write_template
from rfga.output.pictures import jpeg_data_uri
from rfga.types import ByteArray, Prediction

THUMBNAIL_PIXELS = 224  # longer side: 250 photographs make a page of some 9 MB (docs/confidence.md)
_QUALITY = 80
_CELL_ASPECT = 4 / 3  # width over height of the place that a picture is fitted into

Draw: TypeAlias = "Callable[[], ByteArray | None]"
"""Gives a picture (H, W, 3) uint8, or None where it cannot be had."""


@dataclass(frozen=True, slots=True, eq=False)
class ReviewItem:
    """A photograph of the sheet."""

    prediction: Prediction
    class_name: str
    photograph: Draw  # called once, while the page is written
    heated: Draw  # the same with its heat map and boxes

    @property
    def confidence(self) -> float:
        """Of the largest box, in [0, 1]; 0 where there is none."""
        return photograph_confidence(self.prediction)

    @property
    def frame(self) -> str:
        """The style that fits the photograph into its cell, its aspect kept."""
        height, width = self.prediction.size_hw
        side = "width" if width >= _CELL_ASPECT * height else "height"
        return f"aspect-ratio: {width} / {height}; {side}: 100%"

    @property
    def boxes(self) -> list[tuple[str, float, tuple[int, ...]]]:
        """Of each box: its place as a style, its confidence, its edges in whole pixels."""
        height, width = self.prediction.size_hw
        percent = self.prediction.boxes / np.array([width, height] * 2) * 100
        return [
            (
                f"left: {x0:.2f}%; top: {y0:.2f}%; width: {x1 - x0:.2f}%; height: {y1 - y0:.2f}%",
                float(score),
                tuple(round(edge) for edge in edges.tolist()),
            )
            for (x0, y0, x1, y1), score, edges in zip(
                percent, self.prediction.scores, self.prediction.boxes, strict=True
            )
        ]


def photograph_confidence(prediction: Prediction) -> float:
    """The confidence by which photographs are sorted: that of the largest box, 0 without a box.

    Further boxes are often specks with hardly any confidence, which would say nothing of the photograph.

    Example:
        >>> edges = np.array([[0.0, 0.0, 9.0, 9.0], [20.0, 0.0, 29.0, 9.0]])
        >>> found = Prediction("a.jpg", (30, 40), 0, 0.9, edges, np.array([0.8, 0.3]), None, 0.2)
        >>> photograph_confidence(found)
        0.8
    """
    return float(prediction.scores[0]) if len(prediction.scores) else 0.0


def write_review(
    path: Path, items: Sequence[ReviewItem], total: int, facts: Sequence[tuple[str, str]] = ()
) -> None:
    """Write one self-contained page; pictures are drawn by threads, and go to the disk as soon as they are.

    Marks are kept in the browser, and can be saved as JSON or as a list of names. Only the page's own script
    may run in it, whatever the photographs are called.

    Args:
        path: the page; it appears whole or not at all.
        items: in the order of the page, worst first.
        total: how many photographs there are, of which ``items`` are the worst.
        facts: name and value of what is known of the run.

    Raises:
        UserError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "review.html"
        >>> write_review(path, [], total=0, facts=[("threshold", "0.2")])
        >>> "0 of 0 photographs" in path.read_text(encoding="utf-8")
        True
    """
    script = files("rfga").joinpath("output", "review", "page.js.jinja").read_text(encoding="utf-8")
    with ThreadPoolExecutor(cpu_count()) as threads:
        draws = (draw for item in items for draw in (item.photograph, item.heated))
        drawn = deque(threads.submit(_data_uri, draw) for draw in draws)
        write_template(
            path,
            "review/page.html.jinja",
            items=items,
            total=total,
            facts=facts,
            classes=sorted({item.class_name for item in items}),
            warnings=sorted({warning for item in items for warning in item.prediction.warnings}),
            key=_key(items),
            script=Markup(script),
            script_hash=Markup(_digest(script.encode())),
            picture=lambda _: drawn.popleft().result(),  # in the order in which the page asks for them
        )


def _data_uri(draw: Draw) -> Markup | None:
    drawn = draw()
    return None if drawn is None else Markup(jpeg_data_uri(drawn, _QUALITY, THUMBNAIL_PIXELS))


def _key(items: Sequence[ReviewItem]) -> str:
    """A name for the marks of these very boxes."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(item.prediction.image_id.encode(errors="surrogateescape"))
        digest.update(item.prediction.boxes.tobytes())
    return digest.hexdigest()[:16]


def _digest(script: bytes) -> str:
    return base64.b64encode(hashlib.sha256(script).digest()).decode("ascii")
