"""Top-1 and top-5 classification, and localization with the class right as well.

An image counts for top-k localization when its box is correct (largest contour, IoU 0.5) and its true class
is among the k best. Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", 2015.
"""

from __future__ import annotations

import numpy as np

from rfga.metrics.box_accuracy import (
    IOU_INDEX,
    LOCALIZATION_IOU,
    LOCALIZATION_RULE,
    RULE_INDEX,
    correct_at_thresholds,
    has_boxes,
)
from rfga.metrics.entries import Entries, Entry, entry, ratio
from rfga.metrics.streaming import Batch, StreamedMetric, Sums, Values
from rfga.metrics.thresholds import ORACLE
from rfga.types import FloatArray, IntArray, UserError

TOP_KS = (1, 5)


def true_class_ranks(logits: FloatArray, labels: IntArray) -> IntArray:
    """How many classes come before the true one; of equal logits the lower index comes first.

    Args:
        logits: (N, K); a row with NaN ranks its true class last.
        labels: (N,) in 0 .. K - 1.

    Returns:
        (N,) int64 in 0 .. K.

    Example:
        >>> true_class_ranks(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), np.array([2, 1]))
        array([1, 1])
    """
    true = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    ranks: IntArray = ((logits > true) | ((logits == true) & earlier)).sum(axis=1)
    ranks[np.isnan(logits).any(axis=1)] = logits.shape[1]
    return ranks


class TopK(StreamedMetric):
    """Top1Cls, Top5Cls, Top1Loc and Top5Loc; top 5 is left out at five classes or fewer.

    Example:
        >>> metric = TopK(num_classes=3)
        >>> metric.update(["a.jpg"], np.zeros((1, 224, 224)), [None], [2], [[0.1, 0.2, 0.9]])
        >>> {name: found[0]["value"] for name, found in metric.compute()["metrics"].items()}
        {'Top1Cls': 1.0}
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Classified images, those with boxes too; right classes; right boxes; both right."""
        columns = len(self.table.columns)
        return {
            "classified": (),
            "localized": (),
            "right_class": (len(TOP_KS),),
            "right_box": (columns,),
            "right_both": (len(TOP_KS), columns),
        }

    def values(self, batch: Batch) -> Values:
        """Zeros where there are no logits."""
        if batch.logits is None or batch.labels is None:
            return {name: np.zeros((len(batch), *shape)) for name, shape in self.shapes().items()}
        if batch.logits.shape[1] != self.num_classes:
            raise UserError(
                f"expected logits of {self.num_classes} classes, found {batch.logits.shape[1]}: "
                "give num_classes as the classifier has it"
            )
        right_class = true_class_ranks(batch.logits, batch.labels)[:, None] < np.array(TOP_KS)
        right_box = correct_at_thresholds(batch, self.table.columns)[:, RULE_INDEX, IOU_INDEX]
        return {
            "classified": np.ones(len(batch)),
            "localized": has_boxes(batch),
            "right_class": right_class,
            "right_box": right_box,
            "right_both": right_class[:, :, None] & right_box[:, None],
        }

    def entries(self, sums: Sums) -> Entries:
        """One entry for classification, one for each threshold source for localization."""
        found: Entries = {}
        ks = [k for k in TOP_KS if k < self.num_classes or k == 1]
        if sums["classified"][0]:
            right = ratio(sums["right_class"], sums["classified"])
            found |= {f"Top{k}Cls": [entry(right[:, TOP_KS.index(k)])] for k in ks}
        if sums["localized"][0]:
            sources = (ORACLE, *self.table.names)
            found |= {f"Top{k}Loc": [self._localization(sums, k, source) for source in sources] for k in ks}
        return found

    def _localization(self, sums: Sums, k: int, source: str) -> Entry:
        both = ratio(sums["right_both"], sums["localized"])[:, TOP_KS.index(k)]
        if source == ORACLE:
            # The oracle chooses by GT-known localization, in each replicate anew.
            columns = sums["right_box"][:, : len(self.table.grid)].argmax(axis=1)
        else:
            column = self.table.column(source, LOCALIZATION_RULE, LOCALIZATION_IOU)
            columns = np.full(len(both), column)
        return entry(
            both[np.arange(len(both)), columns],
            threshold=float(self.table.columns[columns[0]]),
            source=source,
            normalisation=self.normalisation,
            contours=LOCALIZATION_RULE,
        )
