"""The loops over pixels, compiled for all processes of tests: each would take 20 seconds and 300 MB for it.

Where they are compiled already, this takes a second.
"""

from __future__ import annotations

import numpy as np

from rfga.geometry.levelsets import components, level_boxes
from rfga.metrics.level_iou import best_iou_at_levels, mark_correct


def compile_all() -> None:
    """Call those that the others are called by."""
    score_map = np.linspace(0, 1, 12).reshape(3, 4)
    truth, half, hits = np.array([[0, 0, 2, 2]]), np.array([0.5]), np.zeros((2, 1, 1), dtype=np.bool_)
    level_boxes(score_map, half)
    components(score_map, half)
    best_iou_at_levels(score_map, truth, True, True)
    mark_correct(score_map, truth, half, half, hits)


if __name__ == "__main__":
    compile_all()
