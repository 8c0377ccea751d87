"""Boxes that a person gave to photographs of any split, to learn from and to keep as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rfga.data.truth.given import NOTHING_HERE, Given
from rfga.data.truth.marked import BoxTruth
from rfga.data.truth.readers import TruthReader, open_truth
from rfga.types import MASK_OBJECT, Sample, UserError

_ORDER = (
    "val",
    "train",
    "test",
)  # a name without its split is one of val, if it may be, as in other commands


def read_corrections(
    path: Path, folders: Mapping[str, Path], photographs: Mapping[str, Sequence[Sample]]
) -> tuple[list[tuple[Sample, Given]], list[str]]:
    """What a person has said of photographs.

    Names may be relative to the folder of a split or to the one above, as those of ``rfga build`` are.

    Args:
        path: any kind of truth.
        folders: of the splits.
        photographs: of each split.

    Returns:
        The photographs with what is known of them, and a sentence for each that is left out.

    Raises:
        UserError: it is of no known kind, or tells nothing of any photograph.
    """
    found: list[tuple[Sample, Given]] = []
    left_out: list[str] = []
    errors: list[UserError] = []
    for split in _ORDER:
        if not photographs.get(split):
            continue
        try:
            reader = open_truth(path, folders[split], [sample.image_id for sample in photographs[split]])
        except UserError as error:
            errors.append(error)
            continue
        before = {sample.image_id: given for sample, given in found}
        for sample in photographs[split]:
            try:
                given = given_of(reader, sample.image_id)
            except UserError as error:
                left_out.append(str(error))
                continue
            if given is not None and not _same(given, before.get(sample.image_id)):
                found.append((sample, given))
    if not found:
        raise UserError(left_out[0]) if left_out else errors[0]
    return found, left_out


def given_of(reader: TruthReader, image_id: str) -> Given | None:
    """What a reader knows of a photograph, as a person's boxes; of a mask, the box around its object.

    Raises:
        UserError: it does not fit the photograph.
    """
    if isinstance(reader, BoxTruth):
        return reader.given(image_id)
    truth = reader.truth(image_id)
    if truth is None:
        return None
    if truth.boxes is not None:
        return Given(truth.boxes)
    rows, columns = np.nonzero(np.asarray(truth.mask) == MASK_OBJECT)
    if not len(rows):
        return NOTHING_HERE
    return Given(np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=np.float64))


def _same(given: Given, other: Given | None) -> bool:
    """Whether a line without its split was read as of two photographs that are called alike."""
    return other is not None and np.array_equal(given.boxes, other.boxes)
