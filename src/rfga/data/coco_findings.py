"""Every wrong entry of a COCO file, where reading it as truth ends at the first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from rfga.data.box_findings import XYWH, MarkedBox, box_findings
from rfga.data.coco import load_json
from rfga.data.findings import Finding, Place, Shot
from rfga.data.naming import PhotographNames
from rfga.data.survey import Survey
from rfga.types import IntArray, UserError


@dataclass
class _Read:
    """What was made of the entries so far."""

    photographs: dict[Any, int | None] = field(default_factory=dict)  # id -> index; None: not in the split
    sizes_hw: dict[int, tuple[int, int]] = field(default_factory=dict)  # index -> as the file has it
    boxes: list[MarkedBox] = field(default_factory=list)
    classes: dict[int, set[str]] = field(default_factory=dict)  # index -> classes of its boxes


def coco_findings(path: Path, survey: Survey, split: str, split_folder: Path) -> Iterator[Finding]:
    """What is wrong with a COCO file as truth of a split, entry by entry.

    Args:
        path: the file.
        survey: of the photographs.
        split: that the file is about.
        split_folder: its folder.
    """
    try:
        content = load_json(path)
    except UserError as error:
        yield Finding("truth_unusable", path.name, str(error))
        return
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            yield Finding(
                "truth_unusable",
                path.name,
                f"expected a list under {key!r}, found none: export it as COCO 'instances'",
            )
            return
    read = _Read()
    yield from _images(content, path, survey, PhotographNames(*_ids(survey, split), split_folder.name), read)
    categories, problems = _categories(content, path)
    yield from problems
    yield from _annotations(content, path, survey, categories, read)
    sizes_hw = np.array([read.sizes_hw[box.photograph] for box in read.boxes], np.int64).reshape(-1, 2)
    yield from box_findings(survey, read.boxes, sizes_hw, XYWH, path.name)
    yield from _classes(survey, split, set(categories.values()), read)


def _ids(survey: Survey, split: str) -> tuple[list[str]]:
    return ([sample.image_id for sample in survey.splits.get(split, ())],)


def _images(
    content: Mapping[str, Any], path: Path, survey: Survey, names: PhotographNames, read: _Read
) -> Iterator[Finding]:
    positions = {sample.image_id: position for position, sample in enumerate(names_of(survey, names))}
    yield from ()
