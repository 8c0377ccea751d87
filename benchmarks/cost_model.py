"""What a photograph costs, measured, and what ILSVRC would take, estimated from that.

    python benchmarks/cost_model.py PHOTOGRAPHS [--backbones resnet50 mobilenetv2_100] [--count 48]
    python benchmarks/cost_model.py PHOTOGRAPHS --step-seconds 0.003 --forward-seconds 0.001

PHOTOGRAPHS is a folder of JPEGs; with --width they are brought to that many pixels first, as large as those
in question. Costs are seconds of one core (processor time of one thread), the least of several rounds. What a
GPU takes for a step and for a forward pass is given: seconds for each photograph.

The model, with N photographs to train on, E epochs, M to evaluate, D devices, batches of B on each, w
processes that read for each device, costs of reading r, of a training step s, of a forward pass f, of boxes
and metrics m, and P weights that travel at b bytes a second:

    training    E * ceil(N / (D B)) * (B * max(s, r / w) + 2 (D - 1) / D * 4 P / b)
    evaluation  ceil(M / (D B)) * B * (max(f, r / w) + m)

It leaves out: starting, checkpoints, validation after every epoch, waiting for the slowest device, disks that
give photographs more slowly than they are decoded, and that gradients are sent while others are computed
(which makes steps faster than said).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from rfga.data.images import read_image
from rfga.data.transforms import Augmentation, eval_transform, train_transform
from rfga.data.walk import find_images
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import build_method, normalised
from rfga.engine.thresholds.threshold import Threshold
from rfga.metrics.localization import LocalizationMetrics
from rfga.types import Truth

SIZE = 224
CLASSES = 1000
TRAIN, EPOCHS, EVALUATED = 1_281_167, 20, 50_000
BATCH = 8  # of the measurement
ROUNDS = 3


@dataclass(frozen=True)
class Costs:
    """Seconds a photograph."""

    read_train: float
    read_eval: float
    step: float
    forward: float
    metrics: float


@dataclass(frozen=True)
class Setting:
    """Devices that work together."""

    devices: int
    batch: int
    readers: int  # for each device
    bytes_a_second: float  # between devices


def training_seconds(costs: Costs, setting: Setting, weights: int) -> float:
    """The model's time for ILSVRC's training photographs, twenty times."""
    devices, batch = setting.devices, setting.batch
    sending = 2 * (devices - 1) / devices * 4 * weights / setting.bytes_a_second
    step = batch * max(costs.step, costs.read_train / setting.readers) + sending
    return EPOCHS * math.ceil(TRAIN / (devices * batch)) * step


def evaluation_seconds(costs: Costs, setting: Setting) -> float:
    """The model's time for fifty thousand photographs with boxes."""
    batches = math.ceil(EVALUATED / (setting.devices * setting.batch))
    each = max(costs.forward, costs.read_eval / setting.readers) + costs.metrics
    return batches * setting.batch * each


def core_seconds(work: Callable[[], object], count: int) -> float:
    """Processor time for each of ``count`` photographs, the least of some rounds."""
    work()  # compiled kernels, buffers, files in memory
    found = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        found.append((time.process_time() - begin) / count)
    return min(found)


def reading(paths: Sequence[Path]) -> tuple[float, float]:
    """Of decoding and resizing, as training with its default and evaluation do it."""
    augmentation, rng = Augmentation(reduced=True), np.random.default_rng(0)
    least = augmentation.least_side(SIZE)

    def train() -> None:
        for path in paths:
            train_transform(read_image(path, least), SIZE, rng, augmentation)

    def evaluate() -> None:
        for path in paths:
            eval_transform(read_image(path), SIZE)

    return core_seconds(train, len(paths)), core_seconds(evaluate, len(paths))


def network(name: str, pixels: torch.Tensor) -> tuple[float, float, int]:
    """Of a training step and of a forward pass of CAM on a backbone; and how many weights it has."""
    config = TrainConfig(method="cam", backbone=name, weights="none", image_size=SIZE)
    method = build_method(config, CLASSES).to(memory_format=torch.channels_last)
    images, labels = normalised(pixels, method.backbone), torch.arange(len(pixels))
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-4, momentum=0.9)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(method.train().loss(images, labels, generator))
        optimizer.step()

    localizer = Localizer(method, tuple(map(str, range(CLASSES))), config, Threshold(0.3, "fixed"))
    step_seconds = core_seconds(step, len(pixels))
    method.eval()
    forward_seconds = core_seconds(lambda: localizer.method.localize(images, labels), len(pixels))
    return step_seconds, forward_seconds, sum(weight.numel() for weight in method.parameters())


def measuring(count: int) -> float:
    """Of every metric of boxes, with the bootstrap, on smooth maps."""
    rng = np.random.default_rng(0)
    small = rng.random((count, 7, 7)).astype(np.float32)
    images = [Image.fromarray(one).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for one in small]
    maps = np.clip(np.stack([np.asarray(image, dtype=np.float64) for image in images]), 0, 1)
    truths = [Truth((375, 500), boxes=np.array([[60.0, 40.0, 400.0, 330.0]]))] * count
    logits = rng.normal(size=(count, CLASSES))

    def update() -> None:
        metrics = LocalizationMetrics(num_classes=CLASSES)
        metrics.update([f"{i}.jpg" for i in range(count)], maps, truths, np.arange(count), logits)

    return core_seconds(update, count)


def table(name: str, costs: Costs, weights: int, settings: Sequence[tuple[str, Setting]]) -> None:
    """The model's times."""
    print(f"\n{name}, estimated for ILSVRC\n\n| | training, hours | evaluation, minutes |\n|---|---|---|")
    for label, setting in settings:
        train, evaluate = training_seconds(costs, setting, weights), evaluation_seconds(costs, setting)
        print(f"| {label} | {train / 3600:,.1f} | {evaluate / 60:,.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--backbones", nargs="+", default=["resnet50", "mobilenetv2_100"])
    parser.add_argument("--width", type=int, help="pixels to bring the photographs to first")
    parser.add_argument("--count", type=int, default=48, help="photographs to read")
    parser.add_argument("--step-seconds", type=float, help="of a training step on your GPU, a photograph")
    parser.add_argument("--forward-seconds", type=float, help="of a forward pass on your GPU, a photograph")
    parser.add_argument("--readers", type=int, default=8, help="processes that read for each GPU")
    parser.add_argument("--batch", type=int, default=32, help="on each device")
    parser.add_argument("--gigabytes", type=float, default=10.0, help="a second between devices")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    paths = [asked.photographs / name for name in islice(find_images(asked.photographs), asked.count)]
    with TemporaryDirectory() as folder:
        measure(enlarged(paths, asked.width, Path(folder)) if asked.width else paths, asked)


def enlarged(paths: Sequence[Path], width: int, folder: Path) -> list[Path]:
    """Copies of photographs that are ``width`` pixels wide, as JPEG of quality 90."""
    made = []
    for number, path in enumerate(paths):
        image = read_image(path)
        height = round(image.height * width / image.width)
        made.append(folder / f"{number}.jpg")
        image.resize((width, height), Image.Resampling.BICUBIC).save(made[-1], quality=90)
    return made


def measure(paths: Sequence[Path], asked: argparse.Namespace) -> None:
    pixels = torch.stack([eval_transform(read_image(path), SIZE) for path in paths[:BATCH]])
    read_train, read_eval = reading(paths)
    metrics = measuring(32)
    kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
    print(
        f"{len(paths)} photographs of {kilobytes:.0f} kB; milliseconds of one core for each, best of {ROUNDS}"
    )
    print(f"reading to train {1e3 * read_train:.2f}, to evaluate {1e3 * read_eval:.2f}")
    print(f"boxes and metrics with {CLASSES} classes {1e3 * metrics:.2f}")
    for name in asked.backbones:
        step, forward, weights = network(name, pixels)
        print(f"{name}: step {1e3 * step:.1f}, forward {1e3 * forward:.1f}, {weights / 1e6:.1f} M weights")
        link = asked.gigabytes * 1e9
        cores = [(f"{n} cores, one process each", Setting(n, asked.batch, 1, link)) for n in (2, 64)]
        serial = Costs(0, 0, step + read_train, forward + read_eval, metrics)  # a core reads and computes
        table(f"{name} on processors", serial, weights, cores)
        if asked.step_seconds and asked.forward_seconds:
            given = Costs(read_train, read_eval, asked.step_seconds, asked.forward_seconds, metrics)
            gpus = [
                (f"{n} GPU{'s'[: n > 1]}", Setting(n, asked.batch, asked.readers, link)) for n in (1, 8, 32)
            ]
            table(f"{name} on GPUs as given", given, weights, gpus)


if __name__ == "__main__":
    main()
