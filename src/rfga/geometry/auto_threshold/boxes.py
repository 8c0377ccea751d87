"""A threshold without any box: where the map's own box changes least when the threshold moves."""

from __future__ import annotations

import numpy as np

from rfga.geometry.auto_threshold.values import THRESHOLDS, Pool
from rfga.geometry.levelsets import level_boxes
from rfga.types import FloatArray

STEPS = 10  # thresholds up and down that a box is compared with: 0.1 each way
WHOLE = 0.9  # of the map's area: a box of nearly the whole map is stable for no reason


def largest_boxes(pool: Pool) -> FloatArray:
    """The largest component's box of each usable map at each threshold, (m, 100, 4) edges in map pixels.

    Example:
        >>> largest_boxes(Pool(np.array([[[0.0, 1.0, 0.4, 0.0]]])))[0, [10, 70]].tolist()
        [[1.0, 0.0, 3.0, 0.0], [1.0, 0.0, 2.0, 0.0]]
    """
    found = np.zeros((len(pool.usable), len(THRESHOLDS), 4))
    for row, index in enumerate(pool.usable):
        boxes = level_boxes(pool.maps[index], THRESHOLDS, ("largest",))["largest"]
        found[row] = boxes.boxes[boxes.starts][boxes.of_threshold]  # this rule has one box at a level
    return found


def stable_boxes(pool: Pool) -> FloatArray:
    """The box hardly moves with the threshold: mean IoU with the boxes at thresholds 0.1 lower and higher.

    Boxes of nearly the whole map count as unstable, since every low threshold has them.

    Example:
        >>> from rfga.geometry.auto_threshold.values import best_threshold
        >>> plateau = np.zeros((1, 20, 30)); plateau[0, 5:15, 5:20] = 0.7; plateau[0, 8:10, 8:10] = 1.0
        >>> best_threshold(stable_boxes(Pool(plateau)))
        0.35
    """
    boxes = largest_boxes(pool)
    height, width = pool.maps.shape[1:]
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    scores = np.full(len(THRESHOLDS), -np.inf)
    if not len(boxes):
        return scores
    counts = areas < WHOLE * max((height - 1) * (width - 1), 1)
    inner = slice(STEPS, len(THRESHOLDS) - STEPS)
    neighbours = (slice(None, -2 * STEPS), slice(2 * STEPS, None))
    overlaps = [_iou(boxes[:, inner], boxes[:, other]) for other in neighbours]
    scores[inner] = (np.mean(overlaps, axis=0) * counts[:, inner]).mean(axis=0)
    return scores


def _iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """IoU of boxes at the same places of two arrays (..., 4): (...)."""
    overlap_wh = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    overlap = np.clip(overlap_wh, 0, None).prod(axis=-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (a, b))
    ratio: FloatArray = overlap / np.maximum(area_a + area_b - overlap, 1e-9)
    return ratio
