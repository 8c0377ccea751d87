"""Bicubic resizing against torch: the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rfga.geometry.bicubic import resize_bicubic

SIZES = [((14, 14), (224, 224)), ((7, 7), (224, 224)), ((28, 28), (224, 224)), ((7, 14), (56, 224))]
ODD_SIZES = [
    ((5, 9), (31, 17)),
    ((1, 1), (4, 6)),
    ((1, 3), (8, 8)),
    ((20, 14), (224, 224)),
    ((30, 40), (7, 9)),
]


@pytest.mark.parametrize(("from_hw", "to_hw"), SIZES + ODD_SIZES)
def test_equals_torch_bit_for_bit(
    rng: np.random.Generator, from_hw: tuple[int, int], to_hw: tuple[int, int]
) -> None:
    for scale in (1.0, 1e-9, 1e6):
        maps = rng.normal(size=(5, *from_hw)) * scale
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(maps[:, None]), size=to_hw, mode="bicubic", align_corners=False
        )
        found = resize_bicubic(maps, to_hw)
        assert found.shape == (5, *to_hw)
        assert np.array_equal(found, expected[:, 0].numpy())


def test_views_and_infinities(rng: np.random.Generator) -> None:
    maps = rng.normal(size=(4, 14, 7)).transpose(0, 2, 1)[::2]
    assert np.array_equal(resize_bicubic(maps, (56, 56)), resize_bicubic(maps.copy(), (56, 56)))
    maps[0, 3, 3] = np.nan
    found = resize_bicubic(maps, (56, 56))
    assert np.isnan(found[0]).any()
    assert not np.isnan(found[1]).any()
