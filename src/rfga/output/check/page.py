"""The page of a data check: counts of all that was found, and pictures of what looks wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from rfga.output.page import write_template
from rfga.output.pictures import fit, jpeg_data_uri, overlay
from rfga.types import MASK_BACKGROUND, MASK_OBJECT, ByteArray, FloatArray, Truth

_PICTURE_PIXELS = 300  # longer side of a photograph: small in a page of hundreds
_MARGIN = 1.0  # of a side, that is shown around a photograph at most, where boxes lie outside
_MARGIN_GREY = 150


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A photograph of the page."""

    name: str
    draw: Callable[[], ByteArray | None]  # (H, W, 3) uint8; None where it cannot be read; called once


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One finding."""

    file: str
    sentence: str
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """All findings of one kind."""

    severity: str  # error, warning or note
    title: str
    count: int  # of all, of which ``items`` are the first
    items: Sequence[Item]


def write_check_page(
    path: Path, title: str, verdict: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]
) -> None:
    """Write one self-contained HTML page.

    Args:
        path: the page; it appears whole or not at all.
        title: of the page.
        verdict: a sentence.
        facts: name and value of what is known of the data set.
        sections: the worst first.

    Raises:
        UserError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> page = Path(tempfile.mkdtemp()) / "check.html"
        >>> write_check_page(page, "Check of <birds>", "nothing is wrong", [("photographs", "6")], [])
        >>> "<h1>Check of &lt;birds&gt;</h1>" in page.read_text(encoding="utf-8")
        True
    """
    write_template(
        path,
        "check/page.html.jinja",
        title=title,
        verdict=verdict,
        facts=facts,
        sections=sections,
        picture=_data_uri,
    )


def marked(
    image_rgb: ByteArray,
    boxes: FloatArray | None = None,
    meant: FloatArray | None = None,
    mask: ByteArray | None = None,
) -> ByteArray:
    """A photograph with boxes as they were read (solid) and as they were meant (dashed), or a mask's outline.

    Where boxes lie outside, a grey margin of up to the photograph's own side shows them. Inverted boxes are
    drawn between the same corners, those without area a pixel wide.

    Args:
        image_rgb: (H, W, 3) uint8.
        boxes: (n, 4) edges in pixels of ``image_rgb``, finite.
        meant: (n, 4) edges likewise.
        mask: (h, w) of any size, which is stretched over the photograph.

    Returns:
        uint8, (H, W, 3) or smaller without a margin.

    Example:
        >>> grey = np.full((20, 30, 3), 90, np.uint8)
        >>> marked(grey).shape, marked(grey, boxes=np.array([[10.0, 5, 36, 15]])).shape
        ((20, 30, 3), (20, 36, 3))
    """
    picture = fit(image_rgb, _PICTURE_PIXELS)
    (height, width), (full_height, full_width) = picture.shape[:2], image_rgb.shape[:2]
    scale = np.array([width / full_width, height / full_height] * 2)
    solid, dashed = (_drawable(edges, scale) for edges in (boxes, meant))
    if mask is not None:
        stretched = cv2.resize(_objects(mask), (width, height), interpolation=cv2.INTER_NEAREST)
        truth = Truth((height, width), mask=np.asarray(stretched, dtype=np.uint8))
        return overlay(picture, None, solid, truth)
    every = np.concatenate([solid, dashed, [[0, 0, width, height]]])
    most = _MARGIN * np.array([width, height])
    low = np.ceil(np.minimum(-every[:, :2].min(axis=0), most)).astype(int)
    high = np.ceil(np.minimum(every[:, 2:].max(axis=0) - (width, height), most)).astype(int)
    around = ((low[1], high[1]), (low[0], high[0]), (0, 0))
    canvas = np.pad(picture, around, constant_values=_MARGIN_GREY)
    shift = np.tile(low, 2)
    shown = Truth(canvas.shape[:2], boxes=dashed + shift) if len(dashed) else None
    return overlay(canvas, None, solid + shift, shown)


def _drawable(edges: FloatArray | None, scale: FloatArray) -> FloatArray:
    """Boxes in pixels of the picture, none inverted, none without area."""
    if edges is None:
        return np.zeros((0, 4))
    scaled = edges * scale
    low, high = np.minimum(scaled[:, :2], scaled[:, 2:]), np.maximum(scaled[:, :2], scaled[:, 2:])
    return np.concatenate([low, np.maximum(high, low + 1)], axis=1)


def _objects(mask: ByteArray) -> ByteArray:
    """255 where a mask, of whatever values, probably means the object."""
    inside = mask == MASK_OBJECT if (mask == MASK_OBJECT).any() else mask > MASK_BACKGROUND
    return np.where(inside, MASK_OBJECT, MASK_BACKGROUND).astype(np.uint8)


def _data_uri(picture: Picture) -> Markup | None:
    drawn = picture.draw()
    return None if drawn is None else Markup(jpeg_data_uri(drawn, quality=80))
