"""Starting a command in several processes of this machine, one for each device."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from uuid import uuid4

from rfga.types import UserError


def start_processes(arguments: Sequence[str], count: int) -> int:
    """Run ``rfga`` with ``arguments`` in ``count`` processes, as ``torchrun --standalone`` does.

    Where one fails, the others are stopped.

    Args:
        arguments: of the command line; each process gets them all.
        count: of processes.

    Returns:
        The exit status: 0, or 1 where a process failed, which has printed why.

    Raises:
        UserError: a number below 1.

    Example:
        >>> start_processes(["methods"], 0)
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected --devices of at least 1, found 0: give the number of devices
    """
    if count < 1:
        raise UserError(f"expected --devices of at least 1, found {count}: give the number of devices")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    # A share of the cores for each; PyTorch's launcher would give one core alone.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    # What is wrong is said by the process itself.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any port that is free
        max_restarts=0,
    )
    try:
        launch_agent(config, sys.executable, ["-m", "rfga", *arguments])
    except (ChildFailedError, SignalException):
        return 1
    return 0
