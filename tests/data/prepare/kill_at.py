"""``python -m tests.data.prepare.kill_at N ARGUMENTS``: ``rfga`` is killed before its Nth change of a file.

Changes are what becomes visible: a file or folder moved into place, or a folder removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rfga.cli import main


@contextmanager
def told_of_changes(before: Callable[[int], None]) -> Iterator[None]:
    """Calls ``before`` with the number of each change, counted from 1."""
    numbers = iter(range(1, 10**6))

    def watched(plain: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            before(next(numbers))
            return plain(*arguments, **options)

        return change

    with (
        patch.object(Path, "replace", watched(Path.replace)),
        patch.object(shutil, "rmtree", watched(shutil.rmtree)),
    ):
        yield


def kill_at(last: int) -> Callable[[int], None]:
    """End this process without any tidying, as a power cut does."""

    def before(number: int) -> None:
        if number == last:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    return before


if __name__ == "__main__":
    with told_of_changes(kill_at(int(sys.argv[1]))):
        sys.exit(main(sys.argv[2:]))
