"""The boxes among the results of a Label Studio annotation."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from rfga.data.truth.marked import Marked
from rfga.data.truth.remarks import Remarks
from rfga.types import UserError

MOST_DEGREES = 1.0
"""A box turned by at most so much away from a right angle was turned by accident, and is taken as upright."""

_SIDES = ("x", "y", "width", "height")
_OTHER_SHAPES = ("polygon", "brush", "ellipse", "keypoint", "bitmask", "vector", "rectangle")
_OTHERS = "expected rectangles with a label, found {count} other regions (first: {first}): left out"
_SLANTED = "expected upright boxes, found {count} turned by up to a degree (first: {first}): taken as upright"


def add_box(item: dict[str, Any], where: str, image: Marked, remarks: Remarks) -> None:
    """Put the box of a result to those of its photograph; say what is left out.

    Args:
        item: the result.
        where: the task.
        image: what is marked in the photograph.
        remarks: where it is said.
    """
    kind, value = item.get("type"), item.get("value")
    rectangle = isinstance(value, dict) and all(side in value for side in _SIDES)
    if kind == "rectanglelabels" or (kind == "labels" and rectangle):
        try:
            _add(item, kind, where, image, remarks)
        except UserError as error:
            remarks.fault(str(error))
    elif str(kind).startswith(_OTHER_SHAPES):
        remarks.count("truth_left_out", _OTHERS, f"{kind!s:.40} in {where}")


def _add(item: dict[str, Any], kind: str, where: str, image: Marked, remarks: Remarks) -> None:
    value, size_hw = item.get("value"), _size(item)
    if not isinstance(value, dict):
        raise UserError(f"expected a 'value' in every result, found none in {where}: export it anew")
    if item.get("image_rotation"):
        raise UserError(
            f"expected boxes on the photograph as it is, found one on it turned by "
            f"{item['image_rotation']!s:.20} degrees in {where}: turn it back and draw it anew"
        )
    if size_hw is not None and image.size_hw not in (None, size_hw):
        raise UserError(f"expected one size of an image, found two in {where}: export it anew")
    labels = value.get(kind)
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise UserError(f"expected a label for every box, found {labels!r:.60} in {where}: choose one")
    edges = _edges(value, size_hw, where, remarks)
    image.boxes += [(label, list(edges)) for label in labels]
    image.size_hw = size_hw or image.size_hw


def _size(item: dict[str, Any]) -> tuple[float, float] | None:
    height, width = (item.get(key) for key in ("original_height", "original_width"))
    if _is_number(height) and _is_number(width) and height > 0 and width > 0:
        return height, width
    return None


def _edges(
    value: dict[str, Any], size_hw: tuple[float, float] | None, where: str, remarks: Remarks
) -> list[float]:
    """Edges x0, y0, x1, y1 as fractions of the photograph."""
    sides = [value.get(side) for side in _SIDES]
    if not all(_is_number(side) for side in sides):
        raise UserError(
            f"expected x, y, width, height in percent, found {sides!s:.80} in {where}: correct them"
        )
    x, y, width, height = (side / 100 for side in sides if side is not None)
    if not (width > 0 and height > 0):
        raise UserError(f"expected positive width and height, found {sides!s:.80} in {where}: correct them")
    angle = value.get("rotation") or 0
    quarters = round(angle / 90) if _is_number(angle) and abs(angle) <= 360 else 0
    if not _is_number(angle) or abs(angle - 90 * quarters) > MOST_DEGREES:
        raise UserError(
            f"expected upright boxes, found one turned by {angle!s:.20} degrees in {where}: draw it upright"
        )
    if angle != 90 * quarters:
        remarks.count("truth_claims", _SLANTED, f"{angle:g} degrees in {where}")
    if quarters % 2 and size_hw is None:
        raise UserError(
            f"expected original_width and original_height of a box turned by {angle:g} degrees, found none "
            f"in {where}: draw it upright"
        )
    # Clockwise around the corner x, y; a fraction of the width is another one of the height.
    ratio = 1.0 if size_hw is None else size_hw[0] / size_hw[1]  # height over width
    across, down = height * ratio, width / ratio
    return {
        0: [x, y, x + width, y + height],
        1: [x - across, y, x, y + down],
        2: [x - width, y - height, x, y],
        3: [x, y - down, x + across, y],
    }[quarters % 4]


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
