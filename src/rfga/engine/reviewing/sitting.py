"""A person at the page: a review, and the next one where the collection has learned from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from rfga.engine.reviewing.corrected import COCO, write_corrected
from rfga.engine.reviewing.corrections import Corrections
from rfga.engine.reviewing.found import Found, Place
from rfga.engine.reviewing.review import Review
from rfga.engine.run.options import resolve
from rfga.files import claimed
from rfga.output.export.formats import FORMATS
from rfga.types import UserError

Learn: TypeAlias = "Callable[[Path], str]"
"""Finds all boxes anew by COCO of those that a person corrected; gives a sentence of what came of it."""


@dataclass(frozen=True)
class ReviewCommand:
    """What ``rfga review`` was asked for.

    Args:
        boxes: folder that localize or build wrote, or its coco.json.
        data: folder of the photographs, where they no longer lie where they did.
        formats: of corrected boxes, names out of ``rfga.output.export.formats.FORMATS``.
        port: to listen at; 0 takes any that is free.
        export: write the corrected boxes and end, without a page.
    """

    boxes: Path
    data: Path | None = field(default=None, metadata={"metavar": "DIR"})
    formats: Sequence[str] = field(default=tuple(FORMATS), metadata={"flag": "format"})
    port: int = 7861
    export: bool = False


@contextmanager
def opened(command: ReviewCommand) -> Iterator[Review]:
    """The boxes with all that was said of them, kept from other calls while the block lasts."""
    for name in command.formats:
        resolve(FORMATS, name, "format")
    place = Place.found(command.boxes, command.data)
    with ExitStack() as stack:
        stack.enter_context(claimed(place.boxes, "rfga review"))
        found = Found(place)
        stack.callback(found.close)
        yield Review(found, stack.enter_context(Corrections(place.boxes)))


class Sitting:
    """What is said at the page, of the boxes as they are now.

    Args:
        command: what is reviewed.
        learn: how the collection learns from what was said, if it can.
    """

    def __init__(self, command: ReviewCommand, learn: Learn | None = None) -> None:
        self._command, self._learn = command, learn
        self._turn, self._stack = Lock(), ExitStack()
        self._review: Review | None = self._stack.enter_context(opened(command))
        self.learned: list[str] = []  # a sentence each time

    @property
    def learns(self) -> bool:
        """Whether the collection can learn."""
        return self._learn is not None

    @property
    def review(self) -> Review:
        """That of the boxes as they are now.

        Raises:
            UserError: they are just being found.
        """
        if self._review is None:
            raise UserError(
                "expected boxes, found them half made: wait until all are there, or call rfga build again"
            )
        return self._review

    def close(self) -> None:
        """Leave the boxes to other calls."""
        with self._turn:
            self._stack.close()

    def has_news(self) -> bool:
        """Whether something was said, or learned, since the files of corrected boxes were written."""
        with self._turn:
            if self.learned:
                return True
            written = self.review.found.place.boxes / COCO
            said = self.review.said.path.stat()
            return said.st_size > 0 and not (
                written.exists() and written.stat().st_mtime_ns > said.st_mtime_ns
            )

    def write(self) -> list[str]:
        """Write the files of corrected boxes; gives their names."""
        with self._turn:
            return write_corrected(self.review, self._command.formats)

    def learn(self) -> str:
        """Have all boxes found anew by what was said; gives a sentence of what came of it.

        Raises:
            UserError: nothing was said that can be learned from, or whatever stops the learning.
        """
        with self._turn:
            review = self.review
            states = review.progress()["states"]
            if self._learn is None or not any(states.get(name) for name in ("right", "corrected", "nothing")):
                raise UserError(
                    "expected corrected photographs to learn from, found none: mark or correct some first"
                )
            write_corrected(review, ("coco",))
            self._review = None
            self._stack.close()
            try:
                said = self._learn(review.found.place.boxes / COCO)
            finally:
                self._review = self._stack.enter_context(opened(self._command))
            self.learned.append(said)
            return said
