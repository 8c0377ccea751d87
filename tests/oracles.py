"""Definitions of evaluation.md written out one threshold at a time, slow and plain, to test against."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = list[list[int]]


def boxes_at(score_map: NDArray[np.floating], threshold: float, rule: str) -> Boxes:
    """The benchmark's boxes of a map in [0, 1] at one threshold."""
    grey = (score_map.astype(np.float64) * 255).astype(np.uint8)
    _, above = cv2.threshold(grey, int(threshold * grey.max()), 255, cv2.THRESH_BINARY)
    contours = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    if len(contours) == 0:
        return [[0, 0, 0, 0]]
    if rule == "largest":
        contours = [max(contours, key=cv2.contourArea)]
    height, width = grey.shape
    rectangles = [cv2.boundingRect(contour) for contour in contours]
    return [[x, y, min(x + w, width - 1), min(y + h, height - 1)] for x, y, w, h in rectangles]


def pixel_set_iou(box_a: list[int], box_b: list[int]) -> float:
    """IoU of two inclusive boxes by counting the pixels they cover."""

    def pixels(box: list[int]) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)}

    a, b = pixels(box_a), pixels(box_b)
    return len(a & b) / len(a | b)


def correct_at(
    score_map: NDArray[np.floating], truth: Boxes, threshold: float, iou_threshold: float, rule: str
) -> bool:
    """Whether any box at the threshold overlaps any truth box (inclusive, at the map's size) enough."""
    found = boxes_at(score_map, threshold, rule)
    return max(formula_iou(a, b) for a in found for b in truth) >= iou_threshold


def formula_iou(box_a: list[int], box_b: list[int]) -> float:
    """IoU of two inclusive boxes by the formula."""
    width = min(box_a[2], box_b[2]) - max(box_a[0], box_b[0]) + 1
    height = min(box_a[3], box_b[3]) - max(box_a[1], box_b[1]) + 1
    overlap = max(width, 0) * max(height, 0)
    area_a = (box_a[2] - box_a[0] + 1) * (box_a[3] - box_a[1] + 1)
    area_b = (box_b[2] - box_b[0] + 1) * (box_b[3] - box_b[1] + 1)
    return overlap / (area_a + area_b - overlap)


def pixel_ap(score_maps: NDArray[np.floating], masks: NDArray[np.uint8], step: float) -> float:
    """PxAP of maps and masks (N, h, w) of the same size; 255 object, 0 background, else ignored."""
    edges = [*np.arange(0, 1, step), 1.0, 2.0, 3.0]
    foreground = np.histogram(score_maps[masks == 255], bins=edges)[0]
    background = np.histogram(score_maps[masks == 0], bins=edges)[0]
    total, true, false, area, last_recall = foreground.sum(), 0, 0, 0.0, None
    for fg, bg in zip(foreground[::-1], background[::-1], strict=True):
        true, false = true + int(fg), false + int(bg)
        recall = true / total
        if last_recall is not None and true + false:
            area += true / (true + false) * (recall - last_recall)
        last_recall = recall
    return area
