"""How far thresholds estimated without boxes fall below the best one; whether a normalisation can be chosen.

    python benchmarks/label_free.py --on DATA TRUTH RUN [RUN ...] [--on DATA TRUTH RUN ...]
        [--cache DIR] [--maps-from NAME]

Every estimator sees up to 200 training photographs, as at the end of training, and no truth. Its threshold is
scored on val: GT-known localization at IoU 0.5 where TRUTH has boxes, the mean IoU of the map's mask with the
true one where it has masks. COCO AP at IoU 0.5 (torchmetrics) is of the boxes in original pixels, labelled as
the photograph's folder and scored by that class's probability; of a mask the true box is the one around its
object pixels. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torchmetrics.detection import MeanAveragePrecision

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.transforms import SampleImages
from rfga.engine.localizing.estimate import spread
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.thresholds.estimators import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    choose_normalisation,
    estimator_scores,
)
from rfga.engine.thresholds.threshold import FIXED_THRESHOLDS
from rfga.geometry.auto_threshold.values import Pool, best_threshold
from rfga.geometry.boxes import boxes_from_pixels
from rfga.geometry.levelsets import component_boxes
from rfga.geometry.maps import resize_mask, score_maps
from rfga.metrics.box_accuracy import benchmark_truth, best_iou_at_thresholds
from rfga.metrics.localization import image_iou
from rfga.metrics.thresholds import threshold_grid
from rfga.types import MASK_OBJECT, FloatArray, Sample, Truth

BATCH = 25
AP_GRID = np.arange(1, 13) / 20  # what the best AP is looked for at, beside the sources' own thresholds
GRID_STEP = {"boxes": 0.001, "masks": 0.01}  # of the thresholds that the oracle chooses from
COMPARABLE = ("otsu", "stability", "grabcut")  # their scores mean the same under every normalisation


class Estimate(NamedTuple):
    """What an estimator says of some maps."""

    threshold: float
    score: float  # at that threshold
    seconds: float  # of the processor


@dataclass(frozen=True, eq=False)
class Case:
    """A run, with the maps of its training and val photographs."""

    name: str
    truths: Sequence[Truth]  # of val
    train_raw: FloatArray
    train_squares: Sequence[Any]  # (S, S, 3) uint8
    val_raw: FloatArray
    val_labels: Sequence[int]
    val_probabilities: Sequence[float]

    @cached_property
    def values(self) -> dict[str, FloatArray]:
        """Normalisation -> score on val at each threshold of ``grid``."""
        found = {}
        for how in FIXED_THRESHOLDS:
            pairs = zip(score_maps(self.val_raw, how), self.truths, strict=True)
            curves = np.stack([score_curve(score_map, truth, self.grid) for score_map, truth in pairs])
            found[how] = np.asarray(curves.mean(axis=0), dtype=np.float64)
        return found

    @property
    def grid(self) -> FloatArray:
        return threshold_grid(GRID_STEP["boxes" if self.truths[0].boxes is not None else "masks"])

    def value(self, how: str, threshold: float) -> float:
        """The score on val at a threshold of two decimals."""
        return float(self.values[how][np.abs(self.grid - threshold).argmin()])

    def best(self, how: str) -> float:
        """The score on val at its best threshold."""
        return float(self.values[how].max())

    @cached_property
    def estimated(self) -> dict[str, dict[str, Estimate]]:
        """Normalisation -> estimator -> what it says."""
        return {how: self._estimated(how) for how in FIXED_THRESHOLDS}

    def _estimated(self, how: str) -> dict[str, Estimate]:
        maps, found = score_maps(self.train_raw, how), {}
        for name in ESTIMATORS:
            began = time.process_time()
            scores = estimator_scores(Pool(maps, self.train_squares), name)
            threshold = best_threshold(scores)
            assert threshold is not None
            highest = float(scores[np.isfinite(scores)].max())
            found[name] = Estimate(threshold, highest, time.process_time() - began)
        return found

    def thresholds(self, how: str) -> dict[str, float]:
        """Source -> threshold, the oracle first."""
        best = float(self.grid[self.values[how].argmax()])
        estimated = {name: found.threshold for name, found in self.estimated[how].items()}
        return {"oracle": best, "fixed": FIXED_THRESHOLDS[how], **estimated}

    def average_precision(self, how: str, threshold: float) -> float:
        """COCO AP at IoU 0.5 of the largest boxes."""
        metric = MeanAveragePrecision(iou_thresholds=[0.5])
        maps = score_maps(self.val_raw, how)
        for i, truth in enumerate(self.truths):
            found = boxes_from_pixels(component_boxes(maps[i], threshold), (224, 224), truth.size_hw)
            label = torch.tensor([self.val_labels[i]])
            prediction = {
                "boxes": torch.tensor(found).reshape(-1, 4),
                "scores": torch.tensor([self.val_probabilities[i]] * len(found)),
                "labels": label.repeat(len(found)),
            }
            boxes = torch.tensor(true_boxes(truth))
            metric.update([prediction], [{"boxes": boxes, "labels": label.repeat(len(boxes))}])
        return float(metric.compute()["map"])


def score_curve(score_map: FloatArray, truth: Truth, grid: FloatArray) -> FloatArray:
    """Of one photograph at each threshold: whether its box is right, or the IoU of its mask."""
    if truth.boxes is not None:
        boxes = benchmark_truth(truth.boxes, truth.size_hw)
        return (best_iou_at_thresholds(score_map, boxes, grid, "largest") >= 0.5).astype(np.float64)
    assert truth.mask is not None
    small = Truth(score_map.shape[:2], mask=resize_mask(truth.mask))  # once for all thresholds
    return np.array([image_iou(score_map, small, float(threshold)) for threshold in grid])


def true_boxes(truth: Truth) -> FloatArray:
    """Boxes in original pixels; of a mask the one around its object pixels."""
    if truth.boxes is not None:
        return truth.boxes
    assert truth.mask is not None
    rows, columns = np.nonzero(truth.mask == MASK_OBJECT)
    return np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=np.float64)


def read_case(run: Path, data: Path, truth: Path, folder: Path | None, maps_from: str | None) -> Case:
    """Maps of a run, from the cache where they are there."""
    name = run.name if maps_from is None else f"{run.name}, {maps_from}"
    dataset = open_dataset(data, truth, "val")
    known = [(s, t) for s in dataset.samples("val") if (t := dataset.truth(s)) is not None]
    train = spread(dataset.samples("train"))
    file = None if folder is None else folder / f"{name}.npz"
    if file is None or not file.is_file():
        localizer = Localizer.load(run, device="cpu", maps_from=maps_from)
        val = [sample for sample, _ in known]
        parts = {"train": forward(localizer, dataset, train), "val": forward(localizer, dataset, val)}
        held = {f"{name}_{key}": value for name, part in parts.items() for key, value in part.items()}
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, **held)
    else:
        held = dict(np.load(file))
    return Case(
        name,
        [t for _, t in known],
        held["train_raw"],
        held["train_squares"],
        held["val_raw"],
        [s.label for s, _ in known],
        held["val_probabilities"].tolist(),
    )


def forward(localizer: Localizer, dataset: Dataset, samples: Sequence[Sample]) -> dict[str, Any]:
    """Raw maps and probabilities of each photograph's own class, and the squares that the network saw."""
    images = SampleImages(dataset, samples, localizer.config.image_size, None)
    raw, squares, probabilities = [], [], []
    for start in range(0, len(samples), BATCH):
        rows = range(start, min(start + BATCH, len(samples)))
        pixels = torch.stack([images[row][0] for row in rows])
        labels = torch.tensor([samples[row].label for row in rows])
        scored = localizer.score(pixels, labels)
        raw.append(scored.raw_maps)
        squares.append(pixels.permute(0, 2, 3, 1).numpy())
        probabilities.append(
            torch.tensor(scored.logits).softmax(1)[torch.arange(len(labels)), labels].numpy()
        )
    joined = {"raw": raw, "squares": squares, "probabilities": probabilities}
    return {name: np.concatenate(parts) for name, parts in joined.items()}


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def print_thresholds(cases: Sequence[Case]) -> None:
    """Min-max maps: threshold, score on val, and AP of each source."""
    chosen = [case.thresholds("minmax") for case in cases]
    rows, precisions = [], {}
    for source in chosen[0]:
        cells, found = [], []
        for case, thresholds in zip(cases, chosen, strict=True):
            best = case.best("minmax")
            value = best if source == "oracle" else case.value("minmax", thresholds[source])
            cells.append(f"{percent(value)} at {thresholds[source]:.2f}")
            found.append(best - value)
        rows.append([source, *cells, percent(float(np.mean(found)))])
        ap = [c.average_precision("minmax", t[source]) for c, t in zip(cases, chosen, strict=True)]
        precisions[source] = ap
    names = [case.name for case in cases]
    print("Score on val, min-max, and how far below the oracle on average\n")
    print_table(["threshold from", *names, "mean shortfall"], rows)
    best_ap = [
        max([*own, *(c.average_precision("minmax", float(threshold)) for threshold in AP_GRID)])
        for c, own in zip(cases, zip(*precisions.values(), strict=True), strict=True)
    ]
    below = {source: np.subtract(best_ap, own) for source, own in precisions.items()}
    ap_rows = [
        [source, *map(percent, own), percent(below[source].mean())] for source, own in precisions.items()
    ]
    print("COCO AP at IoU 0.5, min-max; best: of the column's thresholds and of 0.05, 0.1 ... 0.6\n")
    print_table(
        ["threshold from", *names, "mean shortfall"], [["best", *map(percent, best_ap), "0.0"], *ap_rows]
    )


def print_normalisations(cases: Sequence[Case]) -> None:
    """Mean shortfall for each normalisation, and what a choice between normalisations would give."""
    hows = list(FIXED_THRESHOLDS)
    rows = []
    for source in ("fixed", *ESTIMATORS):
        short = [
            float(np.mean([c.best(how) - c.value(how, c.thresholds(how)[source]) for c in cases]))
            for how in hows
        ]
        rows.append([source, *map(percent, short)])
    print("Mean shortfall below the oracle of the same normalisation\n")
    print_table(["threshold from", *hows], rows)
    best = [[percent(c.best(how)) for how in hows] for c in cases]
    print("The oracle of each normalisation\n")
    print_table(["run", *hows], [[c.name, *cells] for c, cells in zip(cases, best, strict=True)])
    rows = []
    for judge in COMPARABLE:
        cells, gains = [], []
        for case in cases:
            how = choose_normalisation({how: case.estimated[how][judge].score for how in hows})
            value, usual = (
                case.value(h, case.estimated[h][DEFAULT_ESTIMATOR].threshold) for h in (how, "minmax")
            )
            cells.append(f"{how}: {percent(value)}, minmax {percent(usual)}")
            gains.append(value - usual)
        rows.append([judge, *cells, percent(float(np.mean(gains)))])
    print(f"Normalisation chosen by an estimator's highest score, threshold from {DEFAULT_ESTIMATOR}\n")
    print_table(["judge", *[case.name for case in cases], "mean gain over minmax"], rows)


def print_seconds(cases: Sequence[Case]) -> None:
    """Processor time of each estimator."""
    rows = [
        [name, f"{np.median([case.estimated['minmax'][name].seconds for case in cases]):.2f}"]
        for name in ESTIMATORS
    ]
    print(
        "Processor seconds for up to 200 photographs (grabcut: 50), forward pass and resizing apart, median\n"
    )
    print_table(["estimator", "seconds"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--on", type=Path, nargs="+", action="append", required=True, metavar="PATH")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps the maps")
    parser.add_argument("--maps-from", default=None, help="a post-hoc way to read maps")
    asked = parser.parse_args()
    cases = [
        read_case(run, data, truth, asked.cache, asked.maps_from)
        for data, truth, *runs in asked.on
        for run in runs
    ]
    print_thresholds(cases)
    print_normalisations(cases)
    print_seconds(cases)


if __name__ == "__main__":
    main()
