"""Masks of maps, and what GrabCut makes of them on drawn pictures whose object is known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from rfga.geometry.refine import DEFAULTS, GrabCutSettings, grabcut_mask, mask_of
from rfga.types import ByteArray, FloatArray

SIZE_HW = (90, 140)
THRESHOLD = 0.3


def disc(centre_xy: tuple[int, int], radius: int, size_hw: tuple[int, int] = SIZE_HW) -> ByteArray:
    """255 inside a circle, 0 outside."""
    drawn = np.zeros(size_hw, np.uint8)
    cv2.circle(drawn, centre_xy, radius, 255, -1)
    return drawn


def painted(*objects: ByteArray) -> ByteArray:
    """Reddish objects on a greenish ground, both with noise."""
    rng = np.random.default_rng(1)
    on = np.max(objects, axis=0)[..., None] > 0
    picture = np.where(on, (190, 60, 50), (60, 130, 70)) + rng.normal(0, 12, (*objects[0].shape, 3))
    return picture.clip(0, 255).astype(np.uint8)


def bump(centre: tuple[float, float], size: int = 28, sigma: float = 0.16) -> FloatArray:
    """A Gaussian whose middle lies at fractions x, y of the sides."""
    along = (np.arange(size) + 0.5) / size
    x, y = np.exp(-((along - centre[0]) ** 2) / (2 * sigma**2)), np.exp(-((along - centre[1]) ** 2) / 0.0512)
    found: FloatArray = y[:, None] * x[None]
    return found


def overlap(found: ByteArray, truth: ByteArray) -> float:
    return float(((found > 0) & (truth > 0)).sum() / ((found > 0) | (truth > 0)).sum())


def kinds(mask: ByteArray) -> set[int]:
    return set(np.unique(mask).tolist())


def test_the_border_moves_to_where_the_colours_part() -> None:
    truth = disc((50, 50), 28)
    score_map = bump((0.42, 0.5))  # beside the object's middle, and of another shape
    before, after = mask_of(score_map, THRESHOLD, SIZE_HW), grabcut_mask(painted(truth), score_map, THRESHOLD)
    assert after.shape == SIZE_HW
    assert after.dtype == np.uint8
    assert kinds(after) == {0, 255}
    assert overlap(before, truth) < 0.85
    assert overlap(after, truth) > 0.98


def test_what_looks_the_same_far_from_the_box_is_left_out() -> None:
    near, far = disc((35, 45), 20), disc((120, 45), 15)
    found = grabcut_mask(painted(near, far), bump((0.25, 0.5)), THRESHOLD)
    assert overlap(found, near) > 0.95
    assert not found[far > 0].any()


def test_a_large_photograph_is_worked_on_in_small_and_answered_in_full() -> None:
    truth = disc((520, 480), 270, (900, 1400))
    score_map = bump((0.37, 0.53))
    settings = GrabCutSettings(side_pixels=120)
    found = grabcut_mask(painted(truth), score_map, THRESHOLD, settings)
    assert found.shape == (900, 1400)
    assert kinds(found) == {0, 255}
    assert overlap(found, truth) > 0.95


def test_the_same_every_time_whatever_was_drawn_before(rng: np.random.Generator) -> None:
    score_map = bump((0.5, 0.5))
    for seed in (3, 12_345, 2**30 + 7, 987_654_321):
        # Patches of all colours: which clusters are drawn first decides where the border ends up.
        patches = rng.integers(0, 256, (9, 14, 3)).astype(np.uint8)
        blurred = cv2.resize(patches, SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC)
        photograph = np.asarray(blurred, dtype=np.uint8)
        cv2.setRNGSeed(1)
        first = grabcut_mask(photograph, score_map, THRESHOLD)
        cv2.setRNGSeed(seed)
        assert (grabcut_mask(photograph, score_map, THRESHOLD) == first).all()
        with ThreadPoolExecutor(1) as other:
            assert (other.submit(grabcut_mask, photograph, score_map, THRESHOLD).result() == first).all()
        assert kinds(first) == {0, 255}


COLOURFUL = painted(disc((50, 50), 28))
GREY = np.repeat(COLOURFUL[..., :1], 3, axis=2)


@pytest.mark.parametrize(
    ("photograph", "score_map"),
    [
        (COLOURFUL, np.zeros((8, 8))),
        (COLOURFUL, np.ones((8, 8))),
        (COLOURFUL, np.full((8, 8), 0.7)),
        (GREY, bump((0.5, 0.5))),
        (np.full((*SIZE_HW, 3), (9, 80, 200), np.uint8), bump((0.5, 0.5))),
        (np.array([[[9, 80, 200]]], np.uint8), bump((0.5, 0.5))),
        (COLOURFUL[:1, :1], np.ones((1, 1))),
    ],
    ids=["empty", "full", "full below one", "grey", "one colour", "one pixel", "one pixel of map"],
)
def test_without_anything_to_go_by_it_is_the_mask_of_the_map(
    photograph: ByteArray, score_map: FloatArray
) -> None:
    found = grabcut_mask(photograph, score_map, THRESHOLD)
    size_hw = (photograph.shape[0], photograph.shape[1])
    np.testing.assert_array_equal(found, mask_of(score_map, THRESHOLD, size_hw))


def test_where_the_smaller_picture_has_no_background_it_is_the_mask_of_the_map() -> None:
    score_map = np.full((8, 8), 0.9)
    score_map[0, 0], score_map[7, 7] = 0.0, 1.0
    settings = GrabCutSettings(side_pixels=1)
    found = grabcut_mask(COLOURFUL[:16, :24], score_map, 0.05, settings)
    np.testing.assert_array_equal(found, mask_of(score_map, 0.05, (16, 24)))
    assert kinds(found) == {0, 255}


@pytest.mark.parametrize("size_hw", [(1, 300), (300, 1), (1, 2), (2, 2), (3, 1000), (700, 5), (7, 9)])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.95])
def test_any_size_and_shape(size_hw: tuple[int, int], threshold: float, rng: np.random.Generator) -> None:
    photograph = rng.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    found = grabcut_mask(photograph, bump((0.4, 0.6)), threshold)
    assert found.shape == size_hw
    assert found.dtype == np.uint8
    assert kinds(found) <= {0, 255}


def test_an_object_is_never_lost_whole(rng: np.random.Generator) -> None:
    for _ in range(20):
        photograph = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
        score_map = rng.random((4, 6)) ** 8
        assert mask_of(score_map, 0.9, (20, 30)).any()
        assert grabcut_mask(photograph, score_map, 0.9).any()


@pytest.mark.parametrize(
    "photograph",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((4, 5, 3), np.float64),
    ],
)
def test_what_is_no_photograph_is_refused(photograph: ByteArray) -> None:
    with pytest.raises(ValueError, match=r"expected a photograph \(H, W, 3\) of uint8, found"):
        grabcut_mask(photograph, bump((0.5, 0.5)), THRESHOLD)


def test_the_photograph_and_the_map_stay_as_they_are() -> None:
    photograph, score_map = COLOURFUL.copy(), bump((0.4, 0.5))
    kept = score_map.copy()
    grabcut_mask(photograph, score_map, THRESHOLD, DEFAULTS)
    assert (photograph == COLOURFUL).all()
    assert (score_map == kept).all()
