"""From first boxes to corrected ones: what each step of a walk makes of a collection, and how long it takes.

    python benchmarks/walk.py DATA --truth BOXES --out OUT --weights FILE [--counts 5,10,20,50]

Builds boxes, then plays a person with `rfga review`: of val's tune half the photographs whose boxes are the
least sure get their true boxes (COCO, named from val), or are said to be right where each true box overlaps
one that was found by 0.8, and there are no others. Then `rfga build --truth corrected.json` learns from them,
and so on with more. Right: the first box overlaps a true one by 0.5. The report half is never corrected.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from halves import half_of

from rfga.data import open_dataset
from rfga.engine.reviewing.corrected import write_corrected
from rfga.engine.reviewing.corrections import box_of
from rfga.engine.reviewing.review import Review
from rfga.engine.reviewing.sitting import ReviewCommand, opened
from rfga.geometry.boxes import iou
from rfga.types import FloatArray

Truths = dict[str, tuple[FloatArray, str]]  # name from DATA -> true boxes, class


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", default="5,10,20,50")
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--weights", default="imagenet")
    asked = parser.parse_args()
    dataset = open_dataset(str(asked.data), asked.truth)
    known: Truths = {
        f"val/{sample.image_id}": (truth.boxes, dataset.classes[sample.label])
        for sample in dataset.samples("val")
        if (truth := dataset.truth(sample)) is not None and truth.boxes is not None
    }
    print("| corrected | of them right as found | report half right, percent | all of val | seconds |")
    print("|---|---|---|---|---|", flush=True)
    tell(asked.out, known, (0, 0), build(asked, ()))
    for count in map(int, asked.counts.split(",")):
        right = correct(asked.out, known, count)
        seconds = build(asked, ("--truth", str(asked.out / "boxes" / "corrected.json")))
        tell(asked.out, known, (count, right), seconds)


def build(asked: argparse.Namespace, more: Sequence[str]) -> float:
    """Build, or build anew from what is known now; gives seconds of the processor."""
    before = processor_seconds()
    command = [sys.executable, "-m", "rfga", "build", str(asked.data), "--out", str(asked.out)]
    command += ["--backbone", asked.backbone, "--weights", asked.weights, *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return processor_seconds() - before


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def correct(out: Path, known: Truths, count: int) -> int:
    """Correct the least sure photographs until so many are; gives how many were right as they were found."""
    with opened(ReviewCommand(out)) as review:
        tune = [n for n, name in enumerate(review.found.names) if half_of(name) == "tune" and name in known]
        done = [number for number in tune if review.state(number) != "open"]
        worst = [number for number in review.found.worst_first if number in set(tune) - set(done)]
        for number in worst[: count - len(done)]:
            say(review, number, known)
        write_corrected(review, ("coco",))
        return sum(review.state(number) == "right" for number in tune)


def say(review: Review, number: int, known: Truths) -> None:
    boxes, class_name = known[review.found.names[number]]
    overlaps = iou(review.found[number].boxes, boxes)
    if overlaps.shape[0] == overlaps.shape[1] and (overlaps.max(axis=0, initial=0) >= 0.8).all():
        review.change(number, "right")
    else:
        review.change(number, "corrected", [box_of(box.tolist(), class_name) for box in boxes])


def tell(out: Path, known: Truths, said: tuple[int, int], processor: float) -> None:
    coco = json.loads((out / "boxes" / "coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    first: dict[str, FloatArray] = {}
    for one in coco["annotations"]:
        x, y, width, height = one["bbox"]
        first.setdefault(names[one["image_id"]], np.array([[x, y, x + width, y + height]]))
    found = {
        name: name in first and iou(first[name], boxes).max() >= 0.5 for name, (boxes, _) in known.items()
    }
    report = [value for name, value in found.items() if half_of(name) == "report"]
    seconds = json.loads((out / "build.json").read_text())["seconds"]
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items())
    percent = [100 * float(np.mean(values)) for values in (report, list(found.values()))]
    cells = [*map(str, said), *(f"{value:.1f}" for value in percent), f"{stages}; {processor:.1f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
