"""All metrics in one streaming object, and how well a single image is localized."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from rfga.geometry.levelsets import foreground
from rfga.geometry.maps import resize_mask
from rfga.metrics import METRICS
from rfga.metrics.box_accuracy import (
    LOCALIZATION_RULE,
    BoxAccuracy,
    benchmark_truth,
    best_iou_at_thresholds,
)
from rfga.metrics.entries import Entries
from rfga.metrics.streaming import Batch, StreamedMetric, Sums, Values
from rfga.types import MASK_BACKGROUND, MASK_OBJECT, Truth

ORDER = ("MaxBoxAcc", "MaxBoxAccV2", "PxAP", "Top1Cls", "Top5Cls", "Top1Loc", "Top5Loc", "GTKnownLoc")


class LocalizationMetrics(StreamedMetric):
    """Every metric of ``METRICS`` in one pass over images with boxes, masks, logits, or any mixture.

    Its arguments are those of ``StreamedMetric``. Sums of several processes, or of parts of a data set, add
    up to those of the whole.

    Example:
        >>> score_map = np.zeros((1, 224, 224)); score_map[0, 56:112, 112:168] = 1.0
        >>> metrics = LocalizationMetrics(step=0.1, num_classes=2, thresholds={"fixed": 0.2})
        >>> truth = Truth((80, 60), boxes=np.array([[30.0, 20.0, 45.0, 40.0]]))
        >>> metrics.update(["a.jpg"], score_map, [truth], labels=[1], logits=[[0.3, 0.7]])
        >>> sorted(metrics.compute()["metrics"])
        ['GTKnownLoc', 'MaxBoxAcc', 'MaxBoxAccV2', 'Top1Cls', 'Top1Loc']
    """

    @cached_property
    def parts(self) -> Mapping[str, StreamedMetric]:
        """The metrics of the registry; they do the arithmetic, while the sums are held here."""
        made: dict[str, StreamedMetric] = {}
        for name, address in METRICS.items():
            module, _, class_name = address.partition(":")
            made[name] = getattr(import_module(module), class_name)(**self.settings, replicates=0)
        return made

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all parts."""
        return {
            f"{name}_{key}": shape
            for name, part in self.parts.items()
            for key, shape in part.shapes().items()
        }

    def values(self, batch: Batch) -> Values:
        """The values of all parts."""
        return {
            f"{name}_{key}": array
            for name, part in self.parts.items()
            for key, array in part.values(batch).items()
        }

    def entries(self, sums: Sums) -> Entries:
        """The entries of all parts, in the order of reports."""
        found: Entries = {}
        for name, part in self.parts.items():
            found |= part.entries(self._of(name, sums))
        return {name: found[name] for name in sorted(found, key=_place)}

    def lines(self, sums: Sums) -> dict[str, Any]:
        """The curves of all parts."""
        found: dict[str, Any] = {}
        for name, part in self.parts.items():
            found |= part.lines(self._of(name, sums))
        return found

    def best_thresholds(self) -> dict[str, dict[str, float]]:
        """Rule -> IoU -> this split's oracle threshold, as a run stores it; empty without boxes."""
        with self.sync_context():
            sums = self._of("box_accuracy", self.sums())
        return cast(BoxAccuracy, self.parts["box_accuracy"]).oracle_thresholds(sums)

    def _of(self, name: str, sums: Sums) -> Sums:
        return {key: sums[f"{name}_{key}"] for key in self.parts[name].shapes()}


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def image_iou(score_map: ArrayLike, truth: Truth, threshold: float) -> float:
    """How well one image is localized with its class given: IoU of the largest box, or of the mask.

    Args:
        score_map: (224, 224) in [0, 1].
        truth: boxes, scored as the benchmark does; or a mask, whose ignored pixels are left out.
        threshold: in [0, 1], a fraction of the map's maximum.

    Returns:
        In [0, 1]; 0 where neither the map nor the mask has a pixel of the object.

    Example:
        >>> score_map = np.zeros((224, 224)); score_map[:112] = 1.0
        >>> mask = np.full((10, 20), 255, dtype=np.uint8)
        >>> image_iou(score_map, Truth((10, 20), mask=mask), threshold=0.5)
        0.5
    """
    if truth.boxes is not None:
        boxes = benchmark_truth(truth.boxes, truth.size_hw)
        return float(best_iou_at_thresholds(score_map, boxes, [threshold], LOCALIZATION_RULE)[0])
    assert truth.mask is not None
    mask, found = resize_mask(truth.mask), foreground(score_map, threshold)
    found &= (mask == MASK_OBJECT) | (mask == MASK_BACKGROUND)
    union = np.count_nonzero(found | (mask == MASK_OBJECT))
    return int(np.count_nonzero(found & (mask == MASK_OBJECT))) / int(union) if union else 0.0
