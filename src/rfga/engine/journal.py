"""The journal of a long run: one line per photograph done, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from rfga.types import Prediction, UserError

FILE_NAME = ".journal.jsonl"


class Journal:
    """Predictions and failures, appended one line at a time; a line cut short by a kill is dropped.

    Args:
        folder: the output folder; the journal lies in it under a hidden name.
        settings: what decides the result; a journal written with others is not gone on with.
        resume: keep what is there.

    Raises:
        UserError: the journal is of a run with other settings.

    Example:
        >>> import tempfile
        >>> with Journal(Path(tempfile.mkdtemp()), {"threshold": 0.2}, resume=False) as journal:
        ...     journal.failed("a.jpg", "empty file")
        ...     journal.failures
        {'a.jpg': 'empty file'}
    """

    def __init__(self, folder: Path, settings: dict[str, Any], *, resume: bool) -> None:
        self.path = folder / FILE_NAME
        self.done: set[str] = set()
        self.failures: dict[str, str] = {}
        # A failure may be mended by the time a run goes on, so only what was done is kept.
        kept = [json.dumps({"settings": settings})]
        if resume and self.path.is_file():
            kept += self._read(settings)
        temporary = self.path.with_suffix(".part")
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        temporary.replace(self.path)
        self._stream: TextIO = self.path.open("a", encoding="utf-8")

    def add(self, prediction: Prediction) -> None:
        """Record a photograph as done; call it after everything else of it was written."""
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
        self.done.add(prediction.image_id)

    def failed(self, image_id: str, reason: str) -> None:
        """Record a photograph that could not be done."""
        self._write({"failed": image_id, "reason": reason})
        self.failures[image_id] = reason

    def predictions(self) -> Iterator[Prediction]:
        """What was done so far, in the order it was done, without score maps."""
        self._stream.flush()
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                held = json.loads(line)
                if "id" in held:
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

    def _read(self, settings: dict[str, Any]) -> list[str]:
        kept = []
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines()):
            try:
                held = json.loads(line)
            except json.JSONDecodeError:
                break  # the line that the kill cut short is the last one
            if number == 0 and held.get("settings") != json.loads(json.dumps(settings)):
                raise UserError(
                    f"expected to go on with the settings of the stopped run, found others in {self.path.parent}: "
                    "repeat its command, or start anew with --overwrite"
                )
            if "id" in held:
                self.done.add(held["id"])
                kept.append(line)
        return kept

    def _write(self, value: dict[str, Any]) -> None:
        self._stream.write(json.dumps(value, ensure_ascii=False) + "\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()
