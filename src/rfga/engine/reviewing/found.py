"""The boxes that ``rfga localize`` or ``rfga build`` wrote, as a review reads them: one at a time."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from rfga.data.images import read_size
from rfga.engine.localizing.journal import FILE_NAME, SUMMARY_NAME, prediction_of
from rfga.output.review.page import photograph_confidence
from rfga.types import Prediction, UserError
from rfga.untrusted import parse_json, place_below, read_text

_BOXES = "boxes"  # below what `rfga build` wrote
_LOOKED_FOR = 50  # photographs, to tell a wrong folder from files that are gone


@dataclass(frozen=True)
class Place:
    """Where boxes lie, and the photographs that they are of."""

    boxes: Path  # the folder
    classes: tuple[str, ...]
    folders: tuple[Path, ...]  # that the names of photographs are relative to

    @classmethod
    def found(cls, path: Path, photographs: Path | None = None) -> Place:
        """What ``rfga review`` is given.

        Args:
            path: a folder that localize or build wrote, or the coco.json in it.
            photographs: their folder, where they no longer lie where they did.

        Raises:
            UserError: there are no whole boxes of ours.
        """
        folder = path.parent if path.name.endswith(".json") else path
        if not (folder / FILE_NAME).is_file() and (folder / _BOXES / FILE_NAME).is_file():
            folder = folder / _BOXES
        if not (folder / FILE_NAME).is_file():
            raise UserError(
                f"expected a folder that rfga localize or rfga build wrote, or its coco.json, found {path} "
                "without their journal: give that folder"
            )
        try:
            summary = parse_json(read_text(folder / SUMMARY_NAME))
            classes, folders = summary["classes"], summary["folders"]
            texts = [*classes, *folders]
            if not (texts and classes and all(isinstance(text, str) for text in texts)):
                raise ValueError("no names of classes and folders")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"expected boxes that are finished, found {folder / SUMMARY_NAME} missing or of another "
                f"version ({error!r:.80}): call the command that made them again, with --resume"
            ) from error
        where = [Path(text) for text in folders] if photographs is None else [photographs]
        return cls(folder, tuple(classes), tuple(where))

    def photograph(self, name: str) -> Path | None:
        """The file of a photograph; None where it is gone.

        Raises:
            UserError: the name leads out of the folder.
        """
        places = (place_below(folder, name) for folder in self.folders)
        return next((place for place in places if place.is_file()), None)


class Found:
    """What was found in each photograph; in memory are a name and a few numbers of each.

    Args:
        place: where the boxes lie.

    Raises:
        UserError: the journal holds something else, or none of the photographs is where it should be.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.names: list[str] = []
        self.labels, self.confidences = array("i"), array("d")
        self.reviewed, self.warned, self.empty = set[int](), set[int](), set[int]()  # numbers of photographs
        self._begins, self._lock = array("q"), Lock()
        self._lines = (place.boxes / FILE_NAME).open("rb")
        self._index()
        self.numbers = {name: number for number, name in enumerate(self.names)}
        keys = sorted(range(len(self.names)), key=lambda n: (self.confidences[n], self.names[n]))
        self.worst_first: Sequence[int] = array("i", keys)
        self._require_photographs()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> Prediction:
        """What was found in a photograph, without a score map."""
        with self._lock:
            self._lines.seek(self._begins[number])
            return prediction_of(json.loads(self._lines.readline()))

    def close(self) -> None:
        """Leave the journal alone."""
        self._lines.close()

    def _index(self) -> None:
        begin = 0
        for number, line in enumerate(self._lines):
            held = _line(line)
            if held is None:
                break  # what a kill cut short is the last one
            if "id" in held:
                self._note(held, begin, number)
            begin += len(line)
        if not self.names:
            raise UserError(
                f"expected photographs with boxes, found none in {self.place.boxes}: run it again"
            )

    def _note(self, held: dict[str, Any], begin: int, line_number: int) -> None:
        try:
            found = prediction_of(held)
            number = len(self.names)
            self.names.append(found.image_id)
            self.labels.append(found.label)
            self.confidences.append(photograph_confidence(found))
            self._begins.append(begin)
            if not all(0 <= label < len(self.place.classes) for label in (found.label, *found.labels)):
                raise ValueError(f"class {found.label} of {len(self.place.classes)}")
        except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
            raise UserError(
                f"expected a photograph with its boxes in line {line_number + 1} of "
                f"{self.place.boxes / FILE_NAME}, found something else ({error!r:.80}): make the boxes anew"
            ) from error
        if found.reviewed:
            self.reviewed.add(number)
        if not len(found.boxes):
            self.empty.add(number)
        if found.warnings:
            self.warned.add(number)

    def _require_photographs(self) -> None:
        some = range(0, len(self.names), max(1, len(self.names) // _LOOKED_FOR))
        there = {number: path for number in some if (path := self.place.photograph(self.names[number]))}
        wish = "give --data with the folder that the boxes were made of"
        if not there:
            folders = ", ".join(map(str, self.place.folders)) or "a folder"
            raise UserError(
                f"expected the photographs below {folders}, found none of them there (such as "
                f"{self.names[0]}): {wish}"
            )
        for number, path in there.items():
            with suppress(UserError):  # a damaged one cannot be shown, and that is all
                height, width = read_size(path)
                stated = self[number].size_hw
                if (height, width) != stated:
                    break
        else:
            return
        raise UserError(
            f"expected {path} with {stated[1]} x {stated[0]} pixels, as it was when its boxes were made, "
            f"found {width} x {height}: {wish}"
        )


def _line(line: bytes) -> dict[str, Any] | None:
    try:
        held = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) and line.endswith(b"\n") else None
