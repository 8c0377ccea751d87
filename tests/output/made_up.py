"""Made-up photographs, score maps, evaluations and reports that the tests of this folder share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rfga.output.report.page import GalleryItem, MethodReport
from rfga.types import ByteArray, FloatArray, Truth


def photograph(size_hw: tuple[int, int], box: FloatArray, seed: int = 0) -> ByteArray:
    """A soft landscape with something round and shaded in ``box``."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    rows, columns = np.mgrid[0:height, 0:width]
    sky, ground = rng.uniform(120, 230, 3), rng.uniform(40, 140, 3)
    horizon = rng.uniform(0.4, 0.7) * height + height * 0.04 * np.sin(columns / width * 9 + seed)
    picture = np.where((rows < horizon)[..., None], sky + (rows / height * 40)[..., None], ground)
    x0, y0, x1, y1 = box
    radius = np.hypot(
        (columns + 0.5 - (x0 + x1) / 2) / (x1 - x0) * 2, (rows + 0.5 - (y0 + y1) / 2) / (y1 - y0) * 2
    )
    light = 1.15 - 0.7 * np.clip(np.hypot((columns - x0) / (x1 - x0), (rows - y0) / (y1 - y0)), 0, 1)
    picture = np.where((radius < 1)[..., None], rng.uniform(90, 255, 3) * light[..., None], picture)
    return np.clip(picture + rng.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)


def score_map(size_hw: tuple[int, int], box: FloatArray, spread: float = 0.45) -> FloatArray:
    """(224, 224), a smooth hill over ``box``."""
    height, width = size_hw
    x0, y0, x1, y1 = box / np.array([width, height, width, height]) * 224
    rows, columns = np.mgrid[0:224, 0:224]
    far = ((columns - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((rows - (y0 + y1) / 2) / (y1 - y0)) ** 2
    hill: FloatArray = np.exp(-far / (2 * spread**2)).astype(np.float64)
    return hill


def mask(size_hw: tuple[int, int], box: FloatArray) -> ByteArray:
    """(H, W) uint8: 255 in the ellipse of ``box``, 0 elsewhere."""
    height, width = size_hw
    rows, columns = np.mgrid[0:height, 0:width]
    x0, y0, x1, y1 = box
    radius = np.hypot(
        (columns + 0.5 - (x0 + x1) / 2) / (x1 - x0) * 2, (rows + 0.5 - (y0 + y1) / 2) / (y1 - y0) * 2
    )
    return np.where(radius < 1, 255, 0).astype(np.uint8)


def evaluation(shift: float = 0.0, half_width: float = 0.03) -> dict[str, Any]:
    """The ``--json`` form of an evaluation on boxes, all numbers moved by ``shift``."""

    def entry(value: float, threshold: Any, source: str, contours: str) -> dict[str, Any]:
        value += shift
        return {
            "value": value,
            "interval": [value - half_width, value + half_width],
            "threshold": threshold,
            "threshold_source": source,
            "normalisation": "minmax",
            "contours": contours,
        }

    three = {"0.3": 0.18 + shift, "0.5": 0.24 + shift, "0.7": 0.31 + shift}
    per_iou = {"0.3": 0.86 + shift, "0.5": 0.62 + shift, "0.7": 0.28 + shift}
    metrics = {
        "MaxBoxAcc": [
            entry(0.612, 0.231 + shift, "oracle", "largest"),
            entry(0.594, 0.2, "fixed", "largest"),
        ],
        "MaxBoxAccV2": [entry(0.587, three, "oracle", "all") | {"per_iou": per_iou}],
        "Top1Cls": [{"value": 0.934 - shift / 9, "interval": [0.915, 0.951]}],
        "Top1Loc": [entry(0.571, 0.231 + shift, "oracle", "largest")],
        "GTKnownLoc": [entry(0.612, 0.231 + shift, "oracle", "largest")],
    }
    return {"dataset": "objects10", "split": "val", "images": 500, "metrics": metrics}


def curves(best: float) -> dict[str, Any]:
    """Curves as an evaluation gives them, with the best threshold at ``best``."""
    thresholds = np.arange(0, 1, 0.01)
    hump = np.exp(-((thresholds - best) ** 2) / 0.06)
    accuracy = {iou: (height * hump).tolist() for iou, height in (("0.3", 0.9), ("0.5", 0.65), ("0.7", 0.3))}
    recall = np.linspace(0, 1, 60)
    return {
        "thresholds": thresholds.tolist(),
        "box_accuracy": {"largest": accuracy, "all": accuracy},
        "precision": (1 - (0.9 - best) * recall**3).tolist(),
        "recall": recall.tolist(),
    }


def gallery_item(seed: int, iou: float, image_id: str = "", class_name: str = "tench") -> GalleryItem:
    """A photograph, wide, tall or square by its seed; every third one has a mask for truth."""
    rng = np.random.default_rng(seed)
    size_hw = ((300, 400), (400, 280), (320, 320), (240, 520))[seed % 4]
    height, width = size_hw
    x0, y0 = rng.uniform(0.08, 0.35, 2) * (width, height)
    box = np.array([x0, y0, x0 + rng.uniform(0.35, 0.55) * width, y0 + rng.uniform(0.35, 0.55) * height])
    moved = box + (1 - iou) * 0.5 * np.array([width, height] * 2) * rng.uniform(-0.2, 0.3, 4)
    predicted = np.clip(moved, 0, np.array([width, height] * 2))
    masked = seed % 3 == 2
    return GalleryItem(
        image_id=image_id or f"{class_name}/n01440764_{seed:05d}.JPEG",
        image=photograph(size_hw, box, seed),
        score_map=score_map(size_hw, predicted),
        truth=Truth(size_hw, mask=mask(size_hw, box)) if masked else Truth(size_hw, boxes=box[None]),
        boxes=predicted[None],
        iou=iou,
        class_name=class_name,
        predicted_name=class_name if seed % 5 else "English springer",
        threshold=0.231,
    )


def method_report(name: str, shift: float, per_row: int = 5) -> MethodReport:
    """A whole report of one method, its numbers moved by ``shift``."""
    rows = {"best": 0.93, "median": 0.58, "worst": 0.04}
    base = round(100 * abs(shift))
    history = [
        {"epoch": e, "train_loss": 2.2 / e - shift, "val_top1": 0.95 - 0.3 / e + shift / 9}
        for e in range(1, 5)
    ]
    return MethodReport(
        name=name,
        evaluation=evaluation(shift),
        curves=curves(0.24 + shift),
        history=history,
        gallery={
            kind: [
                gallery_item(base + 7 * row + place, iou - 0.01 * place * (iou > 0.1))
                for place in range(per_row)
            ]
            for row, (kind, iou) in enumerate(rows.items())
        },
        settings={"method": name, "backbone": "mobilenetv2_100", "epochs": "4", "seed": "0"},
    )


def colour_edges(picture: ByteArray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Edges x0, y0, x1, y1 of all pixels of exactly this colour."""
    hits = (picture == np.array(colour, dtype=np.uint8)).all(axis=2).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(hits)
    return x, y, x + width, y + height
