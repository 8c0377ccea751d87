"""PSOL's regressor (Zhang, Cao and Wu, CVPR 2020) on the boxes that a run finds itself: does it gain on top?

    python benchmarks/psol.py DATA --truth BOXES_OR_MASKS --run RUN [--grid 7]

The run's boxes of train, made without any box, are what is learned: by ridge regression, its strength by
generalised cross-validation, from the features before the last stage, averaged to a grid of places. Boxes of
val by the run, by the regressor, and the mean of both, are compared with the true ones, on both halves of
``halves.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from halves import half_of
from table import BATCH, LEVELS, true_boxes
from torch import Tensor
from torch.nn import functional as F

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.transforms import SampleImages
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.model import normalised
from rfga.geometry.boxes import iou
from rfga.types import FloatArray, Sample

STRENGTHS = 10.0 ** np.arange(-3, 1.6, 0.5)


def main() -> None:
    """Learn from the run's boxes of train, and compare on val."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--grid", type=int, default=7)
    asked = parser.parse_args()
    dataset = open_dataset(asked.data, asked.truth, "val")
    localizer = Localizer.load(asked.run, device="cpu")
    known = [s for s in dataset.samples("val") if dataset.truth(s) is not None]
    features, boxes = seen(localizer, dataset, dataset.samples("train"), asked.grid)
    there = ~np.isnan(boxes).any(1)
    of_val, own = seen(localizer, dataset, known, asked.grid)
    regressed = ridge(features[torch.from_numpy(there)], boxes[there], of_val)
    own = np.where(np.isnan(own), regressed, own)
    halves = np.array([half_of(sample.image_id) for sample in known])
    print("| boxes | tune | report |\n|---|---|---|")
    for name, found in (("own", own), ("regressed", regressed), ("mean of both", (own + regressed) / 2)):
        values = np.array([overlap(dataset, s, box) for s, box in zip(known, found, strict=True)])
        cells = [
            " / ".join(f"{100 * (values[halves == half] >= level).mean():.1f}" for level in LEVELS)
            for half in ("tune", "report")
        ]
        print(f"| {name} | {' | '.join(cells)} |")


@torch.no_grad()
def seen(
    localizer: Localizer, dataset: Dataset, samples: Sequence[Sample], grid: int
) -> tuple[Tensor, FloatArray]:
    """Features (N, C * grid * grid), and the run's boxes (N, 4) as fractions of the sides, or no numbers."""
    backbone = localizer.method.backbone
    own = [name for name in backbone.stages if name not in ("features", "neck")]
    images = SampleImages(dataset, samples, localizer.config.image_size, None)
    features, boxes = [], []
    for begin in range(0, len(samples), BATCH):
        rows = range(begin, min(begin + BATCH, len(samples)))
        pixels = torch.stack([images[i][0] for i in rows])
        scored = localizer.score(pixels, torch.tensor([samples[i].label for i in rows]))
        for score_map in scored.maps:
            found = localizer.boxes(score_map, (1, 1))
            boxes.append(found[0] if len(found) else np.full(4, np.nan))
        _, (last,) = backbone.forward_places(normalised(pixels, backbone), own[-1:])
        features.append(F.adaptive_avg_pool2d(last, grid).flatten(1).double())
    return torch.cat(features), np.stack(boxes)


def ridge(features: Tensor, boxes: FloatArray, asked: Tensor) -> FloatArray:
    """The boxes (M, 4) that follow from the features ``asked`` (M, D), learned from (N, D) and (N, 4)."""
    wanted = torch.from_numpy(boxes)
    mean, middle = features.mean(0), wanted.mean(0)
    centred = features - mean
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    turned = vectors.T @ (wanted - middle)
    scale = float(values.mean())

    def surprise(strength: float) -> float:
        left = strength * scale / (values + strength * scale)
        return float((left[:, None] * turned).square().mean() / left.mean().square())

    strength = min(STRENGTHS, key=surprise)
    weights = vectors @ (turned / (values + strength * scale)[:, None])
    found: FloatArray = ((asked - mean) @ centred.T @ weights + middle).clamp(0, 1).numpy()
    return found


def overlap(dataset: Dataset, sample: Sample, box: FloatArray) -> float:
    """IoU with the true box that it meets best."""
    truth = dataset.truth(sample)
    assert truth is not None
    height, width = truth.size_hw
    return float(iou(box[None] * np.array([width, height, width, height]), true_boxes(truth)).max())


if __name__ == "__main__":
    main()
