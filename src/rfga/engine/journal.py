"""The journal of a long run: one line per photograph done, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from rfga.files import replacing
from rfga.types import Prediction, UserError

FILE_NAME = ".journal.jsonl"


class Journal:
    """Predictions and failures, appended one line at a time; a line cut short by a kill is dropped.

    Args:
        folder: the output folder; the journal lies in it under a hidden name.
        settings: what decides the result; a journal written with others is not gone on with.
        resume: keep what is there.

    Raises:
        UserError: the journal is of a run with other settings, or cannot be written.

    Example:
        >>> import tempfile
        >>> with Journal(Path(tempfile.mkdtemp()), {"threshold": 0.2}, resume=False) as journal:
        ...     journal.failed("a.jpg", "empty file")
        ...     journal.failures
        {'a.jpg': 'empty file'}
    """

    def __init__(self, folder: Path, settings: dict[str, Any], *, resume: bool) -> None:
        self.path = folder / FILE_NAME
        self.done: dict[str, int] = {}  # image id -> where its line begins, in bytes
        self.failures: dict[str, str] = {}
        lines = [json.dumps({"settings": settings})]
        if resume and self.path.is_file():
            # A failure may be mended by the time a run goes on, so only what was done is kept.
            lines += self._finished(settings)
        with replacing(self.path) as temporary:
            temporary.write_bytes("".join(f"{line}\n" for line in lines).encode())
        position = 0
        for line in lines:
            if (image_id := json.loads(line).get("id")) is not None:
                self.done[image_id] = position
            position += len(line.encode()) + 1
        self._stream: BinaryIO = self.path.open("ab")

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
            }
        )
        self.done[prediction.image_id] = start

    def failed(self, image_id: str, reason: str) -> None:
        """Record a photograph that could not be done."""
        self._write({"failed": image_id, "reason": reason})
        self.failures[image_id] = reason

    def predictions(self, image_ids: Sequence[str]) -> Iterator[Prediction]:
        """Those of ``image_ids`` that are done, in this order, without score maps."""
        with self.path.open("rb") as lines:
            for image_id in image_ids:
                if image_id not in self.done:
                    continue
                lines.seek(self.done[image_id])
                held = json.loads(lines.readline())
                yield Prediction(
                    image_id=held["id"],
                    size_hw=(held["size_hw"][0], held["size_hw"][1]),
                    label=held["label"],
                    probability=held["probability"],
                    boxes=np.array(held["boxes"], dtype=np.float64).reshape(-1, 4),
                    scores=np.array(held["scores"], dtype=np.float64),
                    score_map=None,
                    threshold=held["threshold"],
                )

    def _finished(self, settings: dict[str, Any]) -> list[str]:
        """The lines of photographs that are done, as far as the file is whole."""
        kept: dict[str, str] = {}
        for number, line in enumerate(self.path.read_bytes().split(b"\n")):
            try:
                held = json.loads(line)
            except ValueError:
                break  # the line that the kill cut short is the last one
            if number == 0:
                self._require_same(settings, held.get("settings"))
            if "id" in held:
                kept[held["id"]] = line.decode()
        return list(kept.values())

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
        self._stream.close()
