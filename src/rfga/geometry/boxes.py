"""The box convention: float edges (x0, y0, x1, y1), x1 and y1 exclusive, so that width = x1 - x0.

Everything outside ``metrics/box_accuracy.py`` (the benchmark's own integers) and the pixel extents that
``levelsets.component_boxes`` finds speaks of boxes in this way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rfga.types import FloatArray


def _as_boxes(boxes: ArrayLike) -> FloatArray:
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"expected boxes of shape (n, 4), found {array.shape}: give a row of four for each")
    return array


def iou(boxes_a: ArrayLike, boxes_b: ArrayLike) -> FloatArray:
    """Intersection over union of every pair of boxes, on continuous edges; boxes without area give 0.

    Args:
        boxes_a: (n, 4) edges in pixels.
        boxes_b: (m, 4) edges in the same pixels.

    Returns:
        (n, m) in [0, 1].

    Raises:
        ValueError: an array is not of shape (n, 4).

    Example:
        >>> iou([[0, 0, 4, 2]], [[0, 0, 2, 2], [4, 0, 6, 2]])
        array([[0.5, 0. ]])
    """
    a, b = _as_boxes(boxes_a)[:, None], _as_boxes(boxes_b)[None]
    overlap_wh = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    overlap = np.clip(overlap_wh, 0, None).prod(axis=-1)
    area_a = np.clip(a[..., 2:] - a[..., :2], 0, None).prod(axis=-1)
    area_b = np.clip(b[..., 2:] - b[..., :2], 0, None).prod(axis=-1)
    union = area_a + area_b - overlap
    ratio: FloatArray = overlap / np.where(union > 0, union, 1)
    return ratio


def scale_boxes(boxes: ArrayLike, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> FloatArray:
    """Boxes of an image of size ``from_hw`` in the pixels of the same image resized to ``to_hw``.

    Args:
        boxes: (n, 4) edges in pixels of the image at ``from_hw``.
        from_hw: height and width the boxes are in.
        to_hw: height and width wanted.

    Returns:
        (n, 4) edges; nothing is rounded.

    Example:
        >>> scale_boxes([[10, 5, 20, 10]], from_hw=(10, 20), to_hw=(100, 40))
        array([[ 20.,  50.,  40., 100.]])
    """
    (from_h, from_w), (to_h, to_w) = from_hw, to_hw
    return _as_boxes(boxes) * (to_w, to_h, to_w, to_h) / (from_w, from_h, from_w, from_h)


def boxes_from_pixels(extents: ArrayLike, map_hw: tuple[int, int], to_hw: tuple[int, int]) -> FloatArray:
    """Edges, in an image of size ``to_hw``, of boxes that cover whole pixels of a map.

    Args:
        extents: (n, 4) first and last pixel (xmin, ymin, xmax, ymax), both inclusive, of a map of ``map_hw``.
        map_hw: height and width of the map.
        to_hw: height and width of the image, usually the original photograph.

    Returns:
        (n, 4) edges: x0 = xmin * W / w and x1 = (xmax + 1) * W / w.

    Example:
        >>> boxes_from_pixels([[0, 1, 1, 1]], map_hw=(2, 4), to_hw=(100, 80))
        array([[  0.,  50.,  40., 100.]])
    """
    return scale_boxes(_as_boxes(extents) + np.array([0, 0, 1, 1]), map_hw, to_hw)
