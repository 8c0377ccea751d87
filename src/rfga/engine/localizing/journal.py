"""The journal of a long run: one line per photograph done, so that a killed run goes on where it stopped.

Of several processes that share a run, the first writes the journal and each other one a part beside it. When
all have done, or when the run goes on after a kill, the first takes the parts into the journal.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from rfga.engine.run.config import RunPolicy
from rfga.engine.runtime.processes import Processes
from rfga.files import replacing
from rfga.types import Prediction, UserError

FILE_NAME, SUMMARY_NAME = ".journal.jsonl", "summary.json"
_PARTS = ".journal-*.jsonl"


def journal_parts(folder: Path) -> list[Path]:
    """What processes other than the first have written, and nobody has taken over."""
    return sorted(folder.glob(_PARTS))


def held_settings(folder: Path) -> dict[str, Any]:
    """The settings that the journal in ``folder`` was begun with; none where there is no whole one."""
    try:
        with (folder / FILE_NAME).open("rb") as lines:
            held = json.loads(lines.readline())
    except (OSError, ValueError, RecursionError):
        return {}
    settings = held.get("settings") if isinstance(held, dict) else None
    return settings if isinstance(settings, dict) else {}


@dataclass(frozen=True)
class Summary:
    """What became of every photograph; the three counts add up to the inputs."""

    inputs: int
    done: int
    skipped: int  # done by an earlier run that this one went on with
    failed: dict[str, str]  # image id -> reason
    without_box: int  # of those done or skipped: nothing above the threshold, and no person said so
    warnings: dict[str, int] = field(default_factory=dict)  # of those done or skipped: how many have each
    # How many inputs have the class to look for from their folder, from a file, or as the most probable one.
    class_from: dict[str, int] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)  # what is not as expected and yet no error
    # Photographs whose names leave no room for an ending -> their pictures; maps and masks are called alike.
    shorter_names: dict[str, str] = field(default_factory=dict, compare=False)
    nothing_found: tuple[str, ...] = ()  # image ids of those without a box
    # Of a network that took part and was learned from masks, in a sentence.
    witness: str | None = field(default=None, compare=False)
    reviewed: int = 0  # of those done or skipped: a person gave their boxes, or said that there is none


class Journal:
    """Predictions and failures, appended one line at a time; a line cut short by a kill is dropped.

    What it holds in memory does not grow while lines are added: a number for each photograph.

    Args:
        folder: the output folder; the journal lies in it under a hidden name.
        settings: what decides the result; a journal written with others is not gone on with.
        image_ids: of all photographs that may be added. Lines of others that an earlier run did are kept.
        resume: keep what is there, in the journal and in parts of it.
        part: the rank of the process that writes, if it is not the first; it keeps nothing of before.

    Raises:
        UserError: the journal is of a run with other settings, or cannot be written.

    Example:
        >>> import tempfile
        >>> with Journal(Path(tempfile.mkdtemp()), {"threshold": 0.2}, ["a.jpg"], resume=False) as journal:
        ...     journal.failed("a.jpg", "empty file")
        ...     journal.failures, "a.jpg" in journal
        ({'a.jpg': 'empty file'}, False)
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], image_ids: Sequence[str], *, resume: bool, part: int = 0
    ) -> None:
        self.path = folder / (_PARTS.replace("*", str(part)) if part else FILE_NAME)
        self.failures: dict[str, str] = {}
        self._numbers = {image_id: number for number, image_id in enumerate(image_ids)}
        self._begins = array("q", [-1]) * len(image_ids)  # of each photograph's line in the file, in bytes
        with replacing(self.path) as temporary, temporary.open("wb") as stream:
            stream.write(json.dumps({"settings": settings}).encode() + b"\n")
            earlier = [self.path, *journal_parts(folder)] if resume and self.path.is_file() else []
            # A failure may be mended by the time a run goes on, so only what was done is kept.
            for path in earlier:
                for image_id, line in self._finished(path, settings):
                    self._note(image_id, stream.tell())
                    stream.write(line + b"\n")
        if not part:
            for path in journal_parts(folder):
                path.unlink()
        self._stream: BinaryIO = self.path.open("ab")

    def __contains__(self, image_id: str) -> bool:
        """Whether a photograph is done."""
        number = self._numbers.get(image_id)
        return number is not None and self._begins[number] >= 0

    def add(self, prediction: Prediction) -> None:
        """Record a photograph as done; call it after everything else of it was written."""
        start = self._stream.tell()
        self._write(
            {
                "id": prediction.image_id,
                "size_hw": prediction.size_hw,
                "label": prediction.label,
                "probability": prediction.probability,
                "boxes": prediction.boxes.tolist(),
                "scores": prediction.scores.tolist(),
                "threshold": prediction.threshold,
                "warnings": prediction.warnings,
                "box_labels": prediction.box_labels,
                "reviewed": prediction.reviewed,
            }
        )
        self._note(prediction.image_id, start)

    def failed(self, image_id: str, reason: str) -> None:
        """Record a photograph that could not be done."""
        self._write({"failed": image_id, "reason": reason})
        self.failures[image_id] = reason

    def predictions(self, image_ids: Sequence[str]) -> Iterator[Prediction]:
        """Those of ``image_ids`` that are done, in this order, without score maps."""
        with self.path.open("rb") as lines:
            for image_id in image_ids:
                if image_id not in self:
                    continue
                lines.seek(self._begins[self._numbers[image_id]])
                yield prediction_of(json.loads(lines.readline()))

    def take_parts(self) -> None:
        """Take over the parts of processes that have all done, in the order of the photographs."""
        parts = journal_parts(self.path.parent)
        if not parts:
            return
        homes, begins = array("i", [-1]) * len(self._begins), array("q", [-1]) * len(self._begins)
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in (self.path, *parts)]
            temporary = stack.enter_context(replacing(self.path))
            stream = stack.enter_context(temporary.open("wb"))
            for home, file in enumerate(files):
                begin = 0
                for line in file:
                    held = json.loads(line)
                    number = self._numbers.get(held.get("id", held.get("failed")))
                    if number is not None:
                        homes[number], begins[number] = home, begin
                    elif home == 0:  # the settings, and photographs of another call
                        stream.write(line)
                    begin += len(line)
            self.failures = {}
            for number, home in enumerate(homes):
                if home >= 0:
                    files[home].seek(begins[number])
                    self._take(number, files[home].readline(), stream)
        for path in parts:
            path.unlink()

    def _take(self, number: int, line: bytes, stream: BinaryIO) -> None:
        held = json.loads(line)
        if "failed" in held:
            self.failures[held["failed"]] = held["reason"]
        self._begins[number] = -1 if "failed" in held else stream.tell()
        stream.write(line)

    def _note(self, image_id: str, begin: int) -> None:
        if (number := self._numbers.get(image_id)) is not None:
            self._begins[number] = begin

    def _finished(self, path: Path, settings: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        """The photographs that are done and their lines, as far as the file is whole."""
        with path.open("rb") as lines:
            for number, line in enumerate(lines):
                try:
                    held = json.loads(line)
                except (ValueError, RecursionError):
                    return  # the line that the kill cut short is the last one
                if not isinstance(held, dict):
                    return
                if number == 0:
                    self._require_same(settings, held.get("settings"))
                if isinstance(held.get("id"), str):
                    yield held["id"], line.rstrip(b"\n")

    def _require_same(self, settings: dict[str, Any], held: Any) -> None:
        wanted = json.loads(json.dumps(settings))
        if held != wanted:
            before = held if isinstance(held, dict) else {}
            changed = ", ".join(name for name in wanted if name not in before or before[name] != wanted[name])
            raise UserError(
                "expected to go on with the settings of the stopped run, found another "
                f"{changed or 'setting'} than in {self.path.parent}: repeat its command, or start anew with "
                "--overwrite"
            )

    def _write(self, value: dict[str, Any]) -> None:
        try:
            # In ASCII, where no letter of a name can be taken for the end of a line.
            self._stream.write(json.dumps(value).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise UserError(
                f"expected to write {self.path}, found that it cannot be written ({error.strerror}): "
                "make room, then go on with --resume"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # every line was handed over when it was written, or its failure told
            self._stream.close()


def begin_journal(
    out: Path,
    settings: dict[str, Any],
    ids: Sequence[str],
    policy: RunPolicy,
    processes: Processes,
    prepare: Callable[[], None],
) -> tuple[Journal, list[bool]]:
    """The journal that this process writes, and which photographs an earlier run did.

    Args:
        out: the output folder.
        settings: see ``Journal``.
        ids: of all photographs.
        policy: about what an earlier run left.
        processes: that share the photographs.
        prepare: called in the first of them before anything is written.
    """
    opened: list[Journal] = []

    def begin() -> bytes:
        prepare()
        opened.append(Journal(out, settings, ids, resume=policy.resume))
        return bytes(image_id in opened[0] for image_id in ids)

    before = [bool(done) for done in processes.agree(begin)]
    if not processes.first:
        opened.append(Journal(out, settings, ids, resume=False, part=processes.rank))
    return opened[0], before


def summary_of(journal: Journal, ids: Sequence[str], before: Sequence[bool]) -> Summary:
    """What became of the photographs, now that all processes have done."""
    journal.take_parts()
    kept = [(found.image_id, found.reviewed, len(found.boxes)) for found in journal.predictions(ids)]
    nothing_found = tuple(image_id for image_id, reviewed, count in kept if not (count or reviewed))
    return Summary(
        inputs=len(ids),
        done=len(ids) - sum(before) - len(journal.failures),
        skipped=sum(before),
        failed=dict(journal.failures),
        without_box=len(nothing_found),
        warnings=dict(Counter(text for found in journal.predictions(ids) for text in found.warnings)),
        nothing_found=nothing_found,
        reviewed=sum(reviewed for _, reviewed, _ in kept),
    )


def prediction_of(held: dict[str, Any]) -> Prediction:
    """The prediction that a line of a journal holds."""
    box_labels = held.get("box_labels")
    return Prediction(
        image_id=held["id"],
        size_hw=(held["size_hw"][0], held["size_hw"][1]),
        label=held["label"],
        probability=held["probability"],
        boxes=np.array(held["boxes"], dtype=np.float64).reshape(-1, 4),
        scores=np.array(held["scores"], dtype=np.float64),
        score_map=None,
        threshold=held["threshold"],
        warnings=tuple(held["warnings"]),
        box_labels=None if box_labels is None else tuple(box_labels),
        reviewed=held.get("reviewed", False),
    )
