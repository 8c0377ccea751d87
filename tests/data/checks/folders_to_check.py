"""Class folders with nothing wrong, to which the tests add one fault each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rfga.data.checks.findings import Finding
from rfga.data.checks.source import CheckSource, open_for_check
from rfga.data.checks.survey import Survey, take_survey
from rfga.data.checks.truth import truth_findings

WIDTH, HEIGHT = 64, 48
CLASSES = ("cat", "dog")


def photograph(seed: int, size_wh: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """A coloured picture of soft noise, unlike that of any other seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size_wh, Image.Resampling.BICUBIC)


def put(path: Path, picture: Image.Image, **options: Any) -> Path:
    """Save a picture, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def clean_folders(root: Path, train: int = 20, val: int = 3) -> Path:
    """``train`` and ``val`` photographs of two classes, none like another."""
    seed = 0
    for split, count in (("train", train), ("val", val)):
        for name in CLASSES:
            for number in range(count):
                put(root / split / name / f"{number}.jpg", photograph(seed), quality=92)
                seed += 1
    return root


def surveyed(root: Path) -> tuple[CheckSource, Survey, list[Finding]]:
    """A folder opened and looked through, with what is odd about its folders and files."""
    source = open_for_check(str(root))
    survey, findings = take_survey(source.dataset, workers=2)
    return source, survey, [*source.findings, *findings]


def truth_kinds(root: Path, truth: Path) -> list[tuple[str, str]]:
    """Kind and file of all that is wrong with the truth of val."""
    return [(finding.kind, finding.file) for finding in truth_found(root, truth)]


def truth_found(root: Path, truth: Path) -> list[Finding]:
    """All that is wrong with the truth of val."""
    source, survey, _ = surveyed(root)
    return list(truth_findings(source, survey, truth, "val"))


def write_coco(path: Path, boxes: Sequence[tuple[str, object]], **changes: Any) -> Path:
    """COCO JSON of (image id, bbox), every photograph of val among its images."""
    names = [f"{name}/{number}.jpg" for name in CLASSES for number in range(3)]
    content = {
        "images": [
            {"id": k, "file_name": name, "width": WIDTH, "height": HEIGHT} for k, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": k,
                "image_id": names.index(name),
                "category_id": CLASSES.index(name.partition("/")[0]),
                "bbox": box,
            }
            for k, (name, box) in enumerate(boxes)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES)],
    }
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def good_boxes() -> list[tuple[str, object]]:
    """A box for each photograph of val."""
    return [(f"{name}/{number}.jpg", [5 + number, 4, 20.5, 30]) for name in CLASSES for number in range(3)]
