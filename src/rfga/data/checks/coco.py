"""Every wrong entry of a COCO file, where reading it as truth ends at the first."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from rfga.data.checks.boxes import XYWH, MarkedBox, box_findings
from rfga.data.checks.coverage import TruthOf, coverage_findings
from rfga.data.checks.findings import Finding
from rfga.data.truth.coco import load_json
from rfga.data.truth.naming import PhotographNames
from rfga.types import UserError


def coco_findings(path: Path, of: TruthOf) -> list[Finding]:
    """What is wrong with a COCO file as truth of a split, entry by entry.

    Args:
        path: the file.
        of: the photographs.
    """
    try:
        content = load_json(path)
    except UserError as error:
        return [Finding("truth_unusable", path.name, str(error))]
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            said = f"expected a list under {key!r}, found none in {path}: export it as COCO 'instances'"
            return [Finding("truth_unusable", path.name, said)]
    check = _CocoCheck(path, of)
    check.read_images(content["images"])
    check.read_categories(content.get("categories"))
    check.read_annotations(content["annotations"])
    return check.result()


class _CocoCheck:
    """What was made of the entries so far, and what is wrong with them."""

    def __init__(self, path: Path, of: TruthOf) -> None:
        self._path, self._of = path, of
        self._names = PhotographNames(list(of.positions), of.split_folder.name)
        self._found: list[Finding] = []
        self._images: dict[Any, int | None] = {}  # id -> index in the survey; None of no photograph here
        self._sizes_hw: dict[int, tuple[float, float]] = {}  # as stated
        self._categories: dict[Any, str] = {}
        self._classes: dict[int, set[str]] = defaultdict(set)  # of each photograph's boxes
        self._boxes: list[MarkedBox] = []
        self._unknown: list[str] = []

    def read_images(self, items: list[Any]) -> None:
        """Which photographs the file names, and of what size."""
        for number, item in enumerate(items):
            image_id, name = (
                (item.get("id"), item.get("file_name")) if isinstance(item, dict) else (None,) * 2
            )
            where = f"entry {number} of 'images'"
            if not _is_id(image_id) or not isinstance(name, str):
                self._malformed(where, "an id and a file_name", item)
                continue
            if image_id in self._images:
                self._malformed(where, "an id of its own", item)
                continue
            photograph = self._names.at(name)
            index = None if photograph is None else self._of.index(photograph)
            self._images[image_id] = index
            if index is None:
                self._unknown.append(name)
            elif index in self._sizes_hw:
                self._malformed(where, "each photograph once", item)
            else:
                self._read_size(index, item)

    def _read_size(self, index: int, item: dict[str, Any]) -> None:
        survey = self._of.survey
        height, width = size_hw = tuple(survey.sizes_hw[index].tolist())
        stated = tuple(item[key] for key in ("height", "width") if _is_number(item.get(key)))
        self._sizes_hw[index] = (float(height), float(width))
        if len(stated) < 2:
            return
        # Boxes are judged in the pixels that the file speaks of: a wrong size is one mistake, not two.
        self._sizes_hw[index] = (float(stated[0]), float(stated[1]))
        if stated != size_hw and height:
            turned = stated == (width, height)
            remedy = "apply its EXIF orientation before marking" if turned else "use the marked photograph"
            said = f"found {stated[1]}x{stated[0]} in {self._path.name}: {remedy}"
            self._add("truth_size", index, f"expected the photograph's {width}x{height} pixels, {said}")

    def read_categories(self, items: Any) -> None:
        """Names of the categories, where there are any."""
        for number, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict) and _is_id(item.get("id")) and isinstance(item.get("name"), str):
                self._categories[item["id"]] = normalize("NFC", item["name"])
            else:
                self._malformed(f"entry {number} of 'categories'", "an id and a name", item)

    def read_annotations(self, items: list[Any]) -> None:
        """Boxes of the photographs that are there; outlines of groups (``iscrowd``) are left out."""
        for number, item in enumerate(items):
            where = f"entry {number} of 'annotations'"
            if not isinstance(item, dict) or not _is_id(item.get("image_id")):
                self._malformed(where, "an image_id", item)
            elif item["image_id"] not in self._images:
                self._malformed(where, "an image_id out of the images", item)
            elif self._categories and not self._is_category(item.get("category_id")):
                self._malformed(where, "a category_id out of the categories", item)
            elif not item.get("iscrowd"):
                self._read_box(item, where)

    def _read_box(self, item: dict[str, Any], where: str) -> None:
        index, bbox = self._images[item["image_id"]], item.get("bbox")
        if index is None:
            return
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
            said = f"expected bbox as four finite numbers, found {bbox!s:.60} in {where}: correct it"
            self._add("box_malformed", index, said)
            return
        self._classes[index].add(self._categories.get(item.get("category_id"), ""))
        x, y, width, height = map(float, bbox)
        if self._sizes_hw[index][0]:  # else the photograph cannot be read, which is said elsewhere
            self._boxes.append(MarkedBox(index, (x, y, width, height), f"{where} of {self._path.name}"))

    def result(self) -> list[Finding]:
        """Everything that was found."""
        sizes_hw = np.array([self._sizes_hw[box.photograph] for box in self._boxes]).reshape(-1, 2)
        found = [*self._found, *box_findings(self._of.survey, self._boxes, sizes_hw, XYWH, self._path.name)]
        known, names = set(), set(self._categories.values())
        for index, classes in self._classes.items():
            own = normalize("NFC", self._of.image_id(index).partition("/")[0])
            if own in names and own not in classes:
                there = ", ".join(sorted(classes))
                said = (
                    f"expected a box of {own}, found only boxes of {there}: correct the class or the folder"
                )
                found.append(self._finding("other_class", index, said))
            known.add(index)
        return [*found, *coverage_findings(self._path, self._of, known, self._unknown)]

    def _is_category(self, category_id: Any) -> bool:
        return _is_id(category_id) and category_id in self._categories

    def _malformed(self, where: str, expected: str, item: Any) -> None:
        said = f"expected {expected} in {where}, found {item!s:.80}: correct it"
        self._found.append(Finding("truth_entry", self._path.name, said))

    def _add(self, kind: str, index: int, sentence: str) -> None:
        self._found.append(self._finding(kind, index, sentence))

    def _finding(self, kind: str, index: int, sentence: str) -> Finding:
        survey = self._of.survey
        return Finding(kind, survey.file(index), sentence, shots=survey.shots(index))


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
