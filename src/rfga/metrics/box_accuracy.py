"""MaxBoxAcc, MaxBoxAccV2 and GT-known localization, bit for bit as the benchmark counts them.

Source: Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020 (MaxBoxAcc)
and its extension in TPAMI (MaxBoxAccV2). The benchmark's inclusive integer boxes live here alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfga.geometry.levelsets import CONTOUR_RULES, as_map, check_rules, threshold_levels
from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.metrics.entries import Entries, Entry, entry, ratio
from rfga.metrics.level_iou import best_iou_at_levels, mark_correct
from rfga.metrics.streaming import Batch, StreamedMetric, Sums, Values
from rfga.metrics.thresholds import IOU_THRESHOLDS, ORACLE
from rfga.types import FloatArray, IntArray

LOCALIZATION_RULE, LOCALIZATION_IOU = "largest", 0.5
"""What top-k and GT-known localization are defined with."""

RULE_INDEX = CONTOUR_RULES.index(LOCALIZATION_RULE)
IOU_INDEX = IOU_THRESHOLDS.index(LOCALIZATION_IOU)


def benchmark_truth(boxes: ArrayLike, size_hw: tuple[int, int]) -> IntArray:
    """Truth boxes at 224x224 as the benchmark has them: each number scaled, then cut to an integer.

    Args:
        boxes: (n, 4) edges in pixels of the photograph.
        size_hw: height and width of the photograph.

    Returns:
        (n, 4) int64, to be read as inclusive.

    Example:
        >>> benchmark_truth([[10, 20, 39, 50]], size_hw=(100, 50))
        array([[ 44,  44, 174, 112]])
    """
    height, width = size_hw
    eval_height, eval_width = EVAL_SIZE_HW
    # The product comes before the quotient, as in the benchmark: the other order rounds differently.
    scaled = np.asarray(boxes, np.float64) * (eval_width, eval_height, eval_width, eval_height)
    return (scaled / (width, height, width, height)).astype(np.int64)


def best_iou_at_thresholds(
    score_map: ArrayLike, truth_boxes: IntArray, thresholds: ArrayLike, rule: str
) -> FloatArray:
    """The best IoU over a map's boxes and its truth boxes, at each threshold.

    Args:
        score_map: (h, w) in [0, 1].
        truth_boxes: (n, 4) inclusive ints in pixels of the map.
        thresholds: (T,) in [0, 1].
        rule: ``largest`` or ``all`` contours.

    Returns:
        (T,) in [0, 1].

    Raises:
        UserError: the rule is unknown.

    Example:
        >>> map_4x4 = np.zeros((4, 4)); map_4x4[1:3, 1:3] = 1.0
        >>> best_iou_at_thresholds(map_4x4, np.array([[1, 1, 3, 3]]), [0.5], "largest")
        array([1.])
    """
    check_rules((rule,))
    truths = np.ascontiguousarray(truth_boxes, dtype=np.int64)
    best, highest = best_iou_at_levels(as_map(score_map), truths, rule == "largest", rule == "all")
    at_levels: FloatArray = best[CONTOUR_RULES.index(rule)]
    return at_levels[threshold_levels(thresholds, highest)]


def correct_at_thresholds(batch: Batch, columns: FloatArray) -> NDArray[np.bool_]:
    """Whether each image is correct: (N, rule, IoU threshold, C); False where it has no truth boxes.

    Worked out once for a batch, whichever metric asks first.
    """
    if "correct" not in batch.found:
        hits = np.zeros((len(batch), len(CONTOUR_RULES), len(IOU_THRESHOLDS), len(columns)), dtype=np.bool_)
        boxes = {
            index: benchmark_truth(truth.boxes, truth.size_hw)
            for index, truth in enumerate(batch.truths)
            if truth is not None and truth.boxes is not None
        }

        limits = np.array(IOU_THRESHOLDS)

        def mark(index: int) -> None:
            mark_correct(batch.score_maps[index], boxes[index], columns, limits, hits[index])

        batch.each(list(boxes), mark)
        batch.found["correct"] = hits
    return batch.found["correct"].astype(np.bool_, copy=False)


def has_boxes(batch: Batch) -> NDArray[np.bool_]:
    """Which images carry truth boxes: (N,)."""
    return np.array([truth is not None and truth.boxes is not None for truth in batch.truths], dtype=np.bool_)


class BoxAccuracy(StreamedMetric):
    """MaxBoxAcc, MaxBoxAccV2 and GTKnownLoc of images with truth boxes, for both contour rules.

    Example:
        >>> from rfga.types import Truth
        >>> score_map = np.zeros((1, 224, 224)); score_map[0, 56:112, 112:168] = 1.0
        >>> metric = BoxAccuracy(step=0.1)
        >>> metric.update(["a.jpg"], score_map, [Truth((80, 60), boxes=np.array([[30.0, 20.0, 45.0, 40.0]]))])
        >>> metric.compute()["metrics"]["MaxBoxAcc"][0]["value"]
        1.0
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Images with boxes; correct images for each rule, IoU and threshold."""
        return {"boxed": (), "correct": (len(CONTOUR_RULES), len(IOU_THRESHOLDS), len(self.table.columns))}

    def values(self, batch: Batch) -> Values:
        """Zeros for images without boxes."""
        return {"boxed": has_boxes(batch), "correct": correct_at_thresholds(batch, self.table.columns)}

    def entries(self, sums: Sums) -> Entries:
        """MaxBoxAcc (largest rule first), MaxBoxAccV2 (all rule first), GTKnownLoc; oracle first."""
        if not sums["boxed"][0]:
            return {}
        accuracy = ratio(sums["correct"], sums["boxed"])
        sources = (ORACLE, *self.table.names)
        return {
            "MaxBoxAcc": [
                self._at_iou(accuracy, source, rule) for source in sources for rule in ("largest", "all")
            ],
            "MaxBoxAccV2": [
                self._mean(accuracy, source, rule) for source in sources for rule in ("all", "largest")
            ],
            "GTKnownLoc": [self._at_iou(accuracy, source, LOCALIZATION_RULE) for source in sources],
        }

    def lines(self, sums: Sums) -> dict[str, Any]:
        """Accuracy over thresholds for each rule and IoU."""
        if not sums["boxed"][0]:
            return {}
        accuracy = ratio(sums["correct"], sums["boxed"])[0, ..., : len(self.table.grid)]
        curves = {
            rule: {str(iou): accuracy[i, j].tolist() for j, iou in enumerate(IOU_THRESHOLDS)}
            for i, rule in enumerate(CONTOUR_RULES)
        }
        return {"thresholds": self.table.grid.tolist(), "box_accuracy": curves}

    def oracle_thresholds(self, sums: Sums) -> dict[str, dict[str, float]]:
        """Rule -> IoU -> the first threshold where most images are correct; empty without boxes."""
        if not sums["boxed"][0]:
            return {}
        best = sums["correct"][0, ..., : len(self.table.grid)].argmax(axis=-1)
        return {
            rule: {str(iou): float(self.table.grid[best[i, j]]) for j, iou in enumerate(IOU_THRESHOLDS)}
            for i, rule in enumerate(CONTOUR_RULES)
        }

    def _at(
        self, accuracy: FloatArray, source: str, rule: str, iou_threshold: float
    ) -> tuple[FloatArray, float]:
        """The accuracy (1 + R,) at a source's threshold, and that threshold."""
        curve = accuracy[:, CONTOUR_RULES.index(rule), IOU_THRESHOLDS.index(iou_threshold)]
        if source == ORACLE:
            grid = curve[:, : len(self.table.grid)]
            return grid.max(axis=1), float(self.table.grid[grid[0].argmax()])
        column = self.table.column(source, rule, iou_threshold)
        return curve[:, column], float(self.table.columns[column])

    def _at_iou(self, accuracy: FloatArray, source: str, rule: str) -> Entry:
        samples, threshold = self._at(accuracy, source, rule, LOCALIZATION_IOU)
        return entry(
            samples, threshold=threshold, source=source, normalisation=self.normalisation, contours=rule
        )

    def _mean(self, accuracy: FloatArray, source: str, rule: str) -> Entry:
        parts = {str(iou): self._at(accuracy, source, rule, iou) for iou in IOU_THRESHOLDS}
        samples = np.mean([samples for samples, _ in parts.values()], axis=0)
        made = entry(
            samples,
            threshold={iou: threshold for iou, (_, threshold) in parts.items()},
            source=source,
            normalisation=self.normalisation,
            contours=rule,
        )
        made["per_iou"] = {iou: float(samples[0]) for iou, (samples, _) in parts.items()}
        return made
