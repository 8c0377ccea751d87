"""Speed of the exact metrics beside the benchmark's way of computing them; prints a Markdown table.

``python benchmarks/evaluation.py [--maps 240] [--whole]``: one process, fresh maps for every measurement,
medians of the thread's own processor time, so that other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread means one thread, in torch and BLAS too

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rfga.geometry.levelsets import CONTOUR_RULES, level_boxes
from rfga.geometry.maps import score_maps
from rfga.metrics.level_iou import mark_correct
from rfga.metrics.localization import LocalizationMetrics
from rfga.metrics.pixel_ap import score_histograms
from rfga.metrics.thresholds import threshold_grid
from rfga.types import Truth

Map = NDArray[np.float64]
WHOLE = 50_000
BATCH = 64
FIRST_CALL = """
import time
import numpy as np
from rfga.geometry.levelsets import level_boxes
score_map = np.random.default_rng(0).random((224, 224))
begin = time.perf_counter()
level_boxes(score_map, np.arange(0, 1, 0.01))
print(time.perf_counter() - begin)
"""


def raw_maps(rng: np.random.Generator, count: int) -> Iterator[Map]:
    """Outputs of networks as a metric meets them: smooth random fields of 7x7 and 14x14 cells."""
    for index in range(count):
        cells = rng.normal(size=(7, 7) if index % 3 == 0 else (14, 14))
        if index % 3 == 2:
            cells = (cells + np.roll(cells, 1, 0) + np.roll(cells, 1, 1)) / 3
        yield cells


def stream_maps(rng: np.random.Generator, count: int) -> Iterator[Map]:
    return (score_maps(cells) for cells in raw_maps(rng, count))


def fresh_maps(rng: np.random.Generator, count: int) -> list[Map]:
    return list(stream_maps(rng, count))


def opencv_loop(score_map: Map, thresholds: NDArray[np.float64]) -> None:
    """Both rules, one threshold at a time, from one findContours each."""
    grey = (score_map * 255).astype(np.uint8)
    height, width = grey.shape
    for threshold in thresholds:
        _, above = cv2.threshold(grey, int(threshold * grey.max()), 255, cv2.THRESH_BINARY)
        contours = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
        if not contours:
            continue
        for chosen in ([max(contours, key=cv2.contourArea)], contours):
            rectangles = map(cv2.boundingRect, chosen)
            [[x, y, min(x + w, width - 1), min(y + h, height - 1)] for x, y, w, h in rectangles]


def medians_ms(works: list[Callable[[Map], object]], maps: Iterator[Map]) -> list[float]:
    """Each way on a fresh map in turn, so that a slow minute of the machine strikes all alike."""
    taken: list[list[float]] = [[] for _ in works]
    for index, score_map in enumerate(maps):
        begin = time.thread_time()
        works[index % len(works)](score_map)
        taken[index % len(works)].append(time.thread_time() - begin)
    return [1000 * float(np.median(times)) for times in taken]


def boxes_rows(rng: np.random.Generator, count: int) -> Iterator[tuple[str, str, str]]:
    cv2.setNumThreads(1)
    truth, limits = np.array([[60, 50, 160, 170]]), np.array([0.3, 0.5, 0.7])
    for step, measured in ((0.01, count), (0.001, max(20, count // 4))):
        grid = threshold_grid(step)
        hits = np.zeros((2, 3, len(grid)), dtype=np.bool_)
        works: dict[str, Callable[[Map], object]] = {
            "OpenCV loop, both rules": partial(opencv_loop, thresholds=grid),
            "boxes, largest and all": partial(level_boxes, thresholds=grid, rules=CONTOUR_RULES),
            "boxes, largest": partial(level_boxes, thresholds=grid, rules=("largest",)),
            "boxes, all": partial(level_boxes, thresholds=grid, rules=("all",)),
            "IoU with truth, both rules": partial(
                mark_correct, truth_boxes=truth, thresholds=grid, iou_thresholds=limits, hits=hits
            ),
        }
        # A number of ways that shares no factor with the three kinds of maps lets each way meet all kinds.
        times = medians_ms(list(works.values()), stream_maps(rng, measured * len(works)))
        for name, taken in zip(works, times, strict=True):
            yield f"{name}, {len(grid)} thresholds", f"{taken:.3f} ms", f"{times[0] / taken:.1f}"


def threads_rows(rng: np.random.Generator, count: int) -> Iterator[tuple[str, str, str]]:
    truth, limits, grid = np.array([[60, 50, 160, 170]]), np.array([0.3, 0.5, 0.7]), threshold_grid(0.001)

    def work(score_map: Map) -> None:
        mark_correct(score_map, truth, grid, limits, np.zeros((2, 3, len(grid)), dtype=np.bool_))

    ratios = []
    for _ in range(9):
        maps, walls = fresh_maps(rng, count), []
        for threads in (1, 2):
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, maps[:4]))
                begin = time.perf_counter()
                list(pool.map(work, maps))
                walls.append(time.perf_counter() - begin)
        ratios.append(walls[0] / walls[1])
    yield "two threads against one, wall time", "", f"{np.median(ratios):.2f} (best {max(ratios):.2f})"


def pixel_rows(rng: np.random.Generator, count: int) -> Iterator[tuple[str, str, str]]:
    grid = threshold_grid(0.001)
    edges = [*grid, 1.0, 2.0, 3.0]
    mask = np.zeros((224, 224), dtype=np.uint8)
    mask[60:180, 40:150], mask[:, 200:] = 255, 128

    def by_numpy(score_map: Map) -> None:
        np.histogram(score_map[mask == 255], bins=edges)
        np.histogram(score_map[mask == 0], bins=edges)

    ours = partial(score_histograms, mask=mask, thresholds=grid)
    slow, fast = medians_ms([by_numpy, ours], stream_maps(rng, 2 * count))
    yield "PxAP histograms by np.histogram, 1000 thresholds", f"{slow:.3f} ms", "1"
    yield "PxAP histograms, 1000 thresholds", f"{fast:.3f} ms", f"{slow / fast:.1f}"


def first_call_rows() -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for name in ("no cache", "cache"):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            yield f"first call, {name}", f"{float(done.stdout):.2f} s", ""


def resident_mb() -> float:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20


def end_to_end_rows(rng: np.random.Generator, total: int) -> Iterator[tuple[str, str, str]]:
    """From 14x14 outputs to box metrics with bootstrap; one batch is upsampled while another is scored."""
    metrics, memory = LocalizationMetrics(step=0.001), []
    truths: list[Truth | None] = [Truth((300, 400), boxes=np.array([[80.0, 60.0, 290.0, 250.0]]))] * BATCH
    batches = max(4, total // BATCH)

    def upsampled(index: int) -> Map:
        return score_maps(np.random.default_rng(index).normal(size=(BATCH, 14, 14)))

    metrics.update([f"warm {i}" for i in range(BATCH)], upsampled(0), truths)
    metrics.reset()
    begin, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(upsampled, 0)
        for index in range(batches):
            maps, coming = coming.result(), ahead.submit(upsampled, index + 1)
            metrics.update([f"{index}/{i}.jpg" for i in range(BATCH)], maps, truths)
            if index % max(1, batches // 5) == 0:
                memory.append(resident_mb())
    wall, used = time.perf_counter() - begin, time.process_time() - used
    metrics.compute()
    images = batches * BATCH
    name = "end to end from 14x14, 1000 thresholds, bootstrap"
    yield name, f"{1000 * wall / images:.2f} ms wall, {1000 * used / images:.2f} ms of processor time", ""
    note = "" if images >= WHOLE - BATCH else f", extrapolated from {images}"
    yield f"{WHOLE} maps{note}", f"{wall / images * WHOLE:.1f} s", ""
    yield "resident memory on the way", " ".join(f"{value:.0f}" for value in memory) + " MB", ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=240, help="fresh maps for each measurement")
    parser.add_argument("--whole", action="store_true", help=f"score all {WHOLE} maps instead of a part")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    level_boxes(fresh_maps(rng, 1)[0], [0.5])  # compiled before anything is measured
    mark_correct(
        np.eye(2), np.zeros((1, 4), np.int64), np.zeros(1), np.zeros(1), np.zeros((2, 1, 1), np.bool_)
    )
    score_histograms(np.eye(2), np.zeros((2, 2), np.uint8), threshold_grid(0.5))
    print("| 224x224 maps, one thread where not said otherwise | median | times faster |\n|---|---|---|")
    rows = chain(
        boxes_rows(rng, arguments.maps),
        threads_rows(rng, arguments.maps),
        pixel_rows(rng, arguments.maps),
        first_call_rows(),
        end_to_end_rows(rng, WHOLE if arguments.whole else 3000),
    )
    for name, value, ratio in rows:
        print(f"| {name} | {value} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
