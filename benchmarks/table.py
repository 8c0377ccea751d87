"""The measured table: methods and ways to read maps, on one collection, by boxes that no box helped to cut.

    python benchmarks/table.py COLLECTION --truth BOXES_OR_MASKS --out RUNS --weights FILE
        [--rows solved|frozen|tuned|all]

Each row is a run of ``rfga train`` and a way to read it. ``solved`` rows know no epochs; ``frozen`` ones
train new layers alone, ``tuned`` ones the whole network, each as published and with the collection's
foreground on top. A killed call goes on where it stopped. Of every photograph of val, the box of its class at
the label-free threshold is compared with the true boxes (of a mask: the box around it). The table has both
halves of ``halves.py`` and, on the report half, the first row less each other, with the paired bootstrap
interval.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from halves import half_of

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.transforms import SampleImages
from rfga.engine.localizing.estimate import ensure_estimate
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.folder import RunFolder
from rfga.engine.runtime.machine import Runtime
from rfga.engine.thresholds.threshold import LABEL_FREE, label_free_estimate
from rfga.geometry.boxes import iou
from rfga.methods import BY_PASSES, METHODS, POSTHOC, WITH_FOREGROUND
from rfga.types import MASK_OBJECT, FloatArray, Sample, Truth

LEVELS = (0.3, 0.5, 0.7)
BATCH = 16
REPLICATES = 2000
SLOW = ("scorecam",)  # as many passes for a photograph as there are channels


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    label: str
    flags: str  # of rfga train
    maps: str | None = None  # how the run is read


def rows_of(kind: str) -> list[Row]:
    """The rows asked for; the first is what the others are compared with.

    Example:
        >>> [row.label for row in rows_of("solved")][:2]
        ['foreground', 'ridge']
    """
    trained = [name for name in METHODS if name not in BY_PASSES]
    readers = [name for name in POSTHOC if name not in SLOW]
    solved = [Row(name, f"--method {name}") for name in BY_PASSES]
    solved += [Row(f"ridge, maps from {name}", "--method ridge", name) for name in readers]
    solved += [
        Row(f"seeds from {name}", f"--method ridge --foreground --seeds-from {name}") for name in readers
    ]
    found = {"solved": solved, "frozen": [], "tuned": []}
    for part, flags in (("frozen", " --freeze-backbone"), ("tuned", "")):
        for name in trained:
            found[part].append(Row(f"{name}, {part}", f"--method {name}{flags}"))
            found[part].append(Row(f"{name}, {part} + foreground", f"--method {name}{flags} --foreground"))
    first = [row for row in solved if row.label in WITH_FOREGROUND][:1]
    chosen = [row for part in found.values() for row in part] if kind == "all" else found[kind]
    return [*first, *(row for row in chosen if row not in first)]


def main() -> None:
    """Train and read what is not there yet, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--weights", default="imagenet", help="of the backbone: a file, or timm's")
    parser.add_argument("--common", default="--image-size 224", help="further flags of every rfga train")
    parser.add_argument("--rows", choices=("solved", "frozen", "tuned", "all"), default="solved")
    parser.add_argument("--only", nargs="+", help="labels of the rows to make, with the first")
    asked = parser.parse_args()
    rows = rows_of(asked.rows)
    rows = [row for row in rows if not asked.only or row is rows[0] or row.label in asked.only]
    dataset = open_dataset(asked.data, asked.truth, "val")
    known = [(s, t) for s in dataset.samples("val") if (t := dataset.truth(s)) is not None]
    found = {row.label: measured(asked, row, dataset, known) for row in rows}
    print_table(found, np.array([half_of(sample.image_id) for sample, _ in known]))


def measured(
    asked: argparse.Namespace, row: Row, dataset: Dataset, known: list[tuple[Sample, Truth]]
) -> FloatArray:
    """The IoU of every photograph's box, from the file where it is known already."""
    run = asked.out / "-".join(part.strip("-") for part in row.flags.split())
    file: Path = run / f"ious-{row.maps or 'own'}.json"
    if not file.is_file():
        network = ["--backbone", asked.backbone, "--weights", asked.weights]
        flags = [*network, *shlex.split(asked.common), *row.flags.split(), "--resume", "--quiet"]
        command = [sys.executable, "-m", "rfga", "train", asked.data, "--out", str(run), *flags]
        subprocess.run(command, check=True, stdout=sys.stderr)
        file.write_text(json.dumps(ious(RunFolder(run), row.maps, dataset, known).tolist()))
        print(f"read {row.label}", file=sys.stderr, flush=True)
    return np.array(json.loads(file.read_text()))


@torch.no_grad()
def ious(run: RunFolder, maps: str | None, dataset: Dataset, known: list[tuple[Sample, Truth]]) -> FloatArray:
    """Of each photograph's box with the true box that it meets best; 0 without a box."""
    localizer = Localizer.load(run.path, device="cpu", maps_from=maps)
    ensure_estimate(run, localizer, dataset, "val", Runtime(device="cpu", quiet=True))
    level = label_free_estimate(run.read_metrics(), localizer.config.normalisation, localizer.maps)
    localizer = localizer if level is None else localizer.with_threshold(level, LABEL_FREE)
    images = SampleImages(dataset, [sample for sample, _ in known], localizer.config.image_size, None)
    best = []
    for begin in range(0, len(known), BATCH):
        part = known[begin : begin + BATCH]
        pixels = torch.stack([images[begin + i][0] for i in range(len(part))])
        scored = localizer.score(pixels, torch.tensor([sample.label for sample, _ in part]))
        sizes = [truth.size_hw for _, truth in part]
        made = localizer.predictions(scored, [sample.image_id for sample, _ in part], sizes)
        for prediction, (_, truth) in zip(made, part, strict=True):
            overlaps = iou(prediction.boxes[:1], true_boxes(truth))
            best.append(float(overlaps.max()) if overlaps.size else 0.0)
    return np.array(best)


def true_boxes(truth: Truth) -> FloatArray:
    """(n, 4): the boxes, or the one around the mask."""
    if truth.boxes is not None:
        return truth.boxes
    assert truth.mask is not None
    x, y, width, height = cv2.boundingRect(np.equal(truth.mask, MASK_OBJECT).astype(np.uint8))
    return np.array([[x, y, x + width, y + height]], dtype=np.float64)


def print_table(found: dict[str, FloatArray], halves: FloatArray) -> None:
    """Markdown, in percent."""
    tune, report = (halves == name for name in ("tune", "report"))
    first = next(iter(found.values()))
    draws = np.random.default_rng(0).integers(report.sum(), size=(REPLICATES, int(report.sum())))
    print(f"| | tune ({tune.sum()}) | report ({report.sum()}) | first row less this one at 0.5, report |")
    print("|---|---|---|---|")
    for label, values in found.items():
        cells = [" / ".join(f"{100 * (values[h] >= at).mean():.1f}" for at in LEVELS) for h in (tune, report)]
        gain = (first[report] >= 0.5).astype(float) - (values[report] >= 0.5)
        low, high = 100 * np.percentile(gain[draws].mean(1), (2.5, 97.5))
        said = "" if values is first else f"{100 * gain.mean():+.1f} ({low:+.1f} to {high:+.1f})"
        print(f"| {label} | {cells[0]} | {cells[1]} | {said} |")


if __name__ == "__main__":
    main()
