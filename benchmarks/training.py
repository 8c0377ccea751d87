"""Speed of training, JPEG to step; prints a Markdown table.

``python benchmarks/training.py PHOTOGRAPHS [--backbone NAME] [--count 128] [--rounds 3] [--side 3000]``: one
process, the ways in turn, medians of wall time. PHOTOGRAPHS are class folders; --side enlarges them (into
a temporary folder) to JPEGs of so many pixels, as cameras make them. The ways:

* the network alone: loss, gradients and step, on batches that are in memory;
* the plainest loop: read a batch, one photograph after the other, then step;
* ``rfga train``'s: Lightning, a loader with processes of its own, photographs read at a part of their size
  (``--decode reduced``) or whole; the second of two epochs, so that starting the processes is left out.

"waiting" is the share of time in which the network had no batch.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from rfga.data import open_dataset
from rfga.engine.learning.data import Loaders, TrainingData, data_loaders
from rfga.engine.learning.fitting import fit
from rfga.engine.learning.module import TrainingModule
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import build_method, normalised
from rfga.engine.runtime.devices import pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime

Step = Callable[[Any], None]
Way = Callable[[], tuple[float, float]]
"""Seconds in all, and those in which the network waited for a batch."""


class Watched:
    """A loader whose user waits by the clock."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.waited, self.started = loader, 0.0, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self.waited = 0.0
        self.started = asked = time.perf_counter()
        for batch in self.loader:
            self.waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()


def enlarged(source: Path, out: Path, side: int, count: int) -> Path:
    """The first photographs of each class as JPEGs of ``side`` pixels, with a little noise as detail."""
    folders = sorted(path for path in (source / "train").iterdir() if path.is_dir())
    for folder in folders:
        (out / "train" / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[: -(-count // len(folders))]:
            image = Image.open(path).convert("RGB")
            scale = side / max(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            noise = np.random.default_rng(0).normal(0, 4, (size[1], size[0], 1))
            pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC)) + noise
            made = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            made.save(out / "train" / folder.name / f"{path.stem}.jpg", quality=90)
    return out


def training_data(folder: Path, count: int) -> TrainingData:
    dataset = open_dataset(folder)
    samples = dataset.samples("train")
    return TrainingData(dataset, samples[:: max(1, len(samples) // count)][:count], (), ())


def stepper(config: TrainConfig, classes: int) -> Step:
    """Loss, gradients and step of one batch, without anything around them."""
    device = pick_device("auto")
    method = build_method(config, classes).to(device).to(memory_format=torch.channels_last)
    module = TrainingModule(method, config, 100)
    optimiser = module.configure_optimizers()["optimizer"]
    module.on_train_epoch_start()

    def step(batch: Any) -> None:
        images = normalised(batch[0].to(device), method.backbone)
        loss = method.loss(images, batch[1].to(device), generator)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    generator = torch.Generator().manual_seed(0)
    return step


def network_alone(step: Step, batches: list[Any]) -> tuple[float, float]:
    begin = time.perf_counter()
    for batch in batches:
        step(batch)
    return time.perf_counter() - begin, 0.0


def plainest_loop(step: Step, data: TrainingData, config: TrainConfig) -> tuple[float, float]:
    loader = Watched(data_loaders(data, config, 0).train)
    begin = time.perf_counter()
    for batch in loader:
        step(batch)
    return time.perf_counter() - begin, loader.waited


def our_training(data: TrainingData, config: TrainConfig) -> tuple[float, float]:
    runtime = Runtime(quiet=True)
    method = build_method(config, len(data.dataset.classes))
    loaders = data_loaders(data, config, pick_workers(runtime, pick_device("auto")))
    watched = Watched(loaders.train)
    fit(method, config, Loaders(cast("Any", watched), loaders.train_count), None, runtime)
    return time.perf_counter() - watched.started, watched.waited


def measured(data: TrainingData, config: TrainConfig, rounds: int) -> dict[str, list[tuple[float, float]]]:
    step = stepper(config, len(data.dataset.classes))
    whole = replace(config, decode="full")
    batches = list(data_loaders(data, config, 0).train)
    step(batches[0])
    ways: dict[str, Way] = {
        "the network alone, batches in memory": partial(network_alone, step, batches),
        "the plainest loop": partial(plainest_loop, step, data, whole),
        "rfga train --decode full": partial(our_training, data, whole),
        "rfga train --decode reduced": partial(our_training, data, config),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(way())
    return times


def print_table(times: dict[str, list[tuple[float, float]]], count: int) -> None:
    print("| way | photographs/s | of the network alone | of the plainest loop | waiting |")
    print("|---|---|---|---|---|")
    seconds = {name: np.array([total for total, _ in taken]) for name, taken in times.items()}
    alone, plainest, *_ = seconds.values()
    for name, taken in times.items():
        waiting = float(np.median([waited / total for total, waited in taken]))
        ratios = [
            f"{np.median(r):.2f} ({r.min():.2f} to {r.max():.2f})"
            for r in (alone / seconds[name], plainest / seconds[name])
        ]
        rate = count / np.median(seconds[name])
        print(f"| {name} | {rate:.1f} | {ratios[0]} | {ratios[1]} | {waiting:.0%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--method", default="cam")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=0)
    arguments = parser.parse_args()
    config = TrainConfig(
        method=arguments.method, backbone=arguments.backbone, weights="none", epochs=2, warmup_epochs=0
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.photographs
        if arguments.side:
            folder = enlarged(folder, Path(scratch) / "large", arguments.side, arguments.count)
        data = training_data(folder, arguments.count)
        times = measured(data, config, arguments.rounds)
    print(f"{len(data.train)} photographs, {torch.get_num_threads()} threads, {arguments.rounds} rounds\n")
    print_table(times, len(data.train))


if __name__ == "__main__":
    main()
