"""Resident memory of ``localize`` on the way through many photographs; prints a Markdown table.

``python benchmarks/localize_memory.py [--count 50000] [--workers -1] [--within 0.05]``: 200 small JPEGs under
so many names, a tiny network that is not trained. Memory of the process and of those that it started is added
up; pages that they share count several times. With ``--within``, it is an error if memory after the first
2,000 photographs grows by more than that part.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.journal import Journal
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import build_method
from rfga.engine.runtime.machine import Runtime
from rfga.engine.thresholds.threshold import Threshold
from rfga.types import Prediction

FILES, SETTLED = 200, 2000
SIZE_WH = (80, 60)


class Watch:
    """Megabytes in use, seen every so many photographs."""

    def __init__(self, every: int) -> None:
        self.every, self.done = every, 0
        self.seen: dict[int, float] = {}

    def watched(self) -> Callable[[Journal, Prediction], None]:
        """``Journal.add``, counted."""
        plain = Journal.add

        def add(journal: Journal, prediction: Prediction) -> None:
            plain(journal, prediction)
            self.done += 1
            if self.done % self.every == 0:
                self.seen[self.done] = resident_mb()
                print(f"{self.done}: {self.seen[self.done]:.0f} MB", file=sys.stderr, flush=True)

        return add


def resident_mb() -> float:
    processes = [os.getpid(), *(process.pid for process in multiprocessing.active_children())]
    command = ["ps", "-o", "rss=", "-p", ",".join(map(str, processes))]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sum(int(kilobytes) for kilobytes in said.split()) * 1024 / 1e6


def make_photographs(folder: Path, count: int) -> None:
    """Hard links to a few files, in folders of a thousand."""
    rng, files = np.random.default_rng(0), []
    for number in range(FILES):
        noise = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        files.append(folder / f"file{number}.jpg")
        Image.fromarray(noise).resize(SIZE_WH).save(files[-1])
    for number in range(count):
        target = folder / "photographs" / f"{number // 1000:03}" / f"{number:06}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(files[number % FILES], target)
        except OSError:  # a file may have only so many names
            shutil.copy(files[number % FILES], target)


def tiny_localizer() -> Localizer:
    config = TrainConfig(method="cam", backbone="test_resnet", weights="none", image_size=64)
    return Localizer(build_method(config, 2), ("perch", "tench"), config, Threshold(0.3, "fixed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--within", type=float)
    arguments = parser.parse_args()
    watch = Watch(every=500)
    with tempfile.TemporaryDirectory() as name:
        make_photographs(Path(name), arguments.count)
        localizer = tiny_localizer()
        photographs = find_photographs([Path(name) / "photographs"], localizer.classes)
        before, begin = resident_mb(), time.perf_counter()
        with patch.object(Journal, "add", watch.watched()):
            runtime = Runtime("cpu", arguments.workers, quiet=True)
            options = LocalizeOptions(pictures=False, review=0)
            summary = localize(localizer, photographs, Path(name) / "out", options, runtime=runtime)
        seconds, after = time.perf_counter() - begin, resident_mb()
    if summary.done != arguments.count:
        raise SystemExit(f"expected {arguments.count} photographs done, found {summary}")
    settled = watch.seen[SETTLED]
    later = [seen for number, seen in watch.seen.items() if number >= SETTLED]
    print(f"{arguments.count} photographs in {seconds:.0f} s, --workers {arguments.workers}\n")
    print(f"| photographs | MB resident | of that at {SETTLED:,} |\n|---|---|---|")
    print(f"| before the run | {before:.0f} | |")
    shown = [SETTLED, *range(10_000, arguments.count + 1, 10_000), max(watch.seen)]
    for number in dict.fromkeys(shown):
        print(f"| {number:,} | {watch.seen[number]:.0f} | {watch.seen[number] / settled:.3f} |")
    print(
        f"| least and most from {SETTLED:,} on | {min(later):.0f}, {max(later):.0f} | "
        f"{min(later) / settled:.3f}, {max(later) / settled:.3f} |"
    )
    print(f"| after coco.json was written | {after:.0f} | |")
    # At the end it falls, when the processes that read have nothing left to do and are gone.
    if arguments.within is not None and max(later) > (1 + arguments.within) * settled:
        raise SystemExit(f"memory grew by more than {arguments.within:.0%} after {SETTLED} photographs")


if __name__ == "__main__":
    main()
