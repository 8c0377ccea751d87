"""Predictions for photographs with awkward names, and the photographs themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rfga.types import FloatArray, Prediction

CLASSES = ("tench", "Müller, Köln", "a&<b>\"c'")
SIZES_HW = ((60, 80), (97, 41), (200, 333), (31, 500))
NAMES = (
    "tench/a 1.jpg",
    "tench/same.jpg",
    "tench/same.png",
    "tench/same.jpg.png",
    "Müller, Köln/ü ä.jpg",
    "Müller, Köln/St. Jr./x.y.png",
    "a&<b>\"c'/a&<b>\"c'.jpg",
    "tench/images/deep/#1?d=2%20+.jpg",
    "tench/nothing.jpg",
    "tench/10.png",
)


def photographs(folder: Path) -> list[tuple[str, tuple[int, int]]]:
    """Write a photograph for each of ``NAMES``; gives their ids and sizes (H, W)."""
    made = []
    for number, name in enumerate(NAMES):
        height, width = SIZES_HW[number % len(SIZES_HW)]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height)).save(folder / name)
        made.append((name, (height, width)))
    return made


def predictions(made: list[tuple[str, tuple[int, int]]], rng: np.random.Generator) -> list[Prediction]:
    """Up to four boxes for each photograph, none for one of them."""
    found = []
    for number, (name, size_hw) in enumerate(made):
        count = 0 if "nothing" in name else 1 + number % 4
        label = CLASSES.index(name.partition("/")[0])
        scores = np.sort(rng.random(count))[::-1]
        found.append(Prediction(name, size_hw, label, 0.8, boxes(rng, count, size_hw), scores, None, 0.2))
    return found


def boxes(rng: np.random.Generator, count: int, size_hw: tuple[int, int]) -> FloatArray:
    """Boxes (n, 4) of any size from a fraction of a pixel to the whole photograph."""
    height, width = size_hw
    edges = rng.random((count, 2, 2)) * (width, height)
    edges[rng.random((count, 2, 2)) < 0.1] = 0
    low, high = edges.min(axis=1), edges.max(axis=1)
    high = np.minimum(np.maximum(high, low + 0.05), (width, height))
    return np.concatenate([np.minimum(low, high - 0.05), high], axis=1)
