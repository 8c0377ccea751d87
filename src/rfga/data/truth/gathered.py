"""Truth on its way from files to photographs: each photograph once, and whatever is lost is counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from rfga.data.truth.naming import PhotographNames
from rfga.data.truth.remarks import Remarks

T = TypeVar("T")


class Gathered(Generic[T]):
    """What files say of the photographs of a split.

    Args:
        image_ids: the photographs.
        split_folder: where they lie.
    """

    def __init__(self, image_ids: Sequence[str], split_folder: Path) -> None:
        self.names = PhotographNames(image_ids, split_folder.name)
        self.by_id: dict[str, T] = {}
        self.missing: list[str] = []  # names of no photograph
        self.remarks = Remarks()
        self._where: dict[str, str] = {}  # the first entry of each photograph

    def one(self, name: str, found: Sequence[str] | None = None, *, in_any_case: bool = True) -> str | None:
        """The photograph that a name is of; None, and counted, where it is of none or may be of several.

        Args:
            name: as the truth has it.
            found: the photographs that it may be of, where it is a file beside its photograph.
            in_any_case: where there is none, upper and lower case may count as the same.
        """
        beside, stem = found is not None, name if found is None else name.rpartition(".")[0]
        found = self.names.find(name) if found is None else found
        if not found and self.names.is_elsewhere(name):
            self.leave_elsewhere(name)
            return None
        if not found and in_any_case:
            found = self.names.find_in_any_case(stem, beside=beside)
            if len(found) == 1:
                said = (
                    "expected names as the photographs' own, found {count} that differ in upper and lower "
                    "case alone (first: {first}): they are taken, so rename them where others are meant"
                )
                self.remarks.count("truth_spelling", said, name)
        if len(found) > 1:
            said = (
                "expected names of one photograph, found {count} that fit several (first: {first}): they are "
                "left out, so write whole paths (CLASS/NAME with its ending)"
            )
            self.remarks.count("truth_left_out", said, f"{name}, which may be {' or '.join(found[:3])}")
            return None
        if not found:
            self.missing.append(name)
            return None
        return found[0]

    def leave_elsewhere(self, name: str) -> None:
        """Count what is of a photograph of another split."""
        said = "expected photographs of this split, found {count} of others (first: {first}): left out"
        self.remarks.count("truth_left_out", said, name)

    def put(self, image_id: str, where: str, value: T) -> None:
        """Keep what an entry says of a photograph; of two entries neither is believed."""
        first = self._where.setdefault(image_id, where)
        if first == where:
            self.by_id[image_id] = value
            return
        self.by_id.pop(image_id, None)
        self.remarks.fault(
            f"expected each image once, found {image_id!r} in {first} and again in {where}: drop one"
        )
