"""A command in several processes: started here for ``--devices``, or by torchrun or srun around it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from rfga.engine.runtime.processes import started_processes
from rfga.types import UserError

SHARED = ("train", "evaluate", "localize")
"""Commands whose work several processes can share."""


def run_in_processes(
    command: str, values: Mapping[str, Any], argv: Sequence[str], run: Callable[[], None]
) -> int:
    """Call ``run`` in this process, as one of several, or in several that are started first.

    Args:
        command: its name.
        values: of its arguments.
        argv: the whole command line.
        run: carries the command out; of several processes, all but the first print nothing.

    Returns:
        The exit status.

    Raises:
        UserError: another command than those of ``SHARED`` in several processes, or machines without torchrun
            or srun.
    """
    started = started_processes()
    devices, nodes = values.get("devices") or 1, values.get("nodes") or 1
    if started is None and nodes > 1:
        raise UserError(
            f"expected torchrun or srun to start the command on each of {nodes} machines, found this process "
            "alone: see docs/scaling.md"
        )
    if started is not None or devices > 1:
        # Before PyTorch is imported: it would tell of each process that another has left.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if started is None and devices > 1:
        from rfga.engine.runtime.launch import start_processes

        return start_processes(argv, devices)
    if started is None or started.alone or (started.first and command in SHARED):
        run()
    elif command in SHARED:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            run()
    elif started.first:
        raise UserError(
            f"expected one process for rfga {command}, found {started.world}: start it without torchrun, "
            f"which is for {', '.join(SHARED)}"
        )
    return 0
