"""Methods on two halves of a split, one to tune on and one to report, with paired differences.

    python benchmarks/halves.py DATA --truth BOXES_OR_MASKS --runs LABEL=RUN,RUN ... [--half report]

A photograph's half is decided by a hash of its file name. The first label is compared with each of the
others: runs are paired in the order given (so give seeds in the same order), and the interval is the paired
bootstrap over images of the mean difference. With --spread, each label appears a second time, with its maps
spread along the self-similarity of its network's middle features (where the method does not do so itself).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch

from rfga.data import open_dataset
from rfga.data.transforms import SampleImages
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.model import normalised
from rfga.geometry.maps import score_maps
from rfga.metrics.localization import LocalizationMetrics
from rfga.metrics.replicates import paired_interval, replicate_values
from rfga.nn.self_similarity import spread_along
from rfga.types import FloatArray, Sample, Truth

BATCH = 32
Known = list[tuple[Sample, Truth]]


@dataclass
class Line:
    """One label of the table: replicates (1 + R,) of each of its runs, by metric."""

    label: str
    replicates: list[dict[str, FloatArray]] = field(default_factory=list)

    def values(self, metric: str) -> list[float]:
        return [100 * float(found[metric][0]) for found in self.replicates]


def half_of(image_id: str) -> str:
    """``tune`` or ``report``, by the file's name alone."""
    name = image_id.rpartition("/")[2]
    return ("tune", "report")[blake2b(name.encode(), digest_size=8).digest()[0] % 2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--runs", nargs="+", required=True, metavar="LABEL=RUN,RUN")
    parser.add_argument("--half", choices=("tune", "report", "all"), default="report")
    parser.add_argument("--spread", action="store_true")
    asked = parser.parse_args()
    dataset = open_dataset(asked.data, asked.truth, "val")
    every = [(s, t) for s in dataset.samples("val") if (t := dataset.truth(s)) is not None]
    known = [pair for pair in every if asked.half in ("all", half_of(pair[0].image_id))]
    lines: list[Line] = []
    for group in asked.runs:
        label, _, runs = group.partition("=")
        plain, after = Line(label), Line(f"{label} + spread")
        for run in runs.split(","):
            localizer = Localizer.load(run, device="cpu")
            images = SampleImages(dataset, [s for s, _ in known], localizer.config.image_size, None)
            logits, maps, spread_maps = read(localizer, images, known)
            plain.replicates.append(replicates(logits, maps, known))
            if asked.spread and localizer.config.method != "rfga-spread":
                after.replicates.append(replicates(logits, spread_maps, known))
        lines += [line for line in (plain, after) if line.replicates]
        print(f"read {label}", flush=True)
    print_table(lines, asked.half, len(known))


@torch.inference_mode()
def read(
    localizer: Localizer, images: SampleImages, known: Known
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logits (N, K), raw maps (N, h, w) of the true classes, and the same maps spread."""
    logits, maps, after = [], [], []
    backbone = localizer.method.backbone
    for begin in range(0, len(images), BATCH):
        rows = range(begin, min(begin + BATCH, len(images)))
        pixels = torch.stack([images[i][0] for i in rows])
        scored = localizer.score(pixels, torch.tensor([known[i][0].label for i in rows]))
        places = backbone.middle_places[:3]
        _, middle = backbone.forward_places(normalised(pixels, backbone), places)
        raw = torch.from_numpy(scored.raw_maps)[:, None]
        logits.append(scored.logits)
        maps.append(scored.raw_maps)
        after.append(spread_along(raw, [part.double() for part in middle])[:, 0].numpy())
    return np.concatenate(logits), np.concatenate(maps), np.concatenate(after)


def replicates(logits: FloatArray, raw: FloatArray, known: Known) -> dict[str, FloatArray]:
    metrics = LocalizationMetrics(num_classes=logits.shape[1])
    for begin in range(0, len(known), BATCH):
        part = slice(begin, begin + BATCH)
        samples = [sample for sample, _ in known[part]]
        metrics.update(
            [sample.image_id for sample in samples],
            score_maps(raw[part], "minmax"),
            [truth for _, truth in known[part]],
            [sample.label for sample in samples],
            logits[part],
        )
    return replicate_values(metrics)


def print_table(lines: list[Line], half: str, count: int) -> None:
    names = [n for n in ("MaxBoxAccV2", "PxAP", "GTKnownLoc", "Top1Cls") if n in lines[0].replicates[0]]
    print(
        f"\n{half} half, {count} photographs; percent, mean and standard deviation over runs; in parentheses"
    )
    print(f"the difference of {lines[0].label} to the line, with its paired bootstrap 95 % interval\n")
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for line in lines:
        cells = " | ".join(cell(lines[0], line, name) for name in names)
        print(f"| {line.label} ({len(line.replicates)}) | {cells} |")


def cell(ours: Line, line: Line, metric: str) -> str:
    values = line.values(metric)
    text = f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
    if line is ours:
        return text
    pairs = min(len(ours.replicates), len(line.replicates))
    low, high = paired_interval(
        [found[metric] for found in ours.replicates[:pairs]],
        [found[metric] for found in line.replicates[:pairs]],
    )
    difference = mean(ours.values(metric)[:pairs]) - mean(values[:pairs])
    return f"{text} ({difference:+.1f}, {100 * low:+.1f} to {100 * high:+.1f})"


if __name__ == "__main__":
    main()
