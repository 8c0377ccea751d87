"""Score maps without a normalisation of their own: one scale for all maps of a split.

Every normalisation of ``rfga.geometry.maps`` scales each map by itself, so that a threshold is a fraction of
that map's own range. Here a threshold is one and the same score in every image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rfga.geometry.maps import EVAL_SIZE_HW, resize_maps
from rfga.types import FloatArray

_BLOCK = 8  # maps at a time, so that memory does not grow with their number


@dataclass(frozen=True)
class CommonScale:
    """The lowest and the highest score of many maps, to which 0 and 1 belong.

    Example:
        >>> raw = np.array([[[0.0, 1.0]], [[0.0, 4.0]]])
        >>> scale = CommonScale.of(raw, size_hw=(1, 2))
        >>> scale.apply(raw, size_hw=(1, 2)).tolist()
        [[[0.0, 0.25]], [[0.0, 1.0]]]
    """

    low: float
    high: float

    @classmethod
    def of(cls, raw: ArrayLike, size_hw: tuple[int, int] = EVAL_SIZE_HW) -> CommonScale:
        """The scale of maps (N, h, w), measured where they are scored: after resizing to ``size_hw``."""
        maps = np.asarray(raw, dtype=np.float64)
        maps = maps[np.isfinite(maps).all(axis=(-2, -1))]
        if not maps.size or maps.min() == maps.max():  # resizing would add an extent of rounding noise
            return cls(0.0, 0.0)
        blocks = (resize_maps(maps[i : i + _BLOCK], size_hw) for i in range(0, len(maps), _BLOCK))
        ends = [(block.min(), block.max()) for block in blocks]
        return cls(float(min(low for low, _ in ends)), float(max(high for _, high in ends)))

    def apply(self, raw: ArrayLike, size_hw: tuple[int, int] = EVAL_SIZE_HW) -> FloatArray:
        """Maps (N, h, w) as the metrics take them, (N, H, W) in [0, 1]; zeros where a map is not finite.

        All are zeros where the scale has no extent.
        """
        maps = resize_maps(raw, size_hw)
        if self.high <= self.low:
            return np.zeros_like(maps)
        usable = np.isfinite(maps).all(axis=(-2, -1), keepdims=True)
        scaled: FloatArray = (np.where(usable, maps, self.low) - self.low) / (self.high - self.low)
        return scaled.clip(0, 1)
