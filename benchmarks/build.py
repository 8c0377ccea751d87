"""What `rfga build` takes, beside bare forward passes of its network and beside a way that trains.

    python benchmarks/build.py DATA --weights FILE [--against rfga-spread --epochs 4]

One process, on the same photographs: the build, then every photograph, decoded before, is sent through the
network once at each size that the build looked at, and nothing else is done. Ratios count, not seconds:
machines differ by a factor of three.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from rfga.data import open_dataset
from rfga.data.transforms import SampleImages
from rfga.engine.building.box_set import BuildCommand, Built, build_boxes
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.model import normalised
from rfga.engine.runtime.machine import Runtime
from rfga.engine.thresholds.scale import LARGER
from rfga.types import SPLITS, Sample

BATCH = 32
TRIED = 224  # pixels: the size that a collection begins with
QUIET = Runtime(device="cpu", quiet=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--against", metavar="METHOD", help="a method that trains, to compare with")
    parser.add_argument("--epochs", type=int, default=4)
    asked = parser.parse_args()
    settings = {"backbone": asked.backbone, "weights": asked.weights}
    with TemporaryDirectory() as folder:
        seconds, built = timed_build(asked.data, Path(folder) / "closed", settings)
        sizes = sorted({TRIED, round(LARGER * TRIED), built.verdict.choices["image_size"]})
        bare = bare_passes(asked.data, Path(folder) / "closed" / "run", sizes)
        print(f"closed form: {seconds:.1f} s ({', '.join(f'{k} {v:.1f}' for k, v in built.seconds.items())})")
        print(f"bare passes at {sizes}: {bare:.1f} s; the build takes {seconds / bare:.2f} times as long")
        if asked.against:
            other = {**settings, "method": asked.against, "epochs": asked.epochs}
            trained, _ = timed_build(asked.data, Path(folder) / "trained", other)
            print(f"{asked.against}, {asked.epochs} epochs: {trained:.1f} s; ratio {seconds / trained:.3f}")


def timed_build(data: Path, out: Path, settings: dict[str, object]) -> tuple[float, Built]:
    """Seconds of a whole build, and what came of it."""
    began = time.perf_counter()
    built = build_boxes(BuildCommand(str(data), out, settings), QUIET)
    return time.perf_counter() - began, built


@torch.inference_mode()
def bare_passes(data: Path, run: Path, sizes: list[int]) -> float:
    """Seconds of the network alone over all photographs, decoded before, once at each size."""
    backbone = Localizer.load(run, device="cpu").method.backbone
    dataset = open_dataset(data)
    samples: list[Sample] = [sample for split in SPLITS for sample in dataset.samples(split)]
    seconds = 0.0
    for size in sizes:
        images = SampleImages(dataset, samples, size, None)
        for first in range(0, len(samples), BATCH):
            pixels = torch.stack([images[i][0] for i in range(first, min(first + BATCH, len(samples)))])
            ready = normalised(pixels, backbone)
            began = time.perf_counter()
            backbone(ready)
            seconds += time.perf_counter() - began
    return seconds


if __name__ == "__main__":
    main()
