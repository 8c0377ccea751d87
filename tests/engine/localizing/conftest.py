"""Score maps drawn by hand, where what a hardly trained network sees must not decide a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rfga.types import FloatArray


@pytest.fixture
def two_spots_in_every_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every map has one spot; the second, fourth, ... of a batch have another one, far from it."""

    def drawn(raw: FloatArray, normalisation: Any, size_hw: tuple[int, int]) -> FloatArray:
        maps = np.zeros((len(raw), *size_hw))
        maps[:, 30:100, 20:90] = 1
        maps[1::2, 140:200, 130:200] = 0.9
        return maps

    monkeypatch.setattr("rfga.engine.localizing.localizer.score_maps", drawn)
