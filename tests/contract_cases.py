"""One small instance of each registered thing, made from its constructor alone."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rfga.backbones import BACKBONES
from rfga.backbones.base import Backbone
from rfga.backbones.build import build_backbone
from rfga.data import DATASETS
from rfga.data.base import Dataset
from rfga.methods import METHODS
from rfga.methods.base import Batch, Method
from rfga.types import Prediction
from tests.made_benchmarks import write_benchmark, write_pets

CLASSES = 3
SMALL = {"width": 16, "discriminant": "class"}  # options of methods that have them: narrow, a map a class
PICTURE_SIZES_HW = ((30, 40), (52, 36), (41, 67))
BOX = (3.0, 4.0, 21.0, 28.0)  # inside all of them
FEW = {"train_per_class": 2, "val_per_class": 2, "test_per_class": 1, "longer_side_pixels": 64}


FOLDERS: dict[str, Callable[[Path, str], object]] = {
    **dict.fromkeys(("cub", "ilsvrc", "openimages30k"), write_benchmark),
    "pets": lambda folder, truth_kind: write_pets(folder),  # its truth is always masks
}
"""Data set -> what makes its folder; class folders serve the others."""


def target(registry: dict[str, str], name: str) -> Any:
    """What a registry's entry leads to."""
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)


def made_method(name: str, backbone: str, seed: int = 0) -> Method:
    """A method with random weights over a small network at stride 16, its heads and branches narrow too."""
    return copy.deepcopy(kept_method(name, backbone, seed))


@lru_cache(maxsize=4)
def kept_method(name: str, backbone: str, seed: int = 0) -> Method:
    """The same, for reading alone: whoever asks again gets the same one."""
    network = copy.deepcopy(kept_backbone(backbone, seed))
    torch.manual_seed(seed)
    cls = target(METHODS, name)
    known = inspect.signature(cls).parameters
    options = {name: value for name, value in SMALL.items() if name in known}
    method: Method = cls(network, CLASSES, **options)
    learn_by_passes(method)
    return method


@torch.no_grad()
def learn_by_passes(method: Method, count: int = 6) -> None:
    """Solve a method that learns in closed form, from random pictures; others stay as they are."""
    method.eval()
    for look in method.passes():
        images, labels = made_images(count)
        sums = [one.zeros() for one in look]
        for one, total in zip(look, sums, strict=True):
            one.add(total, Batch(images, labels, torch.arange(count)))
            one.solve(total)
    method.train()


@lru_cache
def kept_backbone(name: str, seed: int = 0) -> Backbone:
    """A small network for reading alone; the benchmark's variants with 1/16 of their width."""
    torch.manual_seed(seed)
    if name not in BACKBONES:
        return build_backbone(name)
    variant: Backbone = target(BACKBONES, name)(output_stride=16, width=1 / 16)
    return variant


def made_images(count: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Normalised images (count, 3, 64, 96), wider than high, and labels (count,)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 64, 96, generator=generator)
    return images, torch.arange(count) % CLASSES


def made_dataset(name: str, truth_kind: str, folder: Path) -> Dataset:
    """A data set of a few pictures, with boxes or masks; whatever files its arguments ask for are made."""
    cls = target(DATASETS, name)
    parameters = inspect.signature(cls).parameters
    known: dict[str, Any] = {**FEW, "truth_kind": truth_kind, "root": folder, "truth": None}
    needed = {p.name for p in parameters.values() if p.default is inspect.Parameter.empty}
    if needed - set(known):
        pytest.fail(
            f"contract_cases.made_dataset cannot fill {sorted(needed - set(known))} of {name}: teach it"
        )
    if name in FOLDERS:
        FOLDERS[name](folder, truth_kind)
    elif "root" in parameters:
        known["truth"] = write_class_folders(folder, truth_kind)
    dataset: Dataset = cls(**{key: value for key, value in known.items() if key in parameters})
    return dataset


def write_class_folders(root: Path, truth_kind: str) -> Path:
    """Class folders with awkward names and kinds of pictures; gives the path of val's truth."""
    rng = np.random.default_rng(0)
    written = []
    for split in ("train", "val"):
        for class_name in ("grey heron", "tench"):
            for number, size_hw in enumerate(PICTURE_SIZES_HW):
                name = f"{class_name}/deep, er/{number} ü.png"
                path = root / split / name
                path.parent.mkdir(parents=True, exist_ok=True)
                channels = (size_hw, (*size_hw, 3), (*size_hw, 4))[number]  # grey, RGB, RGBA
                Image.fromarray(rng.integers(0, 256, channels, dtype=np.uint8)).save(path)
                written.append((split, name, size_hw))
    of_val = [(name, size_hw) for split, name, size_hw in written if split == "val"]
    return (_write_coco if truth_kind == "boxes" else _write_masks)(root, of_val)


def _write_coco(root: Path, pictures: list[tuple[str, tuple[int, int]]]) -> Path:
    x0, y0, x1, y1 = BOX
    images = [
        {"id": i, "file_name": name, "height": height, "width": width}
        for i, (name, (height, width)) in enumerate(pictures)
    ]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for i in range(len(images))
    ]
    path = root / "boxes.json"
    categories = [{"id": 1, "name": "animal"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def _write_masks(root: Path, pictures: list[tuple[str, tuple[int, int]]]) -> Path:
    x0, y0, x1, y1 = (int(edge) for edge in BOX)
    for name, size_hw in pictures:
        mask = np.zeros(size_hw, np.uint8)
        mask[y0:y1, x0:x1] = 255
        mask[:2] = 128
        path = (root / "val_masks" / name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    return root / "val_masks"


def made_predictions() -> list[Prediction]:
    """Two boxes, no box, and awkward names, in wide and high photographs."""
    empty = np.zeros((0, 4))
    two = np.array([[10.0, 5.5, 30.25, 25.0], [0.0, 0.0, 80.0, 60.0]])
    one = np.array([[0.5, 1.0, 3.0, 90.0]])
    return [
        Prediction("tench/a b.jpg", (60, 80), 1, 0.9, two, np.array([0.8, 0.3]), None, 0.2),
        Prediction("grey heron/leer.jpg", (40, 30), 0, 0.6, empty, np.zeros(0), None, 0.2),
        Prediction('grey heron/ü,"x"&<y>.png', (90, 45), 0, 0.7, one, np.array([0.5]), None, 0.15),
    ]
