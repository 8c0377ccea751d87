"""The benchmarks' real lists read in another way, to compare each record of a data set with."""

from __future__ import annotations

import csv
from pathlib import Path

from rfga.data import open_dataset
from rfga.data.base import Dataset


def rows(path: Path) -> list[list[str]]:
    """The lines of a list."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.reader(file) if row]


def boxes_by_id(path: Path) -> dict[str, list[list[float]]]:
    """All boxes of an image, in the order of the lines."""
    found: dict[str, list[list[float]]] = {}
    for image_id, *numbers in rows(path):
        found.setdefault(image_id, []).append([float(number) for number in numbers])
    return found


def with_some_photographs(lists: Path, root: Path) -> Path:
    """A folder with an empty file as the first photograph of each split, since a data set needs one."""
    for split in ("train", "val", "test"):
        for image_id, _ in rows(lists / split / "class_labels.txt")[:1]:
            path = root / "images" / image_id
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def require_the_same(name: str, lists: Path, root: Path, with_boxes: set[str]) -> Dataset:
    """Ids, classes, order, sizes and boxes of every image of every split are those of the files."""
    dataset = open_dataset(f"{name}:{with_some_photographs(lists, root)}", lists)
    assert dataset.name == name
    for split in ("train", "val", "test"):
        samples = dataset.samples(split)
        expected = [(image_id, int(label)) for image_id, label in rows(lists / split / "class_labels.txt")]
        assert [(sample.image_id, sample.label) for sample in samples] == expected
        assert [[sample.image_id] for sample in samples] == rows(lists / split / "image_ids.txt")
        assert all(sample.path == root / "images" / sample.image_id for sample in samples)
        if split not in with_boxes:
            continue
        boxes = boxes_by_id(lists / split / "localization.txt")
        sizes = {i: (int(height), int(width)) for i, width, height in rows(lists / split / "image_sizes.txt")}
        for sample in samples:
            truth = dataset.truth(sample)
            assert truth is not None
            assert truth.boxes is not None
            assert truth.boxes.tolist() == boxes[sample.image_id]
            assert truth.size_hw == sizes[sample.image_id]
    return dataset
