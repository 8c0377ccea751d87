"""Evaluation: every metric of a trained model in one pass over a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from rfga.data.base import Dataset
from rfga.data.check import readable_samples
from rfga.data.transforms import SampleImages
from rfga.engine.config import Runtime
from rfga.engine.devices import pick_workers
from rfga.engine.localizer import Localizer
from rfga.geometry.maps import score_maps
from rfga.metrics.localization import LocalizationMetrics, image_iou
from rfga.output.report import GalleryItem
from rfga.types import FloatArray, Sample, Truth, UserError

GALLERY_CANDIDATES = 2000  # raw maps kept for the gallery, so that memory does not grow with the split
GALLERY_SIZE = 6
NO_TRUTH = "no truth is known of it"


@dataclass(frozen=True)
class Evaluation:
    """Everything that one pass measured."""

    result: dict[str, Any]  # the JSON of contracts: dataset, split, images, metrics
    curves: dict[str, Any]  # accuracy over thresholds, precision over recall
    best_thresholds: dict[str, Any]  # by contour rule and IoU; empty where no boxes are known
    gallery: dict[str, list[GalleryItem]]  # best, median, worst
    left_out: tuple[tuple[str, str], ...]  # image id, reason


@dataclass(frozen=True)
class EvaluationOptions:
    """How a split is evaluated.

    Args:
        step: distance of thresholds.
        batch_size: photographs at a time.
        thresholds: further threshold sources beside the oracle: a number, or one for each rule and IoU.
        gallery: keep examples for the report.
    """

    step: float = 0.001
    batch_size: int = 32
    thresholds: dict[str, Any] = field(default_factory=dict)
    gallery: bool = True


@dataclass(frozen=True, eq=False)
class _Kept:
    """What is remembered of a photograph until the gallery is chosen; masks are read again then."""

    sample: Sample
    raw_map: FloatArray
    predicted: int


def evaluate(
    localizer: Localizer,
    dataset: Dataset,
    split: str,
    options: EvaluationOptions | None = None,
    runtime: Runtime | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
) -> Evaluation:
    """Measure ``localizer`` on a split: boxes or masks are scored as the data set's truth decides.

    Args:
        localizer: the trained model.
        dataset: photographs with truth; photographs without truth are left out, and listed.
        split: train, val or test.
        options: thresholds, batch size.
        runtime: device and workers.
        progress: wraps an iterable and its length, to show a bar.

    Raises:
        UserError: the split is empty, its classes are not the model's, or more than a tenth is unreadable.
    """
    options, runtime = options or EvaluationOptions(), runtime or Runtime()
    samples, left_out = _readable(dataset, split, localizer.classes)
    scores_truth = dataset.has_truth(split)
    metrics = LocalizationMetrics(
        step=options.step,
        num_classes=len(localizer.classes),
        normalisation=localizer.config.normalisation,
        thresholds=options.thresholds,
    )
    kept: list[_Kept] = []
    every = max(1, math.ceil(len(samples) / GALLERY_CANDIDATES))
    loader = _loader(localizer, dataset, samples, options.batch_size, runtime)
    for pixels, labels, positions in progress(loader, len(loader)):
        scored = localizer.score(pixels, labels)
        batch = [samples[i] for i in positions.tolist()]
        truths = [dataset.truth(sample) for sample in batch]
        left_out += [(s.image_id, NO_TRUTH) for s, t in zip(batch, truths, strict=True) if scores_truth and t is None]
        rows = [row for row, truth in enumerate(truths) if truth is not None or not scores_truth]
        metrics.update(
            [batch[row].image_id for row in rows],
            scored.maps[rows],
            [truths[row] for row in rows],
            labels.numpy()[rows],
            scored.logits[rows],
        )
        if options.gallery and scores_truth:
            top = scored.logits.argmax(1)
            kept += [
                _Kept(batch[row], scored.raw_maps[row].astype(np.float32), int(top[row]))
                for row in rows
                if positions[row] % every == 0
            ]
    result = {"dataset": dataset.name, "split": split, **metrics.compute()}
    best = metrics.best_thresholds()
    threshold = float(best["largest"]["0.5"]) if best else localizer.threshold.value
    return Evaluation(
        result=result,
        curves=metrics.curves(),
        best_thresholds=best,
        gallery=_gallery(localizer, dataset, kept, threshold),
        left_out=tuple(left_out),
    )


def _readable(
    dataset: Dataset, split: str, classes: tuple[str, ...]
) -> tuple[Sequence[Sample], list[tuple[str, str]]]:
    if tuple(dataset.classes) != tuple(classes):
        unknown = sorted(set(dataset.classes) - set(classes)) or ["another order or fewer"]
        raise UserError(
            f"expected the {len(classes)} classes that the run was trained on, found {', '.join(unknown[:5])}: "
            "give the data set it was trained on"
        )
    samples: Sequence[Sample] = dataset.samples(split)
    if not samples:
        raise UserError(f"expected photographs in the split {split} of {dataset.name}, found none: give another --split")
    if not dataset.needs_check:
        return samples, []
    samples, unreadable = readable_samples(dataset, split)
    return samples, [(sample.image_id, reason) for sample, reason in unreadable]


def _loader(
    localizer: Localizer, dataset: Dataset, samples: Sequence[Sample], batch_size: int, runtime: Runtime
) -> DataLoader[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    images = SampleImages(dataset, samples, localizer.config.image_size, None)
    return DataLoader(images, batch_size=batch_size, num_workers=pick_workers(runtime, localizer.device))


def _gallery(
    localizer: Localizer, dataset: Dataset, kept: list[_Kept], threshold: float
) -> dict[str, list[GalleryItem]]:
    if not kept:
        return {}
    normalisation = localizer.config.normalisation
    quality = {}
    for item in kept:
        truth = dataset.truth(item.sample)
        if truth is not None:
            quality[item.sample.image_id] = image_iou(score_maps(item.raw_map, normalisation), truth, threshold)
    ranked = sorted(kept, key=lambda item: (-quality[item.sample.image_id], item.sample.image_id))
    middle = max(0, len(ranked) // 2 - GALLERY_SIZE // 2)
    groups = {
        "best": ranked[:GALLERY_SIZE],
        "median": ranked[middle : middle + GALLERY_SIZE],
        "worst": ranked[::-1][:GALLERY_SIZE],
    }
    cut = localizer.with_threshold(threshold, "oracle")
    return {
        name: [_item(cut, dataset, item, quality[item.sample.image_id]) for item in group]
        for name, group in groups.items()
    }


def _item(localizer: Localizer, dataset: Dataset, kept: _Kept, iou: float) -> GalleryItem:
    image = np.asarray(dataset.image(kept.sample))
    truth = dataset.truth(kept.sample)
    score_map = score_maps(kept.raw_map, localizer.config.normalisation)
    if truth is None:
        raise UserError(f"expected truth of {kept.sample.image_id}, found that it is gone: leave the files in place")
    return GalleryItem(
        image_id=kept.sample.image_id,
        image=image,
        score_map=score_map,
        truth=truth,
        boxes=localizer.boxes(score_map, (image.shape[0], image.shape[1])),
        iou=iou,
        class_name=localizer.classes[kept.sample.label],
        predicted_name=localizer.classes[kept.predicted],
        threshold=localizer.threshold.value,
    )
