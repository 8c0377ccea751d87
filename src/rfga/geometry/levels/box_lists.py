"""From spans of levels to lists: the boxes of each threshold, neighbouring levels sharing equal ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.buffers import Int32s
from rfga.geometry.kernel import Index, kernel
from rfga.geometry.levels.component_sweep import HIGH, LOW, X0, X1, Y0, Y1
from rfga.geometry.levels.spans import LEVELS, level_spans
from rfga.types import IntArray


class BoxLists(NamedTuple):
    """The boxes of some levels, group after group."""

    boxes: IntArray  # (M, 4)
    starts: IntArray  # (F,) the row where each group of boxes begins
    of_level: IntArray  # (T,) the group of each level


@kernel
def boxes_at_levels(spans: Int32s, levels: IntArray) -> BoxLists:
    """The boxes of some levels; levels next to one another with the same boxes share them.

    Args:
        spans: (k, 6) as ``level_spans`` gives them.
        levels: (T,) wanted, in any order.
    """
    stretch = np.zeros(LEVELS + 1, dtype=np.int64)  # first where boxes change, then levels of the same boxes
    for k in range(len(spans)):
        stretch[spans[k, LOW]] = stretch[spans[k, HIGH] + 1] = 1
    for level in range(1, LEVELS + 1):
        stretch[level] += stretch[level - 1]
    groups = np.zeros(LEVELS + 3, dtype=np.int64)  # first which stretches are wanted, then how many lie below
    for k in range(len(levels)):
        groups[stretch[levels[k]] + 1] = 1
    for k in range(1, len(groups)):
        groups[k] += groups[k - 1]
    group_at = np.empty(LEVELS + 1, dtype=np.int64)  # the first wanted group at or above each level
    for level in range(LEVELS + 1):
        group_at[level] = groups[stretch[level]]
    of_level = np.empty(len(levels), dtype=np.int64)
    for k in range(len(levels)):
        of_level[k] = group_at[levels[k]]
    # Shifted by one, to be moved on while boxes are written.
    begins = np.zeros(groups[-1] + 2, dtype=np.int64)
    for k in range(len(spans)):
        for group in range(group_at[spans[k, LOW]], group_at[spans[k, HIGH] + 1]):
            begins[Index(group + 2)] += 1
    for group in range(2, len(begins)):
        begins[group] += begins[group - 1]
    boxes = np.empty((begins[-1], 4), dtype=np.int64)
    for k in range(len(spans)):
        x0, y0, x1, y1 = spans[k, X0], spans[k, Y0], spans[k, X1], spans[k, Y1]
        for group in range(group_at[spans[k, LOW]], group_at[spans[k, HIGH] + 1]):
            place = Index(begins[Index(group + 1)])
            boxes[place, 0], boxes[place, 1], boxes[place, 2], boxes[place, 3] = x0, y0, x1, y1
            begins[Index(group + 1)] += 1
    return BoxLists(boxes, begins[: groups[-1]], of_level)


@kernel
def boxes_at_thresholds(
    score_map: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    want_largest: bool | np.bool_,
    want_all: bool | np.bool_,
) -> tuple[BoxLists, BoxLists]:
    """The benchmark's boxes at thresholds, for both contour rules; arguments as for ``level_spans``.

    A rule that is not wanted gets the boxes of an empty map.
    """
    largest, every, highest = level_spans(score_map, want_largest, want_all)
    levels = np.empty(len(thresholds), dtype=np.int64)
    for k in range(len(levels)):
        levels[k] = int(thresholds[k] * highest)
    return boxes_at_levels(largest, levels), boxes_at_levels(every, levels)
