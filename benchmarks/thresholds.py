"""Where the best threshold lies for each normalisation, and what a Gaussian in the middle reaches.

    python benchmarks/thresholds.py DATA --truth BOXES --runs RUN [RUN ...]

Prints Markdown: MaxBoxAccV2, and GT-known localization at the best and at the package's fixed threshold.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rfga.data import open_dataset
from rfga.data.transforms import SampleImages
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.thresholds.threshold import FIXED_THRESHOLDS
from rfga.geometry.maps import EVAL_SIZE_HW, normalise, score_maps
from rfga.metrics.localization import LocalizationMetrics
from rfga.types import FloatArray, Sample, Truth

BATCH = 25
SIGMA = 0.25  # of the Gaussian, as a fraction of the side


def main() -> None:
    """Score every run under every normalisation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    asked = parser.parse_args()
    dataset = open_dataset(asked.data, asked.truth, "val")
    known = [(s, t) for s in dataset.samples("val") if (t := dataset.truth(s)) is not None]
    centre = np.broadcast_to(gaussian(), (len(known), *EVAL_SIZE_HW))
    print("| maps | normalisation | MaxBoxAccV2 | best | at the fixed threshold |")
    print("|---|---|---|---|---|")
    print_row("centre Gaussian", "minmax", centre, known)
    for run in asked.runs:
        localizer = Localizer.load(run, device="cpu")
        images = SampleImages(dataset, [s for s, _ in known], localizer.config.image_size, None)
        raw = raw_maps(localizer, images, [s.label for s, _ in known])
        for how in FIXED_THRESHOLDS:
            print_row(run.name, how, score_maps(raw, how), known)


def gaussian() -> FloatArray:
    """An isotropic Gaussian in the middle, normalised."""
    offset = (np.arange(EVAL_SIZE_HW[0]) + 0.5) / EVAL_SIZE_HW[0] - 0.5
    return normalise(np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * SIGMA**2)))


def raw_maps(localizer: Localizer, images: SampleImages, labels: list[int]) -> FloatArray:
    """The method's maps (N, h, w) of each photograph's own class."""
    found = []
    for start in range(0, len(labels), BATCH):
        rows = range(start, min(start + BATCH, len(labels)))
        pixels = torch.stack([images[row][0] for row in rows])
        found.append(localizer.score(pixels, torch.tensor([labels[row] for row in rows])).raw_maps)
    return np.concatenate(found)


def print_row(name: str, how: str, maps: FloatArray, known: list[tuple[Sample, Truth]]) -> None:
    """One line of the table."""
    metrics = LocalizationMetrics(
        thresholds={"fixed": FIXED_THRESHOLDS[how]}, normalisation=how, replicates=0
    )
    metrics.update([s.image_id for s, _ in known], maps, [t for _, t in known])
    found: dict[str, Any] = metrics.compute()["metrics"]
    best, fixed = found["GTKnownLoc"]
    print(
        f"| {name} | {how} | {100 * found['MaxBoxAccV2'][0]['value']:.1f} "
        f"| {100 * best['value']:.1f} at {best['threshold']:.3f} "
        f"| {100 * fixed['value']:.1f} at {fixed['threshold']:.2f} |"
    )


if __name__ == "__main__":
    main()
