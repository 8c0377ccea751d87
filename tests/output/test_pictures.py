from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.output.pictures import (
    OUTLINE_RGB,
    PREDICTION_RGB,
    TRUTH_RGB,
    fit,
    jpeg_data_uri,
    overlay,
    picture_grid,
    write_picture,
)
from rfga.types import Truth, UserError
from tests.output.made_up import colour_edges, mask, photograph, score_map

NO_BOXES = np.zeros((0, 4))


def grey(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), 128, np.uint8)


@pytest.mark.parametrize("size_hw", [(20, 30), (30, 20), (300, 500), (1500, 1000)])
def test_box_line_lies_on_the_outermost_pixels_of_the_box(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    box = np.array([0.2 * width, 0.4 * height, 0.7 * width, 0.9 * height])
    picture = overlay(grey(height, width), None, box[None])
    assert colour_edges(picture, PREDICTION_RGB) == tuple(int(edge) for edge in box)
    x0, y0, x1, y1 = box.astype(int)
    assert tuple(picture[y0 - 1, (x0 + x1) // 2]) == OUTLINE_RGB  # a dark rim outside ...
    assert (picture[(y0 + y1) // 2, (x0 + x1) // 2] == 128).all()  # ... and the inside left free


def test_axes_are_not_swapped() -> None:
    picture = overlay(grey(40, 100), None, np.array([[60.0, 5.0, 95.0, 15.0]]))
    assert colour_edges(picture, PREDICTION_RGB) == (60, 5, 95, 15)


def test_edges_are_rounded_to_the_nearest_pixel_border() -> None:
    picture = overlay(grey(40, 60), None, np.array([[10.4, 5.6, 29.6, 25.4]]))
    assert colour_edges(picture, PREDICTION_RGB) == (10, 6, 30, 25)


def test_box_of_the_whole_photograph_is_seen_at_its_border() -> None:
    picture = overlay(grey(20, 30), None, np.array([[0.0, 0.0, 30.0, 20.0]]))
    assert colour_edges(picture, PREDICTION_RGB) == (0, 0, 30, 20)


def test_thin_box_is_drawn_and_an_empty_one_is_not() -> None:
    boxes = np.array([[10.0, 5.0, 10.3, 15.0], [0.0, 0.0, 0.0, 0.0]])
    assert colour_edges(overlay(grey(20, 30), None, boxes), PREDICTION_RGB) == (10, 5, 11, 15)
    assert (overlay(grey(20, 30), None, boxes[1:]) == 128).all()


def test_true_boxes_are_dashed_and_a_prediction_below_is_still_seen() -> None:
    box = np.array([[20.0, 10.0, 120.0, 70.0]])
    picture = overlay(grey(90, 160), None, box, Truth((90, 160), boxes=box))
    top = picture[10, 20:120]
    green, magenta = (top == TRUTH_RGB).all(axis=1), (top == PREDICTION_RGB).all(axis=1)
    assert colour_edges(picture, TRUTH_RGB) == (20, 10, 120, 70)
    assert 0.3 < green.mean() < 0.7
    assert magenta.mean() > 0.2
    assert len(np.flatnonzero(np.diff(green.astype(int)) == 1)) > 5


def test_true_mask_is_outlined_where_it_ends() -> None:
    size_hw, box = (80, 120), np.array([30.0, 20.0, 90.0, 60.0])
    picture = overlay(grey(*size_hw), None, NO_BOXES, Truth(size_hw, mask=mask(size_hw, box)))
    edges = colour_edges(picture, TRUTH_RGB)
    assert np.abs(np.array(edges) - box).max() <= 1
    assert (picture[40, 60] == 128).all()


def test_heat_leaves_cold_pixels_as_they_are_and_the_photograph_visible() -> None:
    box = np.array([100.0, 60.0, 160.0, 100.0])
    photo = photograph((120, 200), box)
    heat = score_map((120, 200), box, spread=0.15)
    picture = overlay(photo, heat, NO_BOXES)
    assert (picture[:20, :30] == photo[:20, :30]).all()
    change = np.abs(picture.astype(int) - photo).sum(axis=2)
    assert np.unravel_index(change.argmax(), change.shape)[1] > 80  # at the object, right of the middle
    striped = photo.copy()
    striped[80, 130] ^= 255  # what is in the photograph shows through even the hottest place
    assert (overlay(striped, heat, NO_BOXES)[80, 130] != picture[80, 130]).any()


def test_map_of_another_aspect_covers_the_photograph_the_right_way_round() -> None:
    raw = np.zeros((7, 14))
    raw[0, 13] = 1.0  # top right
    changed = (overlay(grey(300, 100), raw, NO_BOXES) != 128).any(axis=2)
    assert changed[:40, 95:].any()
    assert not changed[150:].any()
    assert not changed[:, :50].any()


def test_nan_in_a_map_is_cold() -> None:
    assert (overlay(grey(20, 30), np.full((7, 7), np.nan), NO_BOXES) == 128).all()


def test_max_side_scales_boxes_and_truth_with_the_picture() -> None:
    box = np.array([[200.0, 400.0, 600.0, 1000.0]])
    picture = overlay(grey(1200, 800), None, box, Truth((1200, 800), boxes=box * 0.5), max_side=300)
    assert picture.shape == (300, 200, 3)
    assert colour_edges(picture, PREDICTION_RGB) == (50, 100, 150, 250)
    assert colour_edges(picture, TRUTH_RGB) == (25, 50, 75, 125)


def test_photograph_given_is_never_changed() -> None:
    photo = grey(20, 30)
    overlay(photo, np.ones((7, 7)), np.array([[1.0, 2.0, 9.0, 9.0]]))
    fit(photo)[:] = 0
    assert (photo == 128).all()


@pytest.mark.parametrize(
    ("image", "boxes", "truth"),
    [
        (np.zeros((20, 30, 3)), NO_BOXES, None),
        (np.zeros((20, 30), np.uint8), NO_BOXES, None),
        (grey(20, 30), np.zeros(4), None),
        (grey(20, 30), np.array([[0.0, 0.0, np.nan, 5.0]]), None),
        (grey(20, 30), NO_BOXES, Truth((30, 20), boxes=np.array([[0.0, 0.0, 5.0, 5.0]]))),
    ],
)
def test_wrong_shapes_are_refused(image: object, boxes: object, truth: Truth | None) -> None:
    assert isinstance(image, np.ndarray)
    assert isinstance(boxes, np.ndarray)
    with pytest.raises(ValueError, match="expected"):
        overlay(image, None, boxes, truth)


def test_data_uri_holds_the_picture() -> None:
    uri = jpeg_data_uri(grey(300, 600), max_side=200)
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (200, 100)


@pytest.mark.parametrize("name", ["a.jpg", "b.JPEG", "c.png"])
def test_picture_is_written_as_its_name_says(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "new" / name, grey(20, 30))
    with Image.open(tmp_path / "new" / name) as image:
        assert image.size == (30, 20)
        assert image.format == ("PNG" if name.endswith("png") else "JPEG")


def test_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.gif"):
        write_picture(tmp_path / "a.gif", grey(20, 30))
    assert not list(tmp_path.iterdir())


def test_grid_keeps_each_picture_whole_in_its_square() -> None:
    sizes_hw = ((20, 30), (31, 9), (30, 30), (5, 6), (12, 30))
    pictures = [np.full((*size_hw, 3), 50 * n + 40, np.uint8) for n, size_hw in enumerate(sizes_hw)]
    grid = picture_grid(pictures, columns=3)
    assert grid.shape == (62, 93, 3)
    for n, (height, width) in enumerate(sizes_hw):
        square = grid[n // 3 * 31 :][:31, n % 3 * 31 :][:, :31]
        rows, columns = np.nonzero((square == 50 * n + 40).all(-1))
        assert (int(np.ptp(rows)), int(np.ptp(columns)), len(rows)) == (height - 1, width - 1, height * width)
    assert (grid[31:, 62:] == OUTLINE_RGB).all()  # the place of a sixth
    assert picture_grid(pictures[:1]).shape == (30, 30, 3)
