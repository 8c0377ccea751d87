"""Resizing and normalisation of maps and masks."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rfga.geometry.maps import NORMALISATIONS, normalise, resize_maps, resize_mask, score_maps, spread_mask
from rfga.types import UserError


@pytest.mark.parametrize("size_hw", [(14, 14), (9, 13), (300, 260)])
def test_resizing_is_torch_bicubic_in_float64(rng: np.random.Generator, size_hw: tuple[int, int]) -> None:
    raw = rng.normal(size=(2, 3, *size_hw))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(raw), size=(224, 224), mode="bicubic", align_corners=False
    )
    assert np.array_equal(resize_maps(raw), expected.numpy())


def test_resizing_agrees_with_opencv_where_the_ratio_is_exact(rng: np.random.Generator) -> None:
    raw = rng.normal(size=(7, 14))
    assert np.abs(resize_maps(raw) - cv2.resize(raw, (224, 224), interpolation=cv2.INTER_CUBIC)).max() < 1e-14


def test_resizing_to_the_same_size_changes_nothing_and_copies(rng: np.random.Generator) -> None:
    raw = rng.normal(size=(1, 5, 8))
    same = resize_maps(raw, (5, 8))
    assert np.array_equal(same, raw)
    assert not np.shares_memory(same, raw)


def test_float16_is_computed_in_float64(rng: np.random.Generator) -> None:
    raw = rng.normal(size=(3, 6, 8)).astype(np.float16)
    assert np.array_equal(score_maps(raw), score_maps(raw.astype(np.float64)))


def test_mask_resizing_is_opencv_nearest() -> None:
    mask = np.array([[0, 255, 128], [255, 0, 0]], dtype=np.uint8)
    # INTER_NEAREST takes the source pixel floor(i * from / to): columns 0,0,1,1,2 for 3 -> 5
    assert resize_mask(mask, (2, 5)).tolist() == [[0, 0, 255, 255, 128], [255, 255, 0, 0, 0]]


def test_normalisations_of_a_map_drawn_by_hand() -> None:
    raw = np.array([[-2.0, 0.0, 2.0, 6.0]])
    assert normalise(raw, "minmax").tolist() == [[0.0, 0.25, 0.5, 1.0]]
    assert normalise(raw, "max").tolist() == [[0.0, 0.0, 2 / 6, 1.0]]
    # 90th percentile of 0, 0, 2, 6 is 2 + 0.7 * 4
    assert normalise(raw, "pas")[0].tolist() == pytest.approx([0.0, 0.0, 2 / 4.8, 1.0])
    # the median is 1
    assert normalise(raw, "ivr", percentile=50).tolist() == [[0.0, 0.0, 0.2, 1.0]]


def test_ivr_takes_the_65th_percentile_by_default(rng: np.random.Generator) -> None:
    maps = normalise(rng.normal(size=(2, 10, 20)), "ivr")
    assert ((maps > 0).sum(axis=(1, 2)) == 70).all()


@pytest.mark.parametrize("how", NORMALISATIONS)
def test_every_map_by_itself_and_within_bounds(rng: np.random.Generator, how: str) -> None:
    raw = rng.normal(size=(2, 3, 6, 9)) * 10
    together = normalise(raw, how)
    assert together.min() >= 0
    assert together.max() <= 1
    assert np.array_equal(together[1, 2], normalise(raw[1, 2], how))
    if how != "none":  # which leaves shares as they are
        assert np.allclose(normalise(raw * 7, how), together)


@pytest.mark.parametrize("how", NORMALISATIONS)
@pytest.mark.parametrize("value", [0.0, 3.7, -1.3, np.nan, np.inf])
def test_constant_and_undefined_maps_become_zeros(how: str, value: float) -> None:
    raw = np.stack([np.full((3, 5), value), np.arange(15.0).reshape(3, 5)])
    assert not normalise(raw, how)[0].any()
    assert not score_maps(raw, how)[0].any()
    assert score_maps(raw, how)[1].any()
    raw[0, 1, 1] = np.nan
    assert not score_maps(raw, how)[0].any()


def test_unknown_normalisation_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="minmax, max, pas, ivr, none, found 'mean'"):
        normalise(np.eye(2), "mean")


def test_importing_geometry_and_metrics_does_not_import_torch() -> None:
    modules = "rfga.geometry.boxes, rfga.geometry.maps, rfga.geometry.levelsets, rfga.metrics"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    short=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    longer=st.tuples(st.integers(0, 80), st.integers(0, 80)),
    seed=st.integers(0, 99),
)
def test_a_spread_mask_gives_itself_back(short: tuple[int, int], longer: tuple[int, int], seed: int) -> None:
    mask = np.random.default_rng(seed).choice([0, 128, 255], short).astype(np.uint8)
    size_hw = (short[0] + longer[0], short[1] + longer[1])
    spread = spread_mask(mask, size_hw)
    assert spread.shape == size_hw
    np.testing.assert_array_equal(resize_mask(spread, short), mask)
