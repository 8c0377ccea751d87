"""How boxes by a person are judged while settings are chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rfga.engine.learning.corrections import LEVELS, boxes_at
from rfga.geometry.box_evidence import find_boxes
from rfga.nn.foreground import as_share


@pytest.mark.parametrize("seed", range(8))
def test_boxes_of_all_levels_at_once_are_those_of_each(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Values far from every level and cut, so that rounding to grey values decides nothing.
    steps = rng.choice([-0.95, -0.56, 0.04, 0.27, 0.58, 0.93], size=(6, 9))
    values = np.kron(steps, np.ones((4, 5)))
    for level, boxes in zip(LEVELS, boxes_at(values, LEVELS), strict=True):
        shares = as_share(torch.from_numpy(values), torch.tensor(level, dtype=torch.float64)).numpy()
        assert boxes.tolist() == find_boxes(shares, 0.5).boxes.tolist()


def test_a_map_without_any_object_has_no_box() -> None:
    assert [boxes.shape for boxes in boxes_at(np.full((4, 4), -1.0), LEVELS)] == [(0, 4)] * len(LEVELS)
