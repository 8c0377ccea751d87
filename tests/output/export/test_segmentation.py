"""Masks as runs and polygons: what pycocotools makes of them is the mask, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from rfga.output.export.segmentation import in_box, polygons, rle
from rfga.types import ByteArray


def decoded(shapes: list[list[float]], size_hw: tuple[int, int]) -> ByteArray:
    found: ByteArray = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(shapes, *size_hw)))
    return found


def test_random_masks_come_back(rng: np.random.Generator) -> None:
    for number in range(400):
        pixels = rng.random(rng.integers(1, 14, 2)) < rng.random()
        if number % 2:
            pixels = np.kron(pixels, np.ones(rng.integers(1, 5, 2))).astype(bool)
        encoded = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        assert rle(pixels)["counts"] == encoded["counts"].decode()
        np.testing.assert_array_equal(coco_mask.decode(rle(pixels)), pixels)
        if pixels.any():
            size_hw = (pixels.shape[0], pixels.shape[1])
            np.testing.assert_array_equal(decoded(polygons(pixels), size_hw), pixels)
        else:
            assert polygons(pixels) == []


def test_long_runs_in_a_large_mask(rng: np.random.Generator) -> None:
    pixels = np.zeros((700, 1100), bool)
    pixels[30:650, 40:1080] = True
    pixels[100:500, 200:300] = False  # a hole
    pixels[200:220, 220:240] = True  # and an island in it
    encoded = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    assert rle(pixels)["counts"] == encoded["counts"].decode()
    shapes = polygons(pixels)
    np.testing.assert_array_equal(decoded(shapes, (700, 1100)), pixels)
    assert len(shapes) == 3  # two halves and the island
    assert sum(len(shape) for shape in shapes) < 60


@pytest.mark.parametrize(
    ("drawn", "expected"), [(["#.", ".#"], 2), (["##", ".#"], 1), (["###", "#.#", "###"], 2)]
)
def test_parts_touching_at_corners_are_apart_and_holes_are_cut(drawn: list[str], expected: int) -> None:
    pixels = np.array([[letter == "#" for letter in line] for line in drawn])
    shapes = polygons(pixels)
    assert len(shapes) == expected
    for shape in shapes:
        corners = np.array(shape).reshape(-1, 2)
        steps = np.roll(corners, -1, axis=0) - corners
        assert (np.count_nonzero(steps, axis=1) == 1).all()  # along rows and columns alone
        x, y = corners.T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        assert area >= 1


def test_pixels_in_a_box_are_those_whose_middle_is_inside() -> None:
    mask = np.full((6, 8), 255, np.uint8)
    mask[0] = 0
    inside = in_box(mask, np.array([1.5, 0.0, 4.49, 2.51]))
    expected = np.zeros((6, 8), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(inside, expected)
    assert in_box(mask, np.array([-1e-9, 0.0, 8.0 + 1e-9, 6.0])).sum() == 40
