"""What is wrong with the boxes and masks of a data set, whatever they come as."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rfga.data.base import Dataset, canonical_split
from rfga.data.checks.boxes import EDGES, MarkedBox, box_findings
from rfga.data.checks.coco import coco_findings
from rfga.data.checks.coverage import TruthOf, coverage_findings, remark_findings, truth_of
from rfga.data.checks.findings import Finding
from rfga.data.checks.masks import mask_findings
from rfga.data.checks.source import CheckSource
from rfga.data.checks.survey import Survey
from rfga.data.truth.readers import READERS, open_truth
from rfga.types import MASK_OBJECT, Sample, Truth, UserError

ENTRY_BY_ENTRY: dict[str, Callable[[Path, TruthOf], Iterable[Finding]]] = {
    "COCO JSON file": coco_findings,
    "folder of masks": mask_findings,
}
"""Kinds of truth (as in ``READERS``) of which every wrong entry is listed instead of a photograph's first."""


def truth_findings(
    source: CheckSource, survey: Survey, truth: Path | None = None, split: str = "val"
) -> Iterator[Finding]:
    """What is wrong with truth.

    Args:
        source: the data set.
        survey: of its photographs.
        truth: file or folder, for class folders.
        split: that ``truth`` is of; a data set that carries its own is looked through in every split.

    Raises:
        UserError: there is no truth at the path, or no photographs that it can be of.
    """
    if source.carries_truth:
        for name in survey.splits:
            if source.dataset.has_truth(name):
                yield from _own_findings(source.dataset, survey, name)
    elif truth is not None:
        split = canonical_split(split)
        if source.split_folder is None or not survey.splits.get(split):
            raise UserError(
                f"expected photographs of {split} for the truth {truth}, found none in "
                f"{source.dataset.name!r}: add them or give another --split"
            )
        yield from _file_findings(truth, truth_of(survey, split, source.split_folder))


def _own_findings(dataset: Dataset, survey: Survey, split: str) -> Iterator[Finding]:
    # Data sets that carry their truth take pixels as they are stored, which is what it was marked on.
    reading = _Reading(truth_of(survey, split, Path(split)), survey.stored_hw, f"the truth of {dataset.name}")
    yield from reading.findings(dataset.truth)
    for index in reading.without:
        said = (
            f"expected truth of every photograph of {split}, found none: it is left out of what is measured"
        )
        yield Finding("without_truth", survey.file(index), said, shots=survey.shots(index))


def _file_findings(path: Path, of: TruthOf) -> Iterator[Finding]:
    kind = next((name for name, (is_kind, _) in READERS.items() if is_kind(path)), None)
    if kind in ENTRY_BY_ENTRY:
        yield from ENTRY_BY_ENTRY[kind](path, of)
        return
    try:
        reader = open_truth(path, of.split_folder, list(of.positions))
    except UserError as error:
        if kind is None:
            raise
        yield Finding("truth_unusable", path.name, str(error))
        return
    reading = _Reading(of, of.survey.sizes_hw, path.name)
    yield from reading.findings(lambda sample: reader.truth(sample.image_id))
    for warning in reader.warnings():
        yield Finding("box_over_edge", path.name, f"expected boxes inside the photograph, found {warning}")
    yield from remark_findings(path, reader.remarks)
    known = {*range(len(of.survey))}.difference(reading.without)
    yield from coverage_findings(path, of, known, reader.missing_images)


class _Reading:
    """A pass over the photographs of a split whose truth comes whole, photograph by photograph."""

    def __init__(self, of: TruthOf, sizes_hw: NDArray[np.int32], file: str) -> None:
        self._of, self._sizes_hw, self._file = of, sizes_hw, file
        self.without: list[int] = []  # photographs of which nothing is known

    def findings(self, truth: Callable[[Sample], Truth | None]) -> Iterator[Finding]:
        """What is wrong with it; at the end, what is wrong with all boxes together."""
        survey, boxes = self._of.survey, list[MarkedBox]()
        for sample in survey.splits[self._of.split]:
            index = self._of.index(sample.image_id)
            if not self._sizes_hw[index].any():
                continue  # the photograph itself cannot be read
            try:
                known = truth(sample)
            except UserError as error:
                yield self._finding("truth_misfit", index, str(error))
                continue
            if known is None:
                self.without.append(index)
                continue
            yield from self._of_one(index, known)
            boxes += [
                MarkedBox(index, (x0, y0, x1, y1), f"box {number} of {self._file}")
                for number, (x0, y0, x1, y1) in enumerate([] if known.boxes is None else known.boxes.tolist())
            ]
        sizes_hw = self._sizes_hw[[box.photograph for box in boxes]].reshape(-1, 2)
        yield from box_findings(survey, boxes, sizes_hw, EDGES, self._file)

    def _of_one(self, index: int, known: Truth) -> Iterator[Finding]:
        height, width = size_hw = tuple(self._sizes_hw[index].tolist())
        if known.size_hw != size_hw:
            found = f"found {known.size_hw[1]}x{known.size_hw[0]} in {self._file}"
            said = f"expected the photograph's {width}x{height} pixels, {found}: use the marked photograph"
            yield self._finding("truth_size", index, said)
        if known.mask is not None and not (known.mask == MASK_OBJECT).any():
            said = f"expected an object ({MASK_OBJECT}) in the mask, found none: mark it, or drop the mask"
            yield self._finding("mask_empty", index, said)

    def _finding(self, kind: str, index: int, sentence: str) -> Finding:
        survey = self._of.survey
        return Finding(kind, survey.file(index), sentence, shots=survey.shots(index))
