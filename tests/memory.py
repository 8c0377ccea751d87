"""How a process of five thousand tests stays small: what a test leaves is given back before it is much."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

MUCH_BYTES = 40_000_000


class Memory:
    """What the process held when it was last cleared up."""

    def __init__(self) -> None:
        self.kept_bytes = 0

    def set_aside(self) -> None:
        """Look no more for garbage in what is alive: modules that were imported.

        Networks whose parts know each other are freed by the collector alone. It comes late where five
        thousand modules are alive, whose objects it looks through each time: processes grew to 4 GB.
        """
        self.give_back()
        gc.freeze()
        gc.collect()  # so that it forgets how much there was, and comes as often as what is new asks for

    def give_back(self) -> None:
        """Garbage to the allocator, and to the system what the allocator has free, but would keep."""
        gc.collect()
        trim = (
            getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
        )  # glibc's alone
        if trim is not None:
            trim(0)
        self.kept_bytes = resident_bytes()

    def give_back_much(self) -> None:
        """The same, if there is much."""
        if resident_bytes() > self.kept_bytes + MUCH_BYTES:
            self.give_back()


def resident_bytes() -> int:
    """What this process holds, where the system tells it in a file."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if told.is_file() else 0
