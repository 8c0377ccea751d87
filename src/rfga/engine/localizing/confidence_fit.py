"""Fitting the confidence of boxes to a run, where boxes or masks of its val split are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from rfga.data.base import Dataset
from rfga.data.transforms import eval_transform
from rfga.data.unreadable import require_there
from rfga.engine.localizing.confidence import CONFIDENCE_KEY, Confidence, fit_confidence
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.second_look import SECOND_LOOK
from rfga.engine.run.folder import RunFolder
from rfga.engine.runtime.progress import Meter
from rfga.geometry.box_evidence import EVIDENCE, box_evidence, find_boxes
from rfga.geometry.boxes import iou, scale_boxes
from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.types import MASK_OBJECT, FloatArray, IntArray, Sample, Truth, UserError

MIN_PHOTOGRAPHS = 50
"""So many photographs with a box and its truth are needed to fit ten weights."""
MAX_PHOTOGRAPHS = 500  # each goes through the network twice
_BATCH = 25

Known = tuple[Sample, Truth]


@dataclass(frozen=True, eq=False)
class Examples:
    """Largest boxes of photographs, with their evidence and how good they are.

    Example:
        >>> held = Examples(("a", "b"), np.zeros(2, dtype=int), np.zeros((2, 10)), np.array([0.2, 0.7]))
        >>> held.rows([1]).image_ids
        ('b',)
    """

    image_ids: tuple[str, ...]
    labels: IntArray  # (n,) classes
    evidence: FloatArray  # (n, 10): EVIDENCE, SECOND_LOOK
    ious: FloatArray  # (n,) with the best of the true boxes, in [0, 1]

    def rows(self, rows: Sequence[int]) -> Examples:
        """Those of some boxes."""
        chosen = list(rows)
        ids = tuple(self.image_ids[row] for row in chosen)
        return Examples(ids, self.labels[chosen], self.evidence[chosen], self.ious[chosen])

    def fit(self, source: str, *, tell_classes: bool = True) -> Confidence:
        """The models of these boxes."""
        labels = [int(label) for label in self.labels] if tell_classes else None
        plain = self.evidence[:, : len(EVIDENCE)]
        return Confidence(
            fit_confidence(plain, self.ious, EVIDENCE, labels),
            fit_confidence(self.evidence, self.ious, EVIDENCE + SECOND_LOOK, labels),
            source,
        )


def calibrate_run(run: RunFolder, dataset: Dataset, localizer: Localizer, *, quiet: bool = True) -> bool:
    """Fit the confidence to a run's val split and keep it in metrics.json, as far as truth is known.

    Args:
        run: that the model is of.
        dataset: with boxes or masks of val.
        localizer: the model as ``rfga localize`` will use it, with its threshold.
        quiet: print no progress.

    Returns:
        Whether there was enough truth.
    """
    known = list(islice(known_samples(dataset, "val", MAX_PHOTOGRAPHS), MAX_PHOTOGRAPHS))
    if len(known) < MIN_PHOTOGRAPHS:
        return False
    with Meter("judging boxes of val", len(known), quiet=quiet) as meter:
        parts = []
        for start in range(0, len(known), _BATCH):
            parts.append(examples(localizer, dataset, known[start : start + _BATCH]))
            meter.advance(len(known[start : start + _BATCH]))
    held = joined(parts)
    if len(held.ious) < MIN_PHOTOGRAPHS:
        return False
    threshold = localizer.threshold.value
    found = held.fit(f"calibrated on val ({len(held.ious)} photographs, threshold {threshold:.3g})")
    before = run.read_metrics().get(CONFIDENCE_KEY, {})
    run.update_metrics(**{CONFIDENCE_KEY: {**before, localizer.config.normalisation: found.to_dict()}})
    return True


def known_samples(dataset: Dataset, split: str, most: int) -> Iterator[Known]:
    """Photographs of a split with their truth, about ``most`` spread over it; those without are left out."""
    if not dataset.has_truth(split):
        return
    samples = dataset.samples(split)
    for sample in samples[:: max(1, math.ceil(len(samples) / most))]:
        try:
            truth = dataset.truth(sample)
        except UserError:  # evaluating has told of it
            continue
        if truth is not None and len(true_boxes(truth)):
            yield sample, truth


def examples(localizer: Localizer, dataset: Dataset, known: Sequence[Known]) -> Examples:
    """The largest box of each photograph of a batch, looked at twice; photographs without a box are left out.

    Args:
        localizer: the trained model.
        dataset: that the photographs are of.
        known: photographs with truth; the boxes are of their own class.
    """
    size, threshold = localizer.config.image_size, localizer.threshold.value
    readable, pixels = [], []
    for sample, truth in known:
        try:
            pixels.append(eval_transform(dataset.image(sample), size))
        except UserError:
            require_there(sample.path)  # others may be gone, too
            continue
        readable.append((sample, truth))
    columns = len(EVIDENCE + SECOND_LOOK)
    if not pixels:
        return Examples((), np.zeros(0, dtype=np.int64), np.zeros((0, columns)), np.zeros(0))
    labels = torch.tensor([sample.label for sample, _ in readable])
    scored = localizer.with_second_look().score(torch.stack(pixels), labels)
    assert scored.looks is not None  # asked for just now
    ids, evidence, ious, kept = [], [], [], []
    for row, (sample, truth) in enumerate(readable):
        score_map, raw_map, probability = scored.maps[row], scored.raw_maps[row], scored.probabilities[row]
        found = find_boxes(score_map, threshold)
        if len(found.boxes):
            judged = box_evidence(score_map, found, threshold, raw_map, float(probability))
            edges = scale_boxes(found.boxes, EVAL_SIZE_HW, truth.size_hw)
            ids.append(sample.image_id)
            kept.append(sample.label)
            evidence.append(np.concatenate([judged, scored.looks[row, :1]], axis=1)[0])
            ious.append(float(iou(edges, true_boxes(truth)).max()))
    return Examples(
        tuple(ids), np.array(kept, dtype=np.int64), np.reshape(evidence, (-1, columns)), np.array(ious)
    )


def joined(parts: Sequence[Examples]) -> Examples:
    """Several batches, or several models, as one."""
    return Examples(
        tuple(name for part in parts for name in part.image_ids),
        np.concatenate([part.labels for part in parts]).astype(np.int64),
        np.concatenate([part.evidence for part in parts]),
        np.concatenate([part.ious for part in parts]),
    )


def true_boxes(truth: Truth) -> FloatArray:
    """The boxes of a truth (n, 4); of a mask, the one around all object pixels, none where there are none.

    Example:
        >>> true_boxes(Truth((2, 4), mask=np.array([[0, 255, 255, 0], [0, 0, 128, 0]], dtype=np.uint8)))
        array([[1., 0., 3., 1.]])
    """
    if truth.boxes is not None:
        return truth.boxes
    rows, columns = np.nonzero(np.asarray(truth.mask) == MASK_OBJECT)
    if not len(rows):
        return np.zeros((0, 4))
    return np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=np.float64)
