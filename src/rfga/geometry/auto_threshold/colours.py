"""A threshold without any box: where the map's mask agrees best with one that the colours draw (GrabCut).

Source of GrabCut: Rother, Kolmogorov and Blake (ACM SIGGRAPH 2004), as OpenCV has it. The map only says which
pixels it begins with, by their rank, so that all normalisations that keep the order begin alike.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rfga.geometry.auto_threshold.values import THRESHOLDS, Pool
from rfga.geometry.levelsets import quantise, threshold_levels
from rfga.geometry.refine import cut_by_colours
from rfga.types import ByteArray, FloatArray, UserError

MOST_PHOTOGRAPHS = 50  # a tenth of a second each
SIDE_PIXELS = 112  # of the square that photographs and maps are shrunk to
SURE_OBJECT, SURE_BACKGROUND = 0.1, 0.2  # shares of the pixels, highest and lowest values
_LEAST_RANGE = 1e-6  # of values: resizing leaves noise where they are all equal
_ROUNDS = 3  # how often colours and mask are fitted to each other


def agreement_with_colours(pool: Pool) -> FloatArray:
    """The map's mask overlaps GrabCut's mask: mean IoU over up to 50 photographs.

    Raises:
        UserError: the pool has no photographs.

    Example:
        >>> from rfga.geometry.auto_threshold.values import best_threshold
        >>> photograph = np.full((40, 60, 3), (20, 90, 30), np.uint8)
        >>> photograph[10:30, 15:45] = (200, 40, 40)
        >>> rows, columns = np.mgrid[:40, :60]
        >>> blob = np.exp(-(((rows - 19.5) / 14) ** 2 + ((columns - 29.5) / 21) ** 2))
        >>> 0.3 < best_threshold(agreement_with_colours(Pool(blob[None], [photograph]))) < 0.6
        True
    """
    if pool.photographs is None:
        raise UserError("expected photographs beside the score maps, found none: choose another estimator")
    every = -(-len(pool.usable) // MOST_PHOTOGRAPHS) or 1
    curves = [
        curve
        for index in pool.usable[::every]
        if (curve := _overlaps(pool.photographs[index], pool.maps[index])) is not None
    ]
    return np.mean(curves, axis=0) if curves else np.full(len(THRESHOLDS), -np.inf)


def _overlaps(photograph: ByteArray, score_map: FloatArray) -> FloatArray | None:
    """IoU of the map's mask at each threshold with the mask of the colours; None where there is none."""
    square = (SIDE_PIXELS, SIDE_PIXELS)
    small = cv2.resize(np.ascontiguousarray(photograph), square, interpolation=cv2.INTER_AREA)
    values = np.asarray(cv2.resize(score_map, square, interpolation=cv2.INTER_AREA), dtype=np.float64)
    grey = quantise(np.clip(values, 0, 1))
    mask = _mask_of_colours(np.asarray(small, dtype=np.uint8), values)
    if mask is None or not grey.any():
        return None
    # One pixel more at the end, for levels above which there is nothing.
    above = [
        np.append(np.bincount(grey[part], minlength=256)[::-1].cumsum()[::-1], 0) for part in (mask, ~mask)
    ]
    levels = threshold_levels(THRESHOLDS, int(grey.max())) + 1
    iou: FloatArray = above[0][levels] / (np.count_nonzero(mask) + above[1][levels])
    return iou


def _mask_of_colours(small: ByteArray, values: FloatArray) -> NDArray[np.bool_] | None:
    low, high = np.quantile(values, [SURE_BACKGROUND, 1 - SURE_OBJECT])
    if high - low < _LEAST_RANGE:
        return None
    probable = np.where(values > (low + high) / 2, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels: ByteArray = probable.astype(np.uint8)
    labels[values >= high], labels[values <= low] = cv2.GC_FGD, cv2.GC_BGD
    return cut_by_colours(small, labels, _ROUNDS)
