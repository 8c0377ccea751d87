"""Which device computes, and in which precision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from rfga.backbones.layout import CPU_BATCH
from rfga.engine.runtime.machine import Precision, Runtime
from rfga.types import UserError

LightningPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]
_LIGHTNING: dict[str, LightningPrecision] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def pick_device(wanted: str) -> torch.device:
    """The device of that name; "auto" is the fastest there is.

    Raises:
        UserError: the machine has no such device.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, there in has.items() if there))
    if not has.get(wanted, False):
        there = ", ".join(name for name, found in has.items() if found)
        raise UserError(
            f"expected a device that this machine has ({there}), found --device {wanted}: choose another"
        )
    return torch.device(wanted)


def lightning_precision(wanted: Precision, device: torch.device) -> LightningPrecision:
    """Lightning's name of the precision: mixed where the device gains by it, full elsewhere.

    Example:
        >>> lightning_precision("auto", torch.device("cpu"))
        '32-true'
    """
    if wanted == "auto":
        # float16 needs loss scaling and loses range; bfloat16 needs neither where the hardware has it.
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        wanted = "bf16" if fast else "16" if device.type == "cuda" else "32"
    return _LIGHTNING[wanted]


def pick_workers(runtime: Runtime, device: torch.device) -> int:
    """Processes that read photographs: up to two beside a CPU that computes, up to eight beside a GPU.

    Several processes of a command on one machine share its cores.

    Example:
        >>> pick_workers(Runtime(workers=3), torch.device("cpu"))
        3
    """
    if runtime.workers >= 0:
        return runtime.workers
    cores = max(1, (os.cpu_count() or 1) // runtime.processes.local_world)
    return min(8, cores) if device.type != "cpu" else min(2, cores)


def batch_on(device: torch.device, asked: int) -> int:
    """Photographs in the network together where nothing is trained: as many as asked for, on a CPU few.

    Example:
        >>> batch_on(torch.device("cpu"), 32), batch_on(torch.device("cuda"), 32)
        (4, 32)
    """
    return min(asked, CPU_BATCH) if device.type == "cpu" else asked


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads inside the block, and with as many as before after it.

    Small networks gain little by several threads, and lose much where another program takes a core: at the
    end of every operation all threads wait for the slowest.

    Example:
        >>> with threads(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
