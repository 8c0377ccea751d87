"""The best IoU of a map's boxes with its truth, at all levels at once and without listing the boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.kernel import kernel
from rfga.geometry.levels.spans import LEVELS, level_spans
from rfga.types import FloatArray, IntArray


@kernel
def _best_of_spans(spans: NDArray[np.int32], truth_boxes: IntArray, best: FloatArray) -> None:
    """Fills ``best`` (256,) with the largest IoU of each level; boxes are inclusive."""
    best[:] = 0.0
    for k in range(len(spans)):
        x0, y0, x1, y1 = spans[k, 0], spans[k, 1], spans[k, 2], spans[k, 3]
        area = (x1 - x0 + 1) * (y1 - y0 + 1)
        iou = 0.0
        for t in range(len(truth_boxes)):
            left, top, right, bottom = truth_boxes[t]
            width = min(x1, right) - max(x0, left) + 1
            height = min(y1, bottom) - max(y0, top) + 1
            overlap = max(width, 0) * max(height, 0)
            union = area + (right - left + 1) * (bottom - top + 1) - overlap
            iou = max(iou, overlap / union)
        for level in range(spans[k, 4], spans[k, 5] + 1):
            best[level] = max(best[level], iou)


@kernel
def best_iou_at_levels(
    score_map: FloatArray, truth_boxes: IntArray, want_largest: bool | np.bool_, want_all: bool | np.bool_
) -> tuple[FloatArray, np.int64]:
    """The best inclusive IoU over a map's boxes and its truth boxes, at every level.

    Args:
        score_map: (h, w) float64 in [0, 1], C-contiguous.
        truth_boxes: (n, 4) int64, inclusive, in pixels of the map.
        want_largest: otherwise the first row has no meaning.
        want_all: otherwise the second row has no meaning.

    Returns:
        (2, 256) for the largest and the all rule, and the map's highest grey value.
    """
    largest, every, highest = level_spans(score_map, np.bool_(want_largest), np.bool_(want_all))
    best = np.zeros((2, LEVELS), dtype=np.float64)
    if want_largest:
        _best_of_spans(largest, truth_boxes, best[0])
    if want_all:
        _best_of_spans(every, truth_boxes, best[1])
    return best, highest


@kernel
def mark_correct(
    score_map: FloatArray,
    truth_boxes: IntArray,
    thresholds: FloatArray,
    iou_thresholds: FloatArray,
    hits: NDArray[np.bool_],
) -> None:
    """Fills ``hits`` (2, I, T): whether the best IoU of a rule at a threshold reaches an IoU threshold."""
    best, highest = best_iou_at_levels(score_map, truth_boxes, np.bool_(True), np.bool_(True))
    levels = (thresholds * highest).astype(np.int64)
    for rule in range(2):
        for i in range(len(iou_thresholds)):
            reached = best[rule] >= iou_thresholds[i]
            for t in range(len(levels)):
                hits[rule, i, t] = reached[levels[t]]
