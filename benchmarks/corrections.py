"""What a few boxes by a person teach the foreground: boxes right on one half of val, learned from the other.

    python benchmarks/corrections.py DATA --truth BOXES --weights FILE --out RUN [--draws 5] [--few-shot]

The foreground is solved on train without any box. Then 5, 10, 20 or 50 photographs of val's tune half get
their true boxes: drawn by chance, or those whose boxes are the least sure. What is found on the report half
is right at an IoU of 0.5 with any true box. --few-shot trains the benchmark's baseline on the photographs of
the first draw, with the network frozen, and cuts its probabilities at one half.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from halves import half_of
from torch import Tensor

from rfga.data import open_dataset
from rfga.data.transforms import Augmentation
from rfga.data.truth.given import Given
from rfga.engine.learning.corrections import teach
from rfga.engine.learning.data import Loaders, epoch_loader
from rfga.engine.learning.few_shot import FewShotImages, FewShotNetwork
from rfga.engine.learning.fitting import fit
from rfga.engine.learning.seen import Seen, see
from rfga.engine.learning.train import train
from rfga.engine.localizing.confidence import run_confidence
from rfga.engine.localizing.confidence_fit import known_samples, true_boxes
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import build_on_backbone, normalised
from rfga.engine.run.shelf import FEATURES, TEMPORARY_GB, Shelf
from rfga.engine.runtime.machine import Runtime
from rfga.geometry.box_evidence import box_evidence, find_boxes
from rfga.geometry.boxes import iou
from rfga.geometry.maps import score_maps
from rfga.methods.foreground import Foreground
from rfga.nn.foreground import as_share
from rfga.types import FloatArray

COUNTS, CUT = (5, 10, 20, 50), 0.5
CPU = Runtime(device="cpu", workers=0, features_gb=TEMPORARY_GB, quiet=True)


class Collection:
    """The photographs of val with their truth, as a solved foreground sees them."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.dataset = open_dataset(asked.data, asked.truth)
        self.known = list(known_samples(self.dataset, "val", 10**9))
        run = RunFolder(asked.out)
        if run.is_finished:
            run.reopen()  # solved again from the sums that it kept
        config = TrainConfig(
            method="foreground", backbone=asked.backbone, weights=str(asked.weights), image_size=asked.size
        )
        method = train(config, self.dataset, run, runtime=CPU, policy=RunPolicy(resume=True))
        assert isinstance(method, Foreground)
        self.method, self.config, self.confidence = method, config, run_confidence({}, "none")
        pairs = [(sample, Given(true_boxes(truth))) for sample, truth in self.known]
        shelf = Shelf(run.path / FEATURES, method.backbone, config.image_size, TEMPORARY_GB)
        self.seen = see(method, self.dataset, pairs, config.image_size, shelf)
        self.solved, self.doubted = (method.discriminants.clone(), method.levels.clone()), method.in_doubt
        halves = [half_of(sample.image_id) for sample, _ in self.known]
        self.tune, self.report = (
            [i for i, half in enumerate(halves) if half == name] for name in ("tune", "report")
        )

    def taught_by(self, chosen: Sequence[int]) -> tuple[float, float]:
        """Percentages of the report half right, and of the corrected photographs, left out one at a time."""
        try:
            taught = teach(self.method, [self.seen[i] for i in chosen], self.confidence)
            right = percent(self.found(self.report)[0])
            return right, 100 * taught.right / max(1, taught.judged)
        finally:
            self.method.discriminants.copy_(self.solved[0])
            self.method.levels.copy_(self.solved[1])
            self.method.doubt(self.doubted)

    @torch.no_grad()
    def found(self, chosen: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """IoU and confidence of the box of each photograph, 0 where there is none."""
        ious, sure = np.zeros(len(chosen)), np.zeros(len(chosen))
        for row, index in enumerate(chosen):
            one = self.seen[index]
            images = normalised(one.pixels[None], self.method.backbone)
            if self.method.in_doubt:
                maps = self.method.localize(images, torch.tensor([one.outlined.label])).maps
            else:
                values = one.outlined.vectors @ self.method.discriminants[one.outlined.label]
                drawn = self.method.outlined(values.view(1, 1, *one.grid_hw), images)
                maps = as_share(drawn, self.method.levels[0])
            raw = maps[0].double().numpy()
            [score_map] = score_maps(raw, "none")
            boxes = find_boxes(score_map, CUT)
            if len(boxes.boxes):
                evidence = box_evidence(score_map, boxes, CUT, raw[0], 0.5)
                ious[row], sure[row] = iou(boxes.boxes, one.boxes).max(), self.confidence.plain(evidence)[0]
        return ious, sure

    def few_shot(self, chosen: Sequence[int]) -> float:
        """Percentage of the report half right by the few-shot baseline."""
        samples = [self.known[i][0] for i in chosen]
        config = replace(self.config, method="cam", freeze_backbone=True, normalisation="minmax")
        network = build_on_backbone(
            config, lambda backbone: FewShotNetwork(backbone, len(self.dataset.classes))
        )
        images = FewShotImages(self.dataset, samples, config.image_size, Augmentation())
        fit(network, config, Loaders(epoch_loader(images, len(samples), config, 0), len(samples)), None, CPU)
        return percent(np.array([_box_iou(network.eval(), self.seen[i]) for i in self.report]))


@torch.no_grad()
def _box_iou(network: FewShotNetwork, one: Seen) -> float:
    found: Tensor = network.localize(normalised(one.pixels[None], network.backbone)).maps[0]
    [score_map] = score_maps(found.double().numpy(), "none")
    return float(iou(find_boxes(score_map, CUT).boxes, one.boxes).max(initial=0.0))


def percent(ious: FloatArray) -> float:
    return 100 * float((ious >= 0.5).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--few-shot", action="store_true")
    asked = parser.parse_args()
    held = Collection(asked)
    _, sure = held.found(held.tune)
    worst = [held.tune[place] for place in np.argsort(sure, kind="stable")]
    print(f"{asked.data.name}: no box: report half {percent(held.found(held.report)[0]):.1f}", flush=True)
    for count in COUNTS:
        draws = [
            np.random.default_rng(draw).permutation(held.tune)[:count].tolist() for draw in range(asked.draws)
        ]
        rows = [held.taught_by(chosen) for chosen in draws]
        right = [row[0] for row in rows]
        line = f"| {count} | {np.mean(right):.1f} ({min(right):.1f} to {max(right):.1f})"
        line += f" | left out: {np.mean([row[1] for row in rows]):.1f} | worst first: "
        line += f"{held.taught_by(worst[:count])[0]:.1f} |"
        if asked.few_shot:
            line += f" few-shot: {held.few_shot(draws[0]):.1f} |"
        print(line, flush=True)


if __name__ == "__main__":
    main()
