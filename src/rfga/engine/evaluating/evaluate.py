"""Evaluation: every metric of a trained model in one pass over a split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from rfga.data.base import Dataset, canonical_split
from rfga.data.checks.readable import MAX_UNREADABLE_FRACTION
from rfga.data.spelling import class_key
from rfga.data.transforms import SampleImages
from rfga.data.truth.readers import truth_notes
from rfga.data.unreadable import require_there
from rfga.engine.evaluating.gallery import Candidate, choose_gallery
from rfga.engine.learning.data import checked_samples
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import require_batch_size
from rfga.engine.runtime.devices import batch_on, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.processes import Processes
from rfga.engine.runtime.progress import Meter
from rfga.engine.runtime.reading import reading_explained, reads_quietly
from rfga.metrics.localization import LocalizationMetrics
from rfga.output.report.page import GalleryItem
from rfga.types import Sample, Truth, UserError

GALLERY_CANDIDATES = 2000  # raw maps kept for the gallery, so that memory does not grow with the split
NO_TRUTH = "no truth is known of it"


@dataclass(frozen=True)
class Evaluation:
    """Everything that one pass measured."""

    result: dict[str, Any]  # plain values: dataset, split, maps, and what metrics.compute gives
    curves: dict[str, Any]  # accuracy over thresholds, precision over recall
    best_thresholds: dict[str, Any]  # by contour rule and IoU; empty where no boxes are known
    gallery: dict[str, list[GalleryItem]]  # best, median, worst
    left_out: tuple[tuple[str, str], ...]  # image id, reason
    notes: tuple[str, ...]  # sentences on truth that had to be changed, or is of no photograph


@dataclass(frozen=True)
class EvaluationOptions:
    """How a split is evaluated.

    Args:
        step: distance of thresholds.
        batch_size: photographs at a time.
        thresholds: further threshold sources beside the oracle: a number, or one for each rule and IoU.
        gallery: keep examples for the report.

    Raises:
        UserError: a number is out of its range.
    """

    step: float = 0.001
    batch_size: int = 32
    thresholds: dict[str, Any] = field(default_factory=dict)
    gallery: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.step <= 0.5:
            raise UserError(f"expected --step above 0 and at most 0.5, found {self.step}: give 0.001 or 0.01")
        require_batch_size(self.batch_size)


@reading_explained()
def evaluate(
    localizer: Localizer,
    dataset: Dataset,
    split: str,
    options: EvaluationOptions | None = None,
    runtime: Runtime | None = None,
) -> Evaluation:
    """Measure ``localizer`` on a split: boxes or masks are scored as the data set's truth decides.

    Photographs that cannot be read, or whose truth is not known or does not fit, are left out and listed.
    The result does not depend on the number of workers, nor on that of processes: whole batches are dealt out
    to these, and the sums of all are added up, which is exact. Another batch size may let the network's
    convolutions round differently (some 1e-6 of a map's range), which can move a box that lies on the edge
    between two of the 256 levels.

    Args:
        localizer: the trained model.
        dataset: photographs with truth, or with class labels alone.
        split: train, val or test.
        options: thresholds, batch size.
        runtime: device, workers, and the processes that share the work; the first alone gets a gallery.

    Raises:
        UserError: the split is empty, its classes are not the model's, or more than a tenth of the
            photographs or of their truth cannot be used.
    """
    options, runtime, split = options or EvaluationOptions(), runtime or Runtime(), canonical_split(split)
    _require_same_classes(dataset, localizer.classes)
    samples, left_out = checked_samples(dataset, split, runtime)
    if not samples:
        raise UserError(
            f"expected photographs in the split {split} of {dataset.name}, found none"
            f"{''.join(f' ({note})' for note in dataset.notes)}: give another --split"
        )
    measured = _Pass(localizer, dataset, split, samples, options)
    together = batch_on(localizer.device, options.batch_size)
    batches = runtime.processes.share(_batches(len(samples), together))
    loader = DataLoader(
        SampleImages(dataset, samples, localizer.config.image_size, None),
        batch_sampler=batches,
        num_workers=pick_workers(runtime, localizer.device),
        worker_init_fn=reads_quietly,
    )
    own = sum(len(batch) for batch in batches)
    with Meter(f"evaluating {split}", own, quiet=runtime.quiet) as meter:
        for pixels, labels, positions in loader:
            measured.add(pixels, labels, positions.tolist())
            meter.advance(len(labels))
    measured.join(runtime.processes)
    metrics = measured.metrics
    best = metrics.best_thresholds()
    cut = localizer.with_threshold(float(best["largest"]["0.5"]), "oracle") if best else localizer
    return Evaluation(
        result={"dataset": dataset.name, "split": split, "maps": localizer.maps, **metrics.compute()},
        curves=metrics.curves(),
        best_thresholds=best,
        gallery=choose_gallery(cut, dataset, measured.candidates),
        left_out=(*left_out, *(where for _, where in measured.left_out)),
        notes=tuple(_truth_notes(dataset, runtime.processes)) if measured.has_truth else (),
    )


class _Pass:
    """One pass over a split: what was measured so far, and what had to be left out."""

    def __init__(
        self,
        localizer: Localizer,
        dataset: Dataset,
        split: str,
        samples: Sequence[Sample],
        options: EvaluationOptions,
    ) -> None:
        self.localizer, self.dataset, self.samples = localizer, dataset, samples
        self.has_truth = dataset.has_truth(split)
        self.metrics = LocalizationMetrics(
            step=options.step,
            num_classes=len(localizer.classes),
            normalisation=localizer.config.normalisation,
            thresholds=options.thresholds,
        )
        self.left_out: list[tuple[int, tuple[str, str]]] = []  # each with the position of its photograph
        self.candidates: list[Candidate] = []
        self.unfit = 0
        self.gallery = options.gallery and self.has_truth
        self.every = math.ceil(len(samples) / GALLERY_CANDIDATES)

    def add(self, pixels: torch.Tensor, labels: torch.Tensor, positions: Sequence[int]) -> None:
        """Score a batch."""
        batch = [self.samples[position] for position in positions]
        truths = [self._truth(position) if self.has_truth else None for position in positions]
        rows = [row for row, truth in enumerate(truths) if truth is not None or not self.has_truth]
        if not rows:
            return
        scored = self.localizer.score(pixels[rows], labels[rows])
        kept = [batch[row] for row in rows]
        self.metrics.update(
            [sample.image_id for sample in kept],
            scored.maps,
            [truths[row] for row in rows],
            labels.numpy()[rows],
            scored.logits,
        )
        if self.gallery:
            top = scored.logits.argmax(1)
            self.candidates += [
                Candidate(sample, scored.raw_maps[i].astype(np.float32), int(top[i]))
                for i, (sample, row) in enumerate(zip(kept, rows, strict=True))
                if positions[row] % self.every == 0
            ]

    def join(self, processes: Processes) -> None:
        """Add what the other processes found; the sums join by themselves when they are read.

        Raises:
            UserError: of all photographs together, more than a tenth have truth that does not fit.
        """
        if processes.alone:
            return
        parts = processes.gather((self.left_out, self.unfit, self.candidates))
        self.left_out = sorted(found for left_out, _, _ in parts for found in left_out)
        self.unfit = sum(unfit for _, unfit, _ in parts)
        self.candidates = [one for _, _, found in parts for one in found] if processes.first else []
        self._require_fit(self.left_out[-1][1][1] if self.left_out else "")

    def _truth(self, position: int) -> Truth | None:
        sample = self.samples[position]
        try:
            truth = self.dataset.truth(sample)
        except UserError as error:
            require_there(sample.path)  # numbers of what is left would be others
            self.left_out.append((position, (sample.image_id, str(error))))
            self.unfit += 1
            self._require_fit(str(error))
            return None
        if truth is None:
            self.left_out.append((position, (sample.image_id, NO_TRUTH)))
        return truth

    def _require_fit(self, last: str) -> None:
        if self.unfit > MAX_UNREADABLE_FRACTION * len(self.samples):
            raise UserError(
                f"expected truth that fits at least nine of ten photographs, found {self.unfit} of "
                f"{len(self.samples)} that it does not fit; of the last: {last}"
            )


def _batches(count: int, size: int) -> list[list[int]]:
    """The positions of each batch, as one process forms them: a batch's company decides how it is rounded.

    Example:
        >>> _batches(5, 2)
        [[0, 1], [2, 3], [4]]
    """
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]


def _truth_notes(dataset: Dataset, processes: Processes) -> Iterator[str]:
    """What a reader of truth files has to say, where the data set has one."""
    reader = dataset.truth_reader
    if reader is None:
        return
    yield from truth_notes(reader)
    warnings = processes.gather(reader.warnings())
    # Each begins with the name of its photograph, and these are sorted.
    yield from warnings[0] if processes.alone else sorted({text for found in warnings for text in found})


def _require_same_classes(dataset: Dataset, classes: tuple[str, ...]) -> None:
    given, known = [class_key(name) for name in dataset.classes], [class_key(name) for name in classes]
    if given == known:
        return
    unknown = [name for name in given if name not in known]
    absent = [name for name in known if name not in given]
    found = f"{', '.join(unknown[:5])} in {dataset.name}" if unknown else f"no {', '.join(absent[:5])}"
    raise UserError(
        f"expected the {len(classes)} classes that the run was trained on ({', '.join(classes[:10])}), found "
        f"{found if unknown or absent else 'another order'}: give a data set with the same class folders"
    )
