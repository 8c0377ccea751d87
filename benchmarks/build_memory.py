"""Peak memory of ``rfga build`` on collections of several sizes; prints a Markdown table.

    python benchmarks/build_memory.py [--counts 2000 50000] [--classes 10]

Photographs are small JPEGs of noise, each a file of its own, and the network is tiny and not trained: what is
asked is what grows with their number. Every build is a process of its own; the peak is that of the largest of
its processes, as the system counts it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

KINDS = 200  # files that differ; the others are copies
SIZE_WH = (80, 60)
FLAGS = ("--backbone", "test_resnet", "--weights", "none", "--image-size", "64", "--quiet")
BYTES = 1 if sys.platform == "darwin" else 1024  # in which ru_maxrss counts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[2000, 50_000])
    parser.add_argument("--classes", type=int, default=10)
    asked = parser.parse_args()
    print("| photographs | seconds | peak of memory, MB | of that of the first |\n|---|---|---|---|")
    first = 0.0
    for count in asked.counts:
        with TemporaryDirectory() as name:
            make_photographs(Path(name) / "photographs", count, asked.classes)
            seconds, peak = built(Path(name) / "photographs", Path(name) / "out")
            done = json.loads((Path(name) / "out/build.json").read_text())["photographs"]["done"]
        if done != count:
            raise SystemExit(f"expected boxes for {count} photographs, found {done}")
        first = first or peak
        print(f"| {count:,} | {seconds:.0f} | {peak:.0f} | {peak / first:.2f} |", flush=True)


def make_photographs(folder: Path, count: int, classes: int) -> None:
    """Class folders of so many files: a file of several names would be one photograph of several classes."""
    rng, files = np.random.default_rng(0), []
    for number in range(KINDS):
        noise = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)).resize(SIZE_WH)
        folder.mkdir(parents=True, exist_ok=True)
        noise.save(path := folder / f"{number}.jpg")
        files.append(path.read_bytes())
        path.unlink()
    for number in range(count):
        target = folder / f"class{number % classes}" / f"{number:06}.jpg"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(files[number % KINDS])


def built(data: Path, out: Path) -> tuple[float, float]:
    """Seconds by the clock, and the peak in megabytes."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "rfga", "build", str(data), "--out", str(out), *FLAGS]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"expected a build, found that it ended with status {status}")
    return time.perf_counter() - began, used.ru_maxrss * BYTES / 1e6


if __name__ == "__main__":
    main()
