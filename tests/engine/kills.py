"""Processes that are copies of the test's own, run a command, and are killed when a test says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import torch

from rfga.cli import main
from tests.engine import tiny

# PyTorch cannot go on in a copy of a process whose gradients it computed beside a GPU.
FORKING = sys.platform == "linux" and not torch.cuda.is_available()
CHANGES = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.chmod",
    "os.truncate",
    "os.link",
    "os.symlink",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
KILLED = -signal.SIGKILL
LONGEST_SECONDS = 1800


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, its seconds, and how often it changed files below the folder."""

    code: int
    seconds: float
    changes: int


@dataclass(frozen=True)
class Killable:
    """A command of ``rfga``, and the folder that it writes to."""

    arguments: tuple[str, ...]
    folder: Path

    def run(self, *flags: str, at_change: int = 0, until: Callable[[], bool] | None = None) -> Ended:
        """Start the command; kill it before a change of a file, or as soon as ``until`` says so."""
        context = multiprocessing.get_context("fork")
        changes = context.Value("i", 0, lock=False)
        arguments = [*self.arguments, *flags]
        process = context.Process(target=_copy, args=(arguments, self.folder, at_change, changes))
        began = time.perf_counter()
        process.start()
        while until is not None and process.is_alive() and not until():
            time.sleep(0.0002)
        if until is not None:
            process.kill()
        process.join(LONGEST_SECONDS)
        assert process.exitcode is not None, "the command hangs"
        return Ended(process.exitcode, time.perf_counter() - began, changes.value)

    def killed_after(self, seconds: float, *flags: str) -> Ended:
        """Kill it at that age."""
        end = time.perf_counter() + seconds
        return self.run(*flags, until=lambda: time.perf_counter() >= end)

    def killed_in_writing(self, where: Path, seconds: float, *flags: str) -> Ended:
        """Kill it so long after a file under a temporary name was seen in the folder ``where``."""

        def seen() -> bool:
            there = where.is_dir() and any(path.suffix == ".tmp" for path in where.iterdir())
            if there:
                time.sleep(seconds)
            return there

        return self.run(*flags, until=seen)


def training(data: Path, out: Path, workers: int = 0) -> Killable:
    """``rfga train`` of a network that is done in half a second."""
    flags = (*tiny.flags(epochs=3, batch_size=4), "--workers", str(workers))
    return Killable(("train", str(data), "--out", str(out), *flags), out)


def leftovers(folder: Path) -> list[Path]:
    """What was being written when a kill came."""
    return sorted(folder.rglob("*.tmp"))


def require_same(run: Path, whole: Path) -> None:
    """The same weights bit for bit, the same history, and nothing else in the folder."""
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    histories = [
        [{**entry, "seconds": 0} for entry in tiny.metrics(path)["history"]] for path in (run, whole)
    ]
    assert histories[0] == histories[1]
    names = [sorted(path.name for path in folder.iterdir()) for folder in (run, whole)]
    assert names[0] == names[1]
    assert not leftovers(run)


def _copy(arguments: list[str], folder: Path, at_change: int, changes: Synchronized[int]) -> None:
    """The work of the process: the command, counted and perhaps killed."""
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        sys.addaudithook(_counter(str(folder), at_change, changes))
        code = main(arguments)
    os._exit(code)


def _counter(
    folder: str, at_change: int, changes: Synchronized[int]
) -> Callable[[str, tuple[Any, ...]], None]:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" and event not in CHANGES:
            return
        if not str(arguments[0]).startswith(folder):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        changes.value += 1
        if changes.value == at_change:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook
