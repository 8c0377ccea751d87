"""Masks of score maps before and after GrabCut, and the boxes of both, on photographs with known truth.

    python benchmarks/masks.py DATA --truth MASKS_OR_BOXES --runs RUN [RUN ...] [--sweep] [--sheet FILE]

Prints Markdown. Of masks: mean IoU (ignored pixels left out) at each threshold, and what each run gives at
the fixed threshold and at the best one of each way. Of boxes (where only masks are known, of the box around
the mask): GT-known localization at IoU 0.5 and mean IoU, of the largest part of the map's mask and of the
refined one. Brackets are bootstrap 95 % intervals over photographs; differences are paired. --sweep changes
one constant of GrabCut's seeds at a time, on the half of the photographs that a hash of their names picks,
and reports the best on the other half. --sheet draws refined masks of the first run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.transforms import SampleImages
from rfga.engine.localizing.localizer import Localizer
from rfga.geometry.boxes import boxes_from_pixels, iou
from rfga.geometry.levelsets import component_boxes
from rfga.geometry.refine import DEFAULTS, GrabCutSettings, grabcut_mask, mask_of
from rfga.metrics.bootstrap import interval, poisson_weights
from rfga.output.export.segmentation import in_box
from rfga.types import MASK_IGNORED, MASK_OBJECT, ByteArray, FloatArray, Sample, Truth

Rows = dict[str, list[FloatArray]]  # way -> for each threshold, a score of each photograph

BATCH = 25
FIXED = 0.3
GRID = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4)
SWEPT_AROUND = GrabCutSettings(224, sure_object=0.7, sure_background=0.2, margin=0.2, iterations=2)
SWEPT: dict[str, tuple[Any, ...]] = {
    "side_pixels": (112, 160, 224, 320),
    "sure_object": (0.5, 0.6, 0.7, 0.8, 0.9),
    "sure_background": (0.0, 0.1, 0.2, 0.35, 0.5),
    "margin": (0.05, 0.1, 0.2, 0.4),
    "iterations": (1, 2, 3, 5),
}


@dataclass(frozen=True, eq=False)
class Case:
    """One photograph with what a run and the truth say of it."""

    image_id: str
    photograph: ByteArray  # (H, W, 3)
    score_map: FloatArray  # (224, 224)
    truth: Truth

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.photograph.shape[0], self.photograph.shape[1]

    def plain(self, threshold: float) -> ByteArray:
        return mask_of(self.score_map, threshold, self.size_hw)

    def refined(self, threshold: float, settings: GrabCutSettings = DEFAULTS) -> ByteArray:
        return grabcut_mask(self.photograph, self.score_map, threshold, settings)


def main() -> None:
    """Measure every run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--thresholds", type=float, nargs="+", default=GRID)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--sheet", type=Path)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    dataset = open_dataset(asked.data, asked.truth, "val")
    known = [(s, t) for s in dataset.samples("val") if (t := dataset.truth(s)) is not None]
    cases = {run.name: read_cases(dataset, known, run) for run in asked.runs}
    if asked.sheet:
        write_sheet(next(iter(cases.values())), asked.sheet)
    elif asked.sweep:
        print_sweep(list(cases.values()))
    else:
        for name, of_run in cases.items():
            print_run(name, of_run, sorted({FIXED, *asked.thresholds}))


def read_cases(dataset: Dataset, known: list[tuple[Sample, Truth]], run: Path) -> list[Case]:
    """All photographs with the run's maps of their own classes."""
    localizer = Localizer.load(run, device="cpu")
    samples = [sample for sample, _ in known]
    images = SampleImages(dataset, samples, localizer.config.image_size)
    cases = []
    for start in range(0, len(known), BATCH):
        rows = range(start, min(start + BATCH, len(known)))
        pixels = torch.stack([images[row][0] for row in rows])
        maps = localizer.score(pixels, torch.tensor([samples[row].label for row in rows])).maps
        for row, score_map in zip(rows, maps, strict=True):
            photograph = np.asarray(dataset.image(samples[row]))
            cases.append(Case(samples[row].image_id, photograph, score_map, known[row][1]))
    return cases


def print_run(name: str, cases: list[Case], thresholds: list[float]) -> None:
    """The tables of one run."""
    ids = [case.image_id for case in cases]
    ways: dict[str, Callable[[Case, float], ByteArray]] = {"map": Case.plain, "GrabCut": Case.refined}
    masks: Rows = {way: [] for way in ways}
    boxes: Rows = {way: [] for way in ways}
    for way, make in ways.items():
        seconds: list[float] = []
        for threshold in thresholds:
            rows = [timed(case, make, threshold, seconds) for case in cases]
            masks[way].append(np.array([mask for mask, _ in rows]))
            boxes[way].append(np.array([box for _, box in rows]))
        print(f"\n{name}, {way}: {1000 * statistics.median(seconds):.1f} ms of processor time a photograph")
    if cases[0].truth.mask is not None:
        print_table(f"{name}: masks, mean IoU", masks, thresholds, ids)
        print_asides(cases, *(masks[way][thresholds.index(FIXED)] for way in ways))
    print_table(f"{name}: boxes, mean IoU", boxes, thresholds, ids)
    right = {way: [(row >= 0.5).astype(float) for row in rows] for way, rows in boxes.items()}
    print_table(f"{name}: boxes, GT-known localization at IoU 0.5", right, thresholds, ids)


def timed(
    case: Case, make: Callable[[Case, float], ByteArray], threshold: float, seconds: list[float]
) -> tuple[float, float]:
    """The IoU of a mask and of its box; how long it took is added to ``seconds``."""
    began = time.process_time()
    mask = make(case, threshold)
    seconds.append(time.process_time() - began)
    return 0.0 if case.truth.mask is None else mask_score(case, mask), box_score(case, mask)


def print_asides(cases: list[Case], plain: FloatArray, refined: FloatArray) -> None:
    """What coco.json loses by keeping to the box, and what refining does without colours."""
    ids = [case.image_id for case in cases]
    cut = np.array([mask_score(case, cut_to_box(case, case.refined(FIXED))) for case in cases])
    print(f"\nrefined and cut to the map's box, at {FIXED}: {cell(cut, ids)}", end="")
    print(f", against uncut {cell(cut - refined, ids)}")
    grey = np.array([mask_score(case, grey_case(case).refined(FIXED)) for case in cases])
    print(f"as shades of grey, refined, against the map's mask, at {FIXED}: {cell(grey - plain, ids)}")


def mask_score(case: Case, mask: ByteArray) -> float:
    """IoU of a mask with the true one, without ignored pixels."""
    truth = case.truth.mask
    assert truth is not None
    counted = truth != MASK_IGNORED
    found, wanted = (mask != 0) & counted, (truth == MASK_OBJECT) & counted
    union = int((found | wanted).sum())
    return int((found & wanted).sum()) / union if union else 1.0


def box_score(case: Case, mask: ByteArray) -> float:
    """IoU of the box of a mask's largest part with the nearest true one."""
    truth = case.truth.boxes
    if truth is None:
        assert case.truth.mask is not None
        ys, xs = np.nonzero(case.truth.mask == MASK_OBJECT)
        truth = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], dtype=np.float64)
    return float(iou(box_of(mask), truth).max(initial=0))


def box_of(mask: ByteArray) -> FloatArray:
    """The box (1, 4) of a mask's largest part in its pixels; (0, 4) where it is empty."""
    size_hw = mask.shape[0], mask.shape[1]
    return boxes_from_pixels(component_boxes(mask / 255, 0.5), size_hw, size_hw)


def cut_to_box(case: Case, mask: ByteArray) -> ByteArray:
    """What coco.json holds of a mask: its pixels in the map's box."""
    (box,) = box_of(case.plain(FIXED))
    return np.where(in_box(mask, box), mask, 0).astype(np.uint8)


def grey_case(case: Case) -> Case:
    """The same photograph in shades of grey, with a hint of blue in one pixel, so that it is refined."""
    grey = np.asarray(cv2.cvtColor(case.photograph, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    photograph = np.repeat(grey[..., None], 3, axis=2)
    photograph[0, 0, 2] ^= 1
    return replace(case, photograph=photograph)


def print_table(title: str, found: Rows, thresholds: list[float], ids: Sequence[str]) -> None:
    """Both ways at the fixed threshold and at the best of each, and by threshold."""
    print(f"\n{title}\n\n| way | {' | '.join(f'{t:g}' for t in thresholds)} |")
    print("|---" * (len(thresholds) + 1) + "|")
    for way, rows in found.items():
        print(f"| {way} | {' | '.join(f'{100 * row.mean():.1f}' for row in rows)} |")
    print("\n| threshold | map | GrabCut | difference |\n|---|---|---|---|")
    best = {way: int(np.argmax([row.mean() for row in rows])) for way, rows in found.items()}
    fixed = thresholds.index(FIXED)
    named = f"best of each ({thresholds[best['map']]:g}, {thresholds[best['GrabCut']]:g})"
    for said, before, after in ((f"fixed {FIXED}", fixed, fixed), (named, best["map"], best["GrabCut"])):
        plain, refined = found["map"][before], found["GrabCut"][after]
        print(f"| {said} | {cell(plain, ids)} | {cell(refined, ids)} | {cell(refined - plain, ids)} |")


def cell(values: FloatArray, ids: Sequence[str]) -> str:
    """A mean in percent with its bootstrap interval."""
    weights = poisson_weights(ids)
    low, high = interval(weights @ values / weights.sum(axis=1))
    return f"{100 * values.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


def print_sweep(runs: list[list[Case]]) -> None:
    """Mean IoU over runs on the half to choose on, for each setting; on the other half for the best."""
    first = [[case for case in cases if in_first_half(case.image_id)] for cases in runs]
    other = [[case for case in cases if not in_first_half(case.image_id)] for cases in runs]
    print(f"{len(first[0])} photographs to choose on, {len(other[0])} others; the map's masks: ", end="")
    print(" and ".join(f"{100 * mean_score(half, Case.plain):.1f}" for half in (first, other)))
    tried: dict[GrabCutSettings, float] = {}
    print("\n| constant | value | mean IoU |\n|---|---|---|")
    for constant, values in SWEPT.items():
        for value in values:
            settings = replace(SWEPT_AROUND, **{constant: value})
            if settings not in tried:
                tried[settings] = mean_score(first, partial(Case.refined, settings=settings))
            print(f"| {constant} | {value:g} | {100 * tried[settings]:.1f} |", flush=True)
    best = max(tried, key=lambda settings: tried[settings])
    for said, settings in (("start", SWEPT_AROUND), ("best", best)):
        value = mean_score(other, partial(Case.refined, settings=settings))
        print(f"\n{said}, {settings}: {100 * value:.1f} on the other half")


def in_first_half(image_id: str) -> bool:
    """Whether constants may be chosen on this photograph."""
    return blake2b(image_id.encode(), digest_size=1).digest()[0] % 2 == 0


def mean_score(runs: list[list[Case]], make: Callable[[Case, float], ByteArray]) -> float:
    """Mean IoU over photographs and runs at the fixed threshold."""
    return statistics.fmean(mask_score(case, make(case, FIXED)) for cases in runs for case in cases)


def write_sheet(cases: list[Case], path: Path, count: int = 12, side: int = 300) -> None:
    """Every n-th photograph with the map's mask (yellow outline), the refined (red) and the true (blue)."""
    tiles = []
    for case in cases[:: max(1, len(cases) // count)][:count]:
        tile = case.photograph.copy()
        found, truth = case.refined(FIXED), case.truth.mask
        tile[found == 0] //= 2
        outlines = [(case.plain(FIXED), (255, 230, 0)), (found, (255, 0, 0))]
        if truth is not None:
            outlines.append((np.where(truth == MASK_OBJECT, 255, 0).astype(np.uint8), (0, 120, 255)))
        for mask, colour in outlines:
            lines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(tile, lines, -1, colour, 1)
        scores = [] if truth is None else [mask_score(case, mask) for mask, _ in outlines[:2]]
        said = " > ".join(f"{score:.2f}" for score in scores)
        factor = side / max(case.size_hw)
        small = cv2.resize(tile, None, fx=factor, fy=factor)[:side, :side]
        square = np.pad(small, ((0, side - small.shape[0]), (0, side - small.shape[1]), (0, 0)))
        font = cv2.FONT_HERSHEY_SIMPLEX
        tiles.append(cv2.putText(square, said, (5, side - 8), font, 0.6, (255, 255, 255), 2))
    rows = [np.concatenate(tiles[start : start + 4], axis=1) for start in range(0, len(tiles), 4)]
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
