from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rfga.engine.export.agreement import Outputs, compare, require_agreement
from rfga.engine.export.graph import module_of
from rfga.types import UserError
from tests.engine.export.small import SIDE, small_localizer


def made(batch: int = 2, classes: int = 3) -> Outputs:
    rng = np.random.default_rng(0)
    shape = (batch, classes, 4, 6)
    maps = rng.normal(size=shape).astype(np.float32)
    return maps.mean((2, 3)), maps


def test_differences_are_shares_of_the_largest_value() -> None:
    logits, maps = made()
    changed = maps.copy()
    changed[1, 2, 3, 5] += 5e-5 * np.abs(maps).max()
    found = compare((logits, maps), (logits, changed))
    assert found.holds
    assert found.maps == pytest.approx(5e-5, rel=0.01)
    assert (found.logits, found.maps_apart, found.maps_checked) == (0, 0, 6)


def test_what_does_not_agree() -> None:
    logits, maps = made()
    one_pixel = maps.copy()
    one_pixel[0, 0, 0, 0] += 1
    assert not compare((logits, maps), (logits, one_pixel)).holds
    assert not compare((logits, maps), (logits * 1.001, maps)).holds
    assert not compare((logits, maps), (logits * np.nan, maps)).holds
    assert not compare((logits, maps), (logits, maps * np.nan)).holds
    cut = compare((logits, maps), (logits, maps[:, :, :, :3]))
    assert not cut.holds
    assert (cut.maps_apart, cut.maps_checked) == (6, 6)
    assert not compare((logits, maps), (logits[:1], maps)).holds


def test_one_map_of_hundred_may_have_a_pixel_on_the_other_side_of_a_cut() -> None:
    logits, maps = made(batch=10, classes=20)
    cut = maps.copy()
    cut[3, 4, 1, 2] = 0
    found = compare((logits, maps), (logits, cut))
    assert found.holds
    assert (found.maps_apart, found.maps) == (1, 0)
    cut[:, :3, 1, 2] = 0
    assert not compare((logits, maps), (logits, cut)).holds


def test_a_model_that_says_something_else_is_refused() -> None:
    module = module_of(small_localizer("cam"))

    def run(images: NDArray[np.float32]) -> Outputs:
        with torch.no_grad():
            logits, maps = module(torch.from_numpy(images))
        return logits.numpy(), maps.numpy()

    assert require_agreement(module, SIDE, run).holds

    def wrong_for_single_images(images: NDArray[np.float32]) -> Outputs:
        logits, maps = run(images)
        return logits, maps if len(images) > 1 else maps[:, ::-1]

    with pytest.raises(
        UserError, match=r"expected the exported model to agree .* of 12 maps .*--format folder"
    ):
        require_agreement(module, SIDE, wrong_for_single_images)
