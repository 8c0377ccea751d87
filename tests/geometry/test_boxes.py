"""The box convention: edges, exclusive at the far side."""

from __future__ import annotations

import numpy as np
import pytest

from rfga.geometry.boxes import boxes_from_pixels, iou, scale_boxes


def test_iou_of_boxes_drawn_by_hand() -> None:
    # a: 4 wide, 2 high; b: its right half and as much again; c: only touches a; d: no area
    a, b, c, d = [0, 0, 4, 2], [2, 0, 6, 2], [4, 0, 6, 2], [1, 1, 1, 2]
    assert iou([a], [a, b, c, d])[0].tolist() == [1.0, 4 / 12, 0.0, 0.0]
    assert iou([d], [d]).tolist() == [[0.0]]


def test_iou_axes_are_x_then_y() -> None:
    assert iou([[0, 0, 10, 1]], [[0, 0, 1, 10]])[0, 0] == pytest.approx(1 / 19)


def test_iou_is_symmetric_and_ignores_scale(rng: np.random.Generator) -> None:
    low = rng.uniform(0, 50, (7, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 50, (7, 2))], axis=1)
    assert np.array_equal(iou(boxes, boxes[:3]), iou(boxes[:3], boxes).T)
    stretched = scale_boxes(boxes, (100, 100), (30, 700))
    assert np.allclose(iou(stretched, stretched), iou(boxes, boxes))


def test_no_boxes_give_no_rows() -> None:
    assert iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert scale_boxes(np.zeros((0, 4)), (2, 3), (4, 5)).shape == (0, 4)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        iou([1, 2, 3, 4], [[0, 0, 1, 1]])


def test_scaling_there_and_back_on_a_non_square_image() -> None:
    boxes = np.array([[3.0, 7.0, 111.0, 59.5]])
    there = scale_boxes(boxes, (60, 120), (224, 224))
    assert there[0].tolist() == pytest.approx([5.6, 7 * 224 / 60, 207.2, 59.5 * 224 / 60])
    assert np.allclose(scale_boxes(there, (224, 224), (60, 120)), boxes)


def test_pixels_are_covered_whole() -> None:
    # the last pixel of a map 4 wide and 2 high ends where the photograph ends
    assert boxes_from_pixels([[3, 1, 3, 1]], (2, 4), (50, 400)).tolist() == [[300.0, 25.0, 400.0, 50.0]]
    assert boxes_from_pixels([[0, 0, 3, 1]], (2, 4), (50, 400)).tolist() == [[0.0, 0.0, 400.0, 50.0]]
