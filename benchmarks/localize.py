"""Speed of ``localize`` from JPEG to box; prints a Markdown table.

``python benchmarks/localize.py RUN PHOTOGRAPHS [--rounds 5] [--count 128] [--threads N]``: one process, the
ways in turn, medians of wall time. RUN is a trained run of the method ``cam``. Beside it stand

* the bare forward pass of the same network on images that are in memory, as floats: by as many threads as
  PyTorch takes, and in as many passes side by side as ``localize`` makes;
* a loop with torchcam, one photograph at a time, that yields the same maps and boxes. How nearly it does is
  printed first.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchcam import methods as torchcam
from torchvision import transforms

from rfga.backbones.layout import CPU_BATCH
from rfga.data.images import read_image
from rfga.data.transforms import eval_transform
from rfga.engine.localizing.inputs import Photograph, find_photographs
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.localizing.stream import networks_at_once
from rfga.engine.run.model import normalised
from rfga.engine.runtime.machine import Runtime
from rfga.types import FloatArray

BATCH = 32  # the default of ``localize``
Way = Callable[[], object]


class Network(nn.Module):
    """A trained CAM as a network like any other: images in, logits out."""

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.backbone: Any = method.backbone
        self.head: Any = method.head

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images).mean((2, 3)))
        return logits


def torchcam_loop(
    files: Sequence[Path], network: Network, size: int, threshold: float
) -> tuple[list[FloatArray], list[list[float]]]:
    """Maps (224, 224) and boxes x0, y0, x1, y1 in original pixels, as one would write it with torchcam."""
    prepare = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize(network.backbone.mean, network.backbone.std),
        ]
    )
    maps, boxes = [], []
    with torchcam.CAM(network, "backbone", "head") as extract:
        for file in files:
            photograph = Image.open(file).convert("RGB")
            with torch.inference_mode():
                logits = network(prepare(photograph)[None])
                (cam,) = extract(int(logits.argmax()), normalized=False)
                wide = interpolate(cam[None].double(), (224, 224), mode="bicubic", align_corners=False)[0, 0]
            score_map = ((wide - wide.min()) / (wide.max() - wide.min())).numpy()
            grey = (score_map * 255).astype(np.uint8)
            _, mask = cv2.threshold(grey, int(threshold * grey.max()), 255, cv2.THRESH_BINARY)
            contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
            sx, sy = photograph.width / 224, photograph.height / 224
            maps.append(score_map)
            boxes.append([x * sx, y * sy, (x + w) * sx, (y + h) * sy])
    return maps, boxes


def options(maps: bool = False) -> LocalizeOptions:
    return LocalizeOptions(labels="predicted", pictures=False, maps=maps, batch_size=BATCH, review=0)


def localize_once(localizer: Localizer, photographs: list[Photograph]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        localize(localizer, photographs, Path(folder), options(), runtime=Runtime("cpu", quiet=True))


def bare(network: nn.Module, batches: Sequence[Tensor]) -> None:
    with torch.inference_mode():
        for batch in batches:
            network(batch)


def bare_side_by_side(network: nn.Module, batches: Sequence[Tensor], count: int) -> None:
    each = max(1, torch.get_num_threads() // count)
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(each,)) as pool:
        list(pool.map(lambda batch: bare(network, [batch]), batches))


def agreement(localizer: Localizer, network: Network, photographs: list[Photograph]) -> str:
    """How nearly the loop's maps and boxes are ours."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        localize(localizer, photographs, out, options(maps=True), runtime=Runtime("cpu", quiet=True))
        ours = [np.load(out / "maps" / f"{photograph.image_id}.npy") for photograph in photographs]
        held = json.loads((out / "coco.json").read_text())["annotations"]
    files, size = [photograph.path for photograph in photographs], localizer.config.image_size
    maps, boxes = torchcam_loop(files, network, size, localizer.threshold.value)
    off = max(float(np.abs(a - b).max()) for a, b in zip(ours, maps, strict=True))
    if off > 1e-4:
        raise SystemExit(f"the maps differ by {off:.2g}: the comparison says nothing")
    same, farthest = 0, 0.0
    for annotation, box in zip(held, boxes, strict=True):
        x0, y0, width, height = annotation["bbox"]
        gap = float(np.abs(np.subtract([x0, y0, x0 + width, y0 + height], box)).max())
        same, farthest = same + (gap < 1e-6), max(farthest, gap)
    return (
        f"maps of both differ by {off:.1g} at most; {same} of {len(boxes)} boxes are identical, "
        f"the others differ by {farthest:.2f} pixels at most"
    )


def timed(ways: dict[str, Way], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds by the clock and of the processor, of every round but the first; each round is shown."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            begin = time.perf_counter(), time.process_time()
            way()
            if turn:
                taken[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
        if turn:
            seconds = ", ".join(f"{times[-1][0]:.2f}" for times in taken.values())
            print(f"load {os.getloadavg()[0]:.1f}: {seconds} s", file=sys.stderr, flush=True)
    return taken


def print_table(taken: dict[str, list[tuple[float, float]]], count: int, ours: str) -> None:
    print("| way | photographs/s | processor time each | localize is so many times as fast |")
    print("|---|---|---|---|")
    fast = np.array([wall for wall, _ in taken[ours]])
    for name, times in taken.items():
        walls, processor = np.array(times).T
        ratios = walls / fast  # of the same round, so that another program's load falls on both
        print(
            f"| {name} | {count / np.median(walls):.1f} | {1000 * np.median(processor) / count:.1f} ms "
            f"| {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's, instead of one for each core")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    localizer, other = (Localizer.load(arguments.run, device="cpu") for _ in range(2))
    photographs = find_photographs([arguments.photographs], localizer.classes)[: arguments.count]
    plain, last = Network(other.method).to(memory_format=torch.contiguous_format), Network(localizer.method)
    files, size = [photograph.path for photograph in photographs], localizer.config.image_size
    images = normalised(
        torch.stack([eval_transform(read_image(file), size) for file in files]), localizer.method.backbone
    )
    large, small = torch.split(images, BATCH), torch.split(images, CPU_BATCH)
    count, networks, cores = len(photographs), networks_at_once(localizer), torch.get_num_threads()
    print(f"{count} photographs, {localizer.config.backbone}, {size} pixels")
    print(f"torch {torch.__version__}, {cores} threads of {os.cpu_count()} cores")
    print(agreement(localizer, plain, photographs), flush=True)
    ours = "localize, JPEG to box"
    ways: dict[str, Way] = {
        ours: lambda: localize_once(localizer, photographs),
        f"bare forward, {BATCH} at a time, {cores} threads": lambda: bare(last, large),
        f"bare forward, {CPU_BATCH} at a time, {cores} threads": lambda: bare(last, small),
        f"bare forward, {CPU_BATCH} at a time, {networks} side by side": lambda: bare_side_by_side(
            last, small, networks
        ),
        "torchcam, JPEG to box": lambda: torchcam_loop(files, plain, size, localizer.threshold.value),
    }
    begin = os.getloadavg()
    taken = timed(ways, arguments.rounds)
    print(f"load {begin[0]:.1f} before, {os.getloadavg()[0]:.1f} after; {arguments.rounds} rounds\n")
    print_table(taken, count, ours)


if __name__ == "__main__":
    main()
