"""Masks as COCO writes them: runs of pixels (RLE), and polygons along the borders of pixels.

Both stand for exactly the pixels of the mask when pycocotools reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rfga.types import ByteArray, FloatArray, IntArray

Bits = NDArray[np.bool_]

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # right, down, left, up
# Seen from a corner of pixels: where the pixel ahead on the right lies, for each direction; that on the left.
_RIGHT_OF = ((0, 0), (-1, 0), (-1, -1), (0, -1))
_LEFT_OF = ((0, -1), (0, 0), (-1, 0), (-1, -1))


def in_box(mask: ByteArray, box: FloatArray) -> Bits:
    """The pixels of a mask (H, W), not 0, whose middle lies in a box (4,) of edges; as (H, W) of bool.

    Example:
        >>> in_box(np.full((1, 4), 255, np.uint8), np.array([0.6, 0.0, 3.4, 1.0])).tolist()
        [[False, True, True, False]]
    """
    x0, y0, x1, y1 = (max(0, int(np.ceil(edge - 0.5))) for edge in box)
    inside = np.zeros(mask.shape, np.bool_)
    inside[y0:y1, x0:x1] = mask[y0:y1, x0:x1] != 0
    return inside


def rle(pixels: Bits) -> dict[str, Any]:
    """COCO's compressed runs of a mask (H, W): ``size`` and ``counts``, as ``pycocotools.mask`` takes them.

    Runs of 0 and of 1 take turns down the columns, beginning with 0. From the fourth on they are differences
    to the run before the last; each number is written in groups of five bits, lowest first, as characters
    from "0" on.

    Example:
        >>> rle(np.array([[False, True], [False, True]]))
        {'size': [2, 2], 'counts': '22'}
    """
    flat = pixels.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    begins = (
        np.concatenate([[0], changes]) if flat.size and not flat[0] else np.concatenate([[0, 0], changes])
    )
    runs = np.diff(np.append(begins, flat.size)).tolist()
    text = []
    for place, run in enumerate(runs):
        text.append(_number(run - runs[place - 2] if place > 2 else run))
    return {"size": list(pixels.shape), "counts": "".join(text)}


def polygons(pixels: Bits) -> list[list[float]]:
    """Outlines x, y, x, y, ... along the borders of the pixels of a mask (H, W), in its pixels.

    Parts that touch at corners alone are polygons of their own. COCO's polygons have no holes, so a part with
    a hole is cut through it into polygons that share a border.

    Example:
        >>> polygons(np.array([[False, True, True], [False, True, True]]))
        [[1.0, 0.0, 3.0, 0.0, 3.0, 2.0, 1.0, 2.0]]
    """
    outlines = (outline for part, corner in _parts(pixels) for outline in _outlines(part, corner))
    return [[float(edge) for edge in outline.flat] for outline in outlines]


def _number(value: int) -> str:
    letters, more = [], True
    while more:
        group, value = value & 31, value >> 5
        more = value != (-1 if group & 16 else 0)
        letters.append(chr(48 + group + (32 if more else 0)))
    return "".join(letters)


def _parts(pixels: Bits) -> Iterator[tuple[Bits, tuple[int, int]]]:
    """Each part whose pixels hang together by their sides, cropped, and the x, y of its upper left corner."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=4)
    for label, (x, y, width, height, _) in enumerate(stats.tolist()):
        if label:
            yield labels[y : y + height, x : x + width] == label, (x, y)


def _outlines(part: Bits, corner_xy: tuple[int, int]) -> Iterator[IntArray]:
    small, x_edges, y_edges = _squeezed(part)
    cut = _column_of_hole(small)
    if cut is None:
        walked = np.array(_walk(small))
        edges = np.stack([x_edges[walked[:, 0]], y_edges[walked[:, 1]]], axis=1)
        yield edges + np.array(corner_xy, np.int64)
        return
    cut = int(x_edges[cut])
    for piece, left in ((part[:, :cut], 0), (part[:, cut:], cut)):
        for inner, (x, y) in _parts(piece):
            yield from _outlines(inner, (corner_xy[0] + left + x, corner_xy[1] + y))


def _squeezed(part: Bits) -> tuple[Bits, IntArray, IntArray]:
    """One of each run of equal columns and rows, and where the runs begin and the last one ends."""
    edges = []
    for axis in (1, 0):
        differ = (np.diff(part, axis=axis)).any(axis=1 - axis)
        edges.append(np.concatenate([[0], np.flatnonzero(differ) + 1, [part.shape[axis]]]))
    x_edges, y_edges = edges
    return part[np.ix_(y_edges[:-1], x_edges[:-1])], x_edges, y_edges


def _column_of_hole(part: Bits) -> int | None:
    """A column that goes through a hole of the part; None where it has none."""
    outside = np.pad(~part, 1, constant_values=True).astype(np.uint8)
    # The ground hangs together by corners as well, since the part does not.
    count, _, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=8)
    for x, y, width, _, _ in stats[1:count].tolist():
        if x > 0 and y > 0:  # the ground around the part begins in the padding's corner
            return int(x - 1 + width // 2)
    return None


def _walk(part: Bits) -> list[tuple[int, int]]:
    """The corners (x, y) on the way around a part without holes, the part always on the right."""
    on = np.pad(part, 1).tolist()
    x, y = int(np.flatnonzero(part[0])[0]), 0
    start, way, corners = (x, y), 0, [(x, y)]
    while True:
        x, y = x + _STEPS[way][0], y + _STEPS[way][1]
        if (x, y) == start:
            return corners
        (right_x, right_y), (left_x, left_y) = _RIGHT_OF[way], _LEFT_OF[way]
        if not on[y + right_y + 1][x + right_x + 1]:
            way = (way + 1) % 4  # at a corner where pixels touch, this stays with its own one
        elif on[y + left_y + 1][x + left_x + 1]:
            way = (way - 1) % 4
        else:
            continue
        corners.append((x, y))
