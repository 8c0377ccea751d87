"""Score maps, truths and logits for the tests of metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rfga.geometry.maps import score_maps
from rfga.types import Truth

Arguments = tuple[list[str], NDArray[np.float64], list[Truth | None], NDArray[np.int64], NDArray[np.float64]]


@dataclass
class Images:
    """N images as ``update`` takes them."""

    ids: list[str]
    maps: NDArray[np.float64]
    truths: list[Truth | None]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]

    def part(self, indices: Iterable[int]) -> Arguments:
        chosen = [int(index) for index in indices]
        return (
            [self.ids[i] for i in chosen],
            self.maps[chosen],
            [self.truths[i] for i in chosen],
            self.labels[chosen],
            self.logits[chosen],
        )


def made_up_images(count: int, kind: str, classes: int = 8, seed: int = 0) -> Images:
    """Blobs near non-square truths: ``kind`` is boxes, masks or both in turn."""
    rng = np.random.default_rng(seed)
    raw = []
    truths: list[Truth | None] = []
    for index in range(count):
        x0, y0, width, height = rng.uniform((20, 10, 60, 40), (90, 60, 200, 90))
        size_hw = (160, 300)
        y, x = (np.mgrid[:14, :14] + 0.5) * np.array(size_hw).reshape(2, 1, 1) / 14
        shift = rng.normal(0, 12, 2)
        distance = ((x - x0 - width / 2 - shift[0]) / width) ** 2 + (
            (y - y0 - height / 2 - shift[1]) / height
        ) ** 2
        raw.append(np.exp(-3 * distance) + rng.uniform(0, 0.15, (14, 14)))
        if kind == "boxes" or (kind == "both" and index % 2):
            truths.append(Truth(size_hw, boxes=np.array([[x0, y0, x0 + width, y0 + height]])))
        else:
            mask = np.zeros(size_hw, dtype=np.uint8)
            mask[int(y0) : int(y0 + height), int(x0) : int(x0 + width)] = 255
            mask[:, -20:] = 128
            truths.append(Truth(size_hw, mask=mask))
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    ids = [f"class {label}/{index}.jpg" for index, label in enumerate(labels)]
    return Images(ids, score_maps(np.array(raw)), truths, labels, logits)


def recorded_boxes(golden: Path) -> tuple[list[str], NDArray[np.float32], list[Truth]]:
    """Ids, maps and truths of the recorded box metric."""
    folder = golden / "box_metric_metadata"
    boxes: dict[str, list[list[float]]] = {}
    for line in (folder / "localization.txt").read_text().split():
        image_id, *numbers = line.split(",")
        for start in range(0, len(numbers), 4):
            boxes.setdefault(image_id, []).append([float(n) for n in numbers[start : start + 4]])
    sizes = dict(_pair(line) for line in (folder / "image_sizes.txt").read_text().split())
    with np.load(golden / "box_metric_maps.npz") as recorded:
        ids, maps = recorded["ids"].tolist(), recorded["maps"]
    return ids, maps, [Truth(sizes[image_id], boxes=np.array(boxes[image_id])) for image_id in ids]


def _pair(line: str) -> tuple[str, tuple[int, int]]:
    image_id, width, height = line.split(",")
    return image_id, (int(height), int(width))


def recorded_masks(golden: Path) -> tuple[list[str], NDArray[np.float32], list[Truth]]:
    """Ids, maps and truths of the recorded mask metric; masks of an image are united at 224."""
    objects: dict[str, NDArray[np.bool_]] = {}
    ignored: dict[str, NDArray[np.bool_]] = {}
    for line in (golden / "mask_metric_metadata" / "localization.txt").read_text().split():
        image_id, mask, ignore = line.split(",")
        objects[image_id] = objects.get(image_id, False) | _read(golden / "mask_metric_masks" / mask)
        if ignore:
            ignored[image_id] = _read(golden / "mask_metric_masks" / ignore)
    with np.load(golden / "mask_metric_maps.npz") as recorded:
        ids, maps = recorded["ids"].tolist(), recorded["maps"]
    truths = []
    for image_id in ids:
        grey = np.where(objects[image_id], 255, np.where(ignored[image_id], 128, 0)).astype(np.uint8)
        truths.append(Truth((224, 224), mask=grey))
    return ids, maps, truths


def _read(path: Path) -> NDArray[np.bool_]:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    return np.asarray(cv2.resize(grey, (224, 224), interpolation=cv2.INTER_NEAREST) > 127, dtype=np.bool_)
