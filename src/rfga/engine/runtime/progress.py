"""What a person sees of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 20.0


def announcer(quiet: bool) -> Callable[[str], None]:
    """Prints sentences at once, or nothing where it is quiet."""

    def say(text: str) -> None:
        if not quiet:
            print(text, flush=True)

    return say


class Meter:
    """Counts photographs on the standard error while a block runs; what is short says nothing.

    Args:
        what: is being done.
        total: number of photographs.
        quiet: show nothing.

    Example:
        >>> with Meter("evaluating", total=40, quiet=True) as meter:
        ...     meter.advance(32)
        >>> meter.done
        32
    """

    def __init__(self, what: str, total: int, *, quiet: bool) -> None:
        self.what, self.total, self.quiet = what, total, quiet
        self.done = 0
        self._bar: Progress | None = None
        self._last_line = time.monotonic()

    def advance(self, count: int, note: str = "") -> None:
        """Count more photographs; ``note`` stands behind the number until the next call."""
        self.done += count
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.done, note=note)
        elif not self.quiet and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            ending = f", {note}" if note else ""
            print(f"{self.what}: {self.done} of {self.total}{ending}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        self._last_line = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,  # what lasts is printed as a line
            )
            self._bar.add_task(self.what, total=self.total, note="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Stopwatch:
    """Seconds by stage, counted from the end of the stage before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def stop(self, stage: str) -> None:
        """End a stage."""
        now = time.monotonic()
        self.seconds[stage], self._since = now - self._since, now
