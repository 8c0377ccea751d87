"""Who is told how long work goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

MEGABYTE = 1_000_000


class Counter(Protocol):
    """Counts what is done of long work."""

    def advance(self, count: int) -> None:
        """Count more of it."""


class _Silent:
    def advance(self, count: int) -> None:
        """Nobody is told."""


@dataclass(frozen=True)
class Watch:
    """By default nobody is told.

    Args:
        say: takes a sentence.
        meter: makes a counter from what is done and how much of it there is.
    """

    say: Callable[[str], None] = lambda text: None
    meter: Callable[[str, int], AbstractContextManager[Counter]] = lambda what, total: nullcontext(_Silent())
