"""PxAP: average precision of pixels against masks, all images pooled, from exact histograms.

Source: Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020, section 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rfga.geometry.kernel import Index, kernel
from rfga.geometry.maps import resize_mask
from rfga.metrics.entries import Entries, entry
from rfga.metrics.streaming import Batch, StreamedMetric, Sums, Values
from rfga.types import MASK_BACKGROUND, MASK_OBJECT, ByteArray, FloatArray, IntArray, UserError

_ROW_OF_GREY = np.full(256, 2, dtype=np.uint8)  # left out
_ROW_OF_GREY[[MASK_OBJECT, MASK_BACKGROUND]] = 0, 1


class PixelCurve(NamedTuple):
    """Precision over recall from the highest score down, and the area under it."""

    area: FloatArray  # (...) the average precision in [0, 1]; NaN where no pixel is foreground
    precision: FloatArray  # (..., bins), NaN where nothing is predicted yet
    recall: FloatArray  # (..., bins), rising


def score_histograms(
    score_map: ArrayLike, mask: ByteArray, thresholds: FloatArray
) -> tuple[IntArray, IntArray]:
    """How many foreground and background pixels have a score in each bin.

    The edges are [0, step, ..., 1 - step, 1, 2, 3] and a bin holds its lower edge; this equals
    ``numpy.histogram`` with these edges.

    Args:
        score_map: (h, w) in [0, 1].
        mask: (h, w) uint8, 255 object, 0 background, anything else left out.
        thresholds: (T,) evenly spaced from 0, as ``threshold_grid`` gives them.

    Returns:
        Two arrays (T + 2,) int64: of foreground and of background.

    Raises:
        UserError: the thresholds are not spaced like that.

    Example:
        >>> scores, mask = np.array([[0.1, 0.5, 1.0]]), np.array([[0, 255, 255]], dtype=np.uint8)
        >>> score_histograms(scores, mask, np.array([0.0, 0.5]))
        (array([0, 1, 1, 0]), array([1, 0, 0, 0]))
    """
    grid = np.asarray(thresholds, dtype=np.float64)
    step = float(grid[1]) if len(grid) > 1 else 1.0
    if not len(grid) or not np.array_equal(grid, np.arange(len(grid)) * step):
        raise UserError(
            "expected thresholds 0, step, 2 * step and so on, found others: make them with threshold_grid"
        )
    scores = np.ascontiguousarray(score_map, dtype=np.float64).ravel()
    counts = _count_pixels(scores, np.ascontiguousarray(mask).ravel(), step, len(grid), _ROW_OF_GREY)
    return counts[0], counts[1]


@kernel
def _count_pixels(
    scores: FloatArray, mask: ByteArray, step: float, bins_below_one: int, row_of_grey: ByteArray
) -> IntArray:
    """Histograms (3, bins) of foreground, background and what is left out."""
    bins = np.empty(len(scores), dtype=np.int32)
    per_unit, last = 1 / step, np.int32(bins_below_one - 1)
    # Two loops, because the first of them, without a table to look into, is compiled to vector instructions.
    for pixel in range(len(scores)):
        score = scores[pixel]
        place = min(np.int32(score * per_unit), last)
        upper = 1.0 if place == last else (place + 1) * step
        # The product and the edges round differently, so that the bin can be off by one either way.
        bins[pixel] = place - (score < place * step) + (score >= upper)
    counts = np.zeros((3, bins_below_one + 2), dtype=np.int64)
    for pixel in range(len(scores)):
        counts[row_of_grey[mask[pixel]], Index(bins[pixel])] += 1
    return counts


def pixel_average_precision(foreground: ArrayLike, background: ArrayLike) -> PixelCurve:
    """Average precision from histograms: sum of precision[i] * (recall[i] - recall[i - 1]), i >= 1.

    Args:
        foreground: (..., bins) pixels of the object by rising score.
        background: (..., bins) pixels beside it.

    Returns:
        Area (...), precision and recall (..., bins) from the highest bin down; terms of undefined precision
        are dropped.

    Example:
        >>> float(pixel_average_precision([0, 0, 2, 0], [2, 2, 0, 0]).area)
        1.0
    """
    true = np.cumsum(np.flip(np.asarray(foreground, dtype=np.float64), axis=-1), axis=-1)
    false = np.cumsum(np.flip(np.asarray(background, dtype=np.float64), axis=-1), axis=-1)
    with np.errstate(invalid="ignore"):
        precision = true / (true + false)
        recall = true / true[..., -1:]
    terms = precision[..., 1:] * np.diff(recall, axis=-1)
    area = np.where(np.isnan(precision[..., 1:]), 0.0, terms).sum(axis=-1)
    return PixelCurve(area, precision, recall)


class PixelAP(StreamedMetric):
    """PxAP of images with truth masks.

    Example:
        >>> from rfga.types import Truth
        >>> mask = np.zeros((30, 40), dtype=np.uint8); mask[10:20, 10:30] = 255
        >>> metric = PixelAP(step=0.01)
        >>> metric.update(["a.jpg"], (resize_mask(mask) / 255)[None] * 0.8, [Truth((30, 40), mask=mask)])
        >>> metric.compute()["metrics"]["PxAP"][0]["value"]
        1.0
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Histograms: foreground, background."""
        return {"pixels": (2, len(self.table.grid) + 2)}

    def values(self, batch: Batch) -> Values:
        """Zeros for images without a mask."""
        (shape,) = self.shapes().values()
        pixels = np.zeros((len(batch), *shape), dtype=np.int64)
        masks = {
            index: truth.mask
            for index, truth in enumerate(batch.truths)
            if truth is not None and truth.mask is not None
        }

        def histograms(index: int) -> IntArray:
            mask = resize_mask(masks[index])
            return np.stack(score_histograms(batch.score_maps[index], mask, self.table.grid))

        for index, counts in zip(masks, batch.each(list(masks), histograms), strict=True):
            pixels[index] = counts
        return {"pixels": pixels}

    def entries(self, sums: Sums) -> Entries:
        """PxAP, where any pixel belongs to an object."""
        foreground, background = sums["pixels"][:, 0], sums["pixels"][:, 1]
        if not foreground[0].any():
            return {}
        area = pixel_average_precision(foreground, background).area
        return {"PxAP": [entry(area, normalisation=self.normalisation)]}

    def lines(self, sums: Sums) -> dict[str, Any]:
        """Precision and recall from the highest score down, where something is predicted."""
        foreground, background = sums["pixels"][0]
        if not foreground.any():
            return {}
        curve = pixel_average_precision(foreground, background)
        defined = np.isfinite(curve.precision)
        return {"precision": curve.precision[defined].tolist(), "recall": curve.recall[defined].tolist()}
