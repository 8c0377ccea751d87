"""What a person has said of photographs, kept for good the moment it is said, and undone one step at a time.

Each line of the file is one step: a mark with the boxes that the photograph holds by it, an undo or a redo.
Lines are only ever added, so that a kill loses at most the one that is being written.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Literal, Self, get_args

from rfga.files import StorageError, sync
from rfga.types import UserError

FILE_NAME = "corrections.jsonl"

Mark = Literal["open", "right", "wrong", "corrected"]
"""Nobody has looked; the boxes are right as found; they are wrong; they are right as the person made them."""

Box = tuple[float, float, float, float, str]
"""Edges x0, y0, x1, y1 in pixels of the photograph, and the name of a class."""


def box_of(edges: Iterable[Any], class_name: Any) -> Box:
    """A box of numbers from elsewhere.

    Raises:
        ValueError: they are not four finite numbers that enclose something, or there is no class.
    """
    x0, y0, x1, y1 = map(float, edges)
    if not (all(map(math.isfinite, (x0, y0, x1, y1))) and x0 < x1 and y0 < y1):
        raise ValueError("edges that are no numbers or enclose nothing")
    if not (isinstance(class_name, str) and class_name):
        raise ValueError("a box without a class")
    return (x0, y0, x1, y1, class_name)


@dataclass(frozen=True, slots=True)
class Step:
    """What was said of a photograph; its boxes are all that it holds."""

    name: str
    mark: Mark
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        if self.mark not in get_args(Mark) or not isinstance(self.name, str):
            raise ValueError(f"no mark of a photograph: {self.mark!r:.40}")


class Corrections:
    """The steps of all sittings, and what holds after them.

    Args:
        folder: of the boxes; the file of steps lies in it.

    Raises:
        UserError: the file is no such file, or cannot be written.

    Example:
        >>> import tempfile
        >>> with Corrections(Path(tempfile.mkdtemp())) as said:
        ...     said.add(Step("cat/a.jpg", "right", ((1.0, 2.0, 30.0, 40.0, "cat"),)))
        ...     said.undo(), said.current
        ('cat/a.jpg', {})
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._lock = folder / FILE_NAME, RLock()
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._before: dict[str, list[Step]] = {}  # the steps done of each photograph, the latest last
        self.current: dict[str, Step] = {}
        """What holds, of each photograph of which something does."""
        try:
            end = self._read() if self.path.exists() else 0
            self._file = self.path.open("ab", buffering=0)
            if self.path.stat().st_size > end:
                self._file.truncate(end)  # without the step that a kill cut short
            sync(folder)
        except OSError as error:
            raise UserError(
                f"expected to keep corrections in {self.path}, found that it cannot be read and written "
                f"({error.strerror or error}): mend that, or copy the folder of boxes elsewhere"
            ) from error

    @property
    def steps(self) -> int:
        """How many can be undone."""
        return len(self._done)

    @property
    def undone(self) -> int:
        """How many can be done again."""
        return len(self._undone)

    def add(self, step: Step) -> None:
        """Say something of a photograph; it is on the disk when this returns.

        Raises:
            StorageError: it could not be written, and was not said.
        """
        with self._lock:
            self._append({"photograph": step.name, "mark": step.mark, "boxes": step.boxes})
            self._do(step)
            self._undone.clear()

    def undo(self) -> str | None:
        """Take the last step back; gives its photograph, or None where there is none."""
        with self._lock:
            if not self._done:
                return None
            self._append({"step": "undo"})
            return self._undo()

    def redo(self) -> str | None:
        """Do again what was undone last; gives its photograph, or None where there is none."""
        with self._lock:
            if not self._undone:
                return None
            self._append({"step": "redo"})
            return self._redo()

    def _do(self, step: Step) -> None:
        self._done.append(step)
        self._before.setdefault(step.name, []).append(step)
        self._settle(step.name)

    def _undo(self) -> str:
        step = self._done.pop()
        self._undone.append(step)
        self._before[step.name].pop()
        self._settle(step.name)
        return step.name

    def _redo(self) -> str:
        step = self._undone.pop()
        self._do(step)
        return step.name

    def _settle(self, name: str) -> None:
        steps = self._before[name]
        if steps and steps[-1].mark != "open":
            self.current[name] = steps[-1]
        else:
            self.current.pop(name, None)

    def _append(self, value: Mapping[str, Any]) -> None:
        line, end = json.dumps(value).encode() + b"\n", os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(end)
            raise StorageError(
                f"expected to keep this in {self.path}, found that it cannot be written "
                f"({error.strerror or error}): make room, then do it again"
            ) from error

    def _read(self) -> int:
        """Take over what is there; gives how many bytes of it are whole lines."""
        content = self.path.read_bytes()
        *lines, cut_short = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
                raise UserError(
                    f"expected a correction in line {number} of {self.path}, found something else "
                    f"({error!r:.80}): remove that line"
                ) from error
        return len(content) - len(cut_short)

    def _take(self, held: Any) -> None:
        if held.get("step") == "undo":
            self._undo()
        elif held.get("step") == "redo":
            self._redo()
        else:
            boxes = tuple(box_of(box[:4], box[4]) for box in held["boxes"])
            self._do(Step(held["photograph"], held["mark"], boxes))
            self._undone.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if not self.path.stat().st_size:
            self.path.unlink()  # nothing was said
