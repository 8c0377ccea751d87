"""What strangers give, through the doors that users open: how it ends, and what it leaves behind."""

from __future__ import annotations

import io
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from jsonargparse import ArgumentParser

from rfga.cli import main
from rfga.cli import parser as cli_parser
from rfga.types import UserError

CPU_SECONDS, SECONDS = 20, 300
"""For one example, which takes milliseconds; the second on the clock, where others use the machine, too."""

UNEXPECTED = re.compile(r"Traceback|unexpected \w+:")
SENTENCE = re.compile(r"expected .+, found .+", re.DOTALL)
LONG = int(os.environ.get("RFGA_FUZZ_EXAMPLES", "1500"))
"""Examples of a long fuzz test."""

_built = cache(cli_parser.build_parser)


def _parser(command: str | None = None) -> ArgumentParser:
    return _built(command)


def fuzz(examples: int) -> settings:
    """So many examples; those of a short test are the same in every run, those of a long one are not."""
    return settings(
        max_examples=examples,
        derandomize=examples != LONG,
        database=None,
        deadline=None,  # a busy machine would break any; see limited
        print_blob=examples == LONG,
        phases=[Phase.generate],  # what fails is small enough, and making it smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    said: str  # on the standard error


def run(*arguments: str | Path, may_surprise: bool = False) -> Ended:
    """``rfga`` in this process, its grammar built once; it may end with 0, 1 or 2 and one sentence.

    What it did not foresee counts as a failure, unless ``may_surprise``.
    """
    said, printed = io.StringIO(), io.StringIO()
    built, cli_parser.build_parser = cli_parser.build_parser, _parser
    try:
        with redirect_stderr(said), redirect_stdout(printed), limited():
            status = main([str(argument) for argument in arguments])
    finally:
        cli_parser.build_parser = built
    ended = Ended(status, said.getvalue())
    assert status in (0, 1, 2), ended
    assert may_surprise or not UNEXPECTED.search(ended.said), ended
    if status:
        *_, last = ended.said.splitlines()
        assert last.startswith("rfga: "), ended
    return ended


def refused(*arguments: str | Path) -> str:
    """The sentence of a command that has to end with 1."""
    ended = run(*arguments)
    assert ended.status == 1, ended
    return ended.said.splitlines()[-1].removeprefix("rfga: error: ")


def answered(call: Callable[[], Any]) -> Any:
    """What a function gives, or its ``UserError``; nothing else may come out of it."""
    try:
        with limited():
            return call()
    except UserError as error:
        found = error
    assert SENTENCE.match(str(found)), found
    return found


@contextmanager
def limited() -> Iterator[None]:
    """Fail what hangs, where the system has alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"nothing came of it in {CPU_SECONDS} seconds of work or {SECONDS} on the clock")

    alarms = (
        (signal.SIGALRM, signal.ITIMER_REAL, SECONDS),
        (signal.SIGPROF, signal.ITIMER_PROF, CPU_SECONDS),
    )
    before = [signal.signal(number, ring) for number, _, _ in alarms]
    for _, timer, seconds in alarms:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(alarms, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


@contextmanager
def deep_folder() -> Iterator[Path]:
    """A folder below three others, all of them empty, to see what climbs out of it."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top).resolve() / "a" / "b" / "c"
        folder.mkdir(parents=True)
        yield folder


@contextmanager
def nothing_outside(top: Path, *outputs: Path) -> Iterator[None]:
    """Nothing below ``top`` appears, goes or changes but what lies in ``outputs``."""
    before = _seen(top, outputs)
    yield
    assert _seen(top, outputs) == before


def _seen(top: Path, outputs: Sequence[Path]) -> dict[Path, tuple[int, int] | None]:
    found: dict[Path, tuple[int, int] | None] = {}
    for path in top.rglob("*"):
        if any(path == out or out in path.parents for out in outputs):
            continue
        status = path.lstat()
        found[path] = None if path.is_dir() else (status.st_size, status.st_mtime_ns)
    return found


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sign,)
