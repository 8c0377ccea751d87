"""``rfga`` in several processes that work together, as torchrun starts them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from rfga.cli import main

CONTEXT: Any = multiprocessing.get_context("forkserver") if sys.platform == "linux" else None
"""Copies of one process that has imported all and computed nothing: no copy has to import PyTorch, and none
inherits threads, as those of the test's own process would once it has trained."""
if CONTEXT is not None:
    CONTEXT.set_forkserver_preload(
        ["tests.engine.crew", "rfga.engine.building.train", "rfga.engine.localizing.localize"]
    )

Prepare = Callable[[int], None]


def together(
    world: int, arguments: Sequence[object], folder: Path, prepare: Prepare | None = None, missing: int = 0
) -> tuple[list[int | None], list[str]]:
    """The exit statuses of ``world`` processes of ``rfga``, and what each of them printed.

    Args:
        world: number of processes.
        arguments: of the command line.
        folder: for what they print.
        prepare: called with its rank in each process first.
        missing: so many of the last ones are not started.
    """
    argv, port = [str(argument) for argument in arguments], free_port()
    said = [folder / f"said-by-{rank}" for rank in range(world - missing)]
    crew = [
        CONTEXT.Process(target=_work, args=(argv, environment(rank, world, port), file, prepare))
        for rank, file in enumerate(said)
    ]
    for process in crew:
        process.start()
    for process in crew:
        process.join(90)
        process.kill()
        process.join()
    return [process.exitcode for process in crew], [file.read_text() for file in said]


def environment(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun tells a process."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def die_in_second(rank: int) -> None:
    """Let the second process end as if by the system, when it has entered two photographs."""
    from rfga.engine.localizing.journal import Journal

    plain, left = Journal.add, iter(range(2))

    def add(self: Journal, *args: Any) -> None:
        if rank == 1 and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(self, *args)

    patch.object(Journal, "add", add).start()


def die_in_second_epoch(rank: int) -> None:
    """Let the second process end as if by the system, in its second epoch of training."""
    from rfga.methods.cam import CAM

    plain, left = CAM.loss, iter(range(4))

    def loss(self: CAM, *args: Any) -> Any:
        if rank == 1 and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, *args)

    patch.object(CAM, "loss", loss).start()


def impatient(rank: int) -> None:
    """Do not wait ten minutes for processes that do not come."""
    from rfga.engine.runtime import joining

    patch.object(joining, "JOIN_TIMEOUT", timedelta(seconds=1)).start()


def _work(argv: list[str], environ: dict[str, str], said: Path, prepare: Prepare | None) -> None:
    os.environ.update(environ)
    torch.set_num_threads(1)  # threads of OpenMP do not survive a copy
    if prepare is not None:
        prepare(int(environ["RANK"]))
    with (
        said.open("w", buffering=1) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        status = main(argv)
    os._exit(status)
