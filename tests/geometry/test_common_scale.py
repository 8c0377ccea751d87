from __future__ import annotations

import numpy as np
import pytest

from rfga.geometry.common_scale import CommonScale
from rfga.geometry.maps import resize_maps, score_maps

SIZE_HW = (20, 33)


def test_all_maps_share_one_scale(rng: np.random.Generator) -> None:
    raw = rng.normal(3, 2, (21, 4, 7)) * rng.uniform(0.1, 4, (21, 1, 1))
    resized = resize_maps(raw, SIZE_HW)
    low, high = resized.min(), resized.max()
    scale = CommonScale.of(raw, SIZE_HW)
    assert (scale.low, scale.high) == (low, high)
    found = scale.apply(raw, SIZE_HW)
    np.testing.assert_allclose(found, (resized - low) / (high - low), atol=1e-12)
    assert (float(found.min()), float(found.max())) == (0, 1)
    # A part of the maps is scaled as the whole is.
    np.testing.assert_array_equal(scale.apply(raw[5:9], SIZE_HW), found[5:9])


def test_single_map_equals_the_normalisation_of_that_map(rng: np.random.Generator) -> None:
    raw = rng.normal(size=(1, 5, 3))
    np.testing.assert_allclose(CommonScale.of(raw).apply(raw), score_maps(raw, "minmax"), atol=1e-12)


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_scale_without_extent_gives_zeros(value: float) -> None:
    raw = np.full((2, 3, 4), value)
    assert not CommonScale.of(raw, SIZE_HW).apply(raw, SIZE_HW).any()
    assert CommonScale.of(np.zeros((0, 3, 4))) == CommonScale(0, 0)


def test_broken_map_becomes_zeros_and_leaves_the_others_alone(rng: np.random.Generator) -> None:
    sound = rng.normal(size=(8, 3, 4))
    broken = np.concatenate([sound, np.full((3, 3, 4), np.nan)])
    scale = CommonScale.of(broken, SIZE_HW)
    assert scale == CommonScale.of(sound, SIZE_HW)
    found = scale.apply(broken, SIZE_HW)
    np.testing.assert_array_equal(found[:8], scale.apply(sound, SIZE_HW))
    assert not found[8:].any()
