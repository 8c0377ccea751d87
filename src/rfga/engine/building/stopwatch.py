"""How long the stages of a command took."""

from __future__ import annotations

import time


class Stopwatch:
    """Seconds by stage, counted from the end of the stage before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def stop(self, stage: str) -> None:
        """End a stage."""
        now = time.monotonic()
        self.seconds[stage], self._since = now - self._since, now
