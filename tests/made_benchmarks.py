"""Tiny made-up data sets in the layouts of the benchmarks, for contract tests and the tests of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZES_HW = ((30, 40), (52, 36), (41, 67))
SPLITS = ("train", "val", "test")
CLASSES = ("n01 grey heron", "n02 tench")
BOX = (3, 4, 21, 28)  # inside all pictures
BREEDS = ("Abyssinian", "great_pyrenees", "yorkshire_terrier")

Row = Sequence[object]


def write_lists(folder: Path, **lists: Sequence[Row]) -> Path:
    """Files of comma-separated lines: ``class_labels=[("cat/0.jpg", 0)]``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in lists.items():
        lines = [",".join(map(str, row)) + "\n" for row in rows]
        (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def write_image(path: Path, size_hw: tuple[int, int], orientation: int | None = None) -> Path:
    """A noisy photograph of ``size_hw`` stored pixels, perhaps with a note of how to turn it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    pixels = np.random.default_rng(sum(size_hw)).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def write_mask(path: Path, size_hw: tuple[int, int], box: Sequence[int] = BOX) -> Path:
    """A mask of one box."""
    pixels = np.zeros(size_hw, np.uint8)
    x0, y0, x1, y1 = box
    pixels[y0:y1, x0:x1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_benchmark(root: Path, truth_kind: str = "boxes", set_folder: str = "") -> Path:
    """Three pictures of two classes in each split, no truth of train; every second one is noted as turned."""
    for split in SPLITS:
        lists: dict[str, list[Row]] = {
            name: [] for name in ("image_ids", "class_labels", "image_sizes", "localization")
        }
        for label, class_name in enumerate(CLASSES):
            for number, size_hw in enumerate(SIZES_HW):
                image_id = f"{split}/{class_name}/{number} ü.jpg"
                write_image(root / "images" / image_id, size_hw, orientation=6 if number == 1 else None)
                lists["image_ids"].append((image_id,))
                lists["class_labels"].append((image_id, label))
                lists["image_sizes"].append((image_id, size_hw[1], size_hw[0]))
                if split == "train":
                    continue
                if truth_kind == "boxes":
                    lists["localization"] += [(image_id, *BOX), (image_id, 1, 2, *size_hw[::-1])]
                else:
                    lists["localization"] += _write_masks(root / "masks", image_id, size_hw)
        write_lists(root / "metadata" / set_folder / split, **lists)
    return root


def _write_masks(folder: Path, image_id: str, size_hw: tuple[int, int]) -> list[Row]:
    stem = image_id.removesuffix(".jpg")
    names = [f"{stem}_{part}.png" for part in ("m0", "m1", "ignore")]
    for name, box in zip(names, (BOX, (20, 20, 30, 30), (0, 0, 40, 6)), strict=True):
        write_mask(folder / name, size_hw, box)
    return [(image_id, names[0], names[2]), (image_id, names[1], "")]


def write_pets(root: Path, counts: Mapping[str, int] | None = None) -> Path:
    """Oxford-IIIT Pet as its archives unpack: ``counts`` photographs a breed in trainval, two in test."""
    counts = counts or dict.fromkeys(BREEDS, 24)
    folder = root / "oxford-iiit-pet"
    annotations: dict[str, list[str]] = {"trainval": [], "test": []}
    for label, (breed, count) in enumerate(counts.items(), start=1):
        for number in range(1, count + 3):
            name = f"{breed}_{number}"
            size_hw = SIZES_HW[number % 3]
            write_image(
                folder / "images" / f"{name}.jpg", size_hw, orientation=6 if number % 3 == 1 else None
            )
            part = "trainval" if number <= count else "test"
            annotations[part].append(f"{name} {label} {1 + breed.islower()} 1\n")
            trimap = np.full(size_hw, 2, np.uint8)
            trimap[4:28, 3:21], trimap[6:26, 5:19] = 3, 1
            path = folder / "annotations" / "trimaps" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(trimap).save(path)
    for part, lines in annotations.items():
        (folder / "annotations" / f"{part}.txt").write_text("".join(lines))
    return root
