"""Processes meet: what torchrun or SLURM started becomes a group that shares one command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from rfga.engine.runtime.devices import pick_device
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.processes import LOST, ElsewhereError, Processes, started_processes
from rfga.types import UserError

JOIN_TIMEOUT = timedelta(minutes=10)  # until all processes have started
ANSWER_TIMEOUT = timedelta(hours=2)  # until the slowest has done its share; a death is seen at once
_HERE, _FAILED = "rfga/here/", "rfga/failed"  # keys in the store


@contextmanager
def joined(runtime: Runtime) -> Iterator[Runtime]:
    """Join the other processes of this command, if there are any, for as long as the block lasts.

    The group computes with NCCL between CUDA devices and with gloo between processors. Blocks may lie within
    one another. If a process fails, all do: the first to fail raises its error, others ``ElsewhereError``.

    Args:
        runtime: what was asked for.

    Yields:
        The same with ``processes``; all but the first are quiet.

    Raises:
        UserError: another number of processes was started than asked for, or one does not come or is lost.
        ElsewhereError: another process failed before this one.

    Example:
        >>> with joined(Runtime(device="cpu")) as runtime:
        ...     runtime.processes.alone
        True
    """
    started = started_processes() or Processes()
    _require_as_asked(runtime, started)
    if started.alone or not runtime.processes.alone:
        yield runtime
        return
    ours = replace(runtime, processes=started, quiet=runtime.quiet or not started.first)
    if distributed.is_initialized():  # a block around this one has joined
        yield ours
        return
    store = _group(ours)
    try:
        yield ours
    except BaseException as error:
        told = _as_lost(error)
        if not _first_to_fail(store):
            raise ElsewhereError(str(told)) from error
        if told is error:
            raise
        raise told from error
    finally:
        distributed.destroy_process_group()


def _require_as_asked(runtime: Runtime, started: Processes) -> None:
    if runtime.devices is None and runtime.nodes is None:
        return
    machines = started.world // started.local_world
    asked = (runtime.devices or started.local_world, runtime.nodes or machines)
    if asked != (started.local_world, machines):
        raise UserError(
            f"expected {asked[0]} processes on each of {asked[1]} machines, as --devices and --nodes say, "
            f"found {started.local_world} on each of {machines}: start as many with torchrun or srun"
        )


def _group(runtime: Runtime) -> Any:
    """Form the group; the store is where a process says that it has failed."""
    ours = runtime.processes
    backend = _backend(runtime)
    if "RANK" not in os.environ:
        _name_slurm_master()
    try:
        store, _, _ = next(rendezvous("env://", rank=ours.rank, world_size=ours.world, timeout=JOIN_TIMEOUT))
        # Not before all have come: a process that never starts would be waited for as one that computes.
        store.set(f"{_HERE}{ours.rank}", "")
        store.wait([f"{_HERE}{rank}" for rank in range(ours.world)], JOIN_TIMEOUT)
        distributed.init_process_group(
            backend, store=store, rank=ours.rank, world_size=ours.world, timeout=ANSWER_TIMEOUT
        )
    except (RuntimeError, ValueError) as error:  # of PyTorch: no answer, no address, a port that is taken
        raise UserError(
            f"expected {ours.world} processes to meet at {os.environ.get('MASTER_ADDR')} port "
            f"{os.environ.get('MASTER_PORT')}, found that they cannot ({_first_line(error)}): see that all "
            "are started, and that MASTER_ADDR and MASTER_PORT can be reached"
        ) from error
    return store


def _backend(runtime: Runtime) -> str:
    device = pick_device(runtime.device)
    if device.type == "mps":
        raise UserError("expected several processes on cpu or cuda, found mps: give --device cpu")
    if device.type != "cuda":
        return "gloo"
    local, count = runtime.processes.local_rank, torch.cuda.device_count()
    if 1 < count < runtime.processes.local_world:
        raise UserError(
            f"expected at most {count} processes, one for each device of the machine, found "
            f"{runtime.processes.local_world}: start fewer"
        )
    torch.cuda.set_device(local % count)  # with one device in sight, SLURM has given each process its own
    return "cpu:gloo,cuda:nccl"


def _name_slurm_master() -> None:
    """The job's first machine, and a port made of the job's number, unless the environment names them."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    slurm = SLURMEnvironment()
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = slurm.main_address, str(slurm.main_port)


def _first_to_fail(store: Any) -> bool:
    try:
        return bool(store.add(_FAILED, 1) == 1)
    except RuntimeError:  # with the first process its store is gone, and nobody may have told
        return True


def _as_lost(error: BaseException) -> BaseException:
    """The sentence for an error of PyTorch that means that another process is gone."""
    said = str(error)
    gone = isinstance(error, distributed.DistError) or "gloo" in said or "NCCL" in said
    return UserError(LOST) if isinstance(error, RuntimeError) and gone else error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
