"""The processes that share the work of a command, and what they tell one another.

Every process runs the same command. What one of them alone may do (write a file, choose a threshold) is done
by the first, and the others learn of it: so all go on with the same values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

from rfga.types import UserError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

LOST = (
    "expected all processes to go on, found that one ended or did not answer: see its own message, then go "
    "on with --resume where the command has it"
)


class ElsewhereError(Exception):
    """Another process has failed before this one, and has said why."""


@dataclass(frozen=True)
class Processes:
    """Which of the processes of a command this one is; most commands are one process alone.

    Args:
        rank: of this process among all, from 0; the first writes and prints.
        world: how many there are.
        local_rank: of this process on its machine.
        local_world: how many of them are on this machine.

    Raises:
        UserError: a number is out of its range, or the machines have different numbers of processes.

    Example:
        >>> Processes(rank=1, world=3).share("abcdefg")
        'be'
        >>> Processes().agree(lambda: 7)
        7
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    def __post_init__(self) -> None:
        inside = 0 <= self.rank < self.world and 0 <= self.local_rank < self.local_world
        if not inside or self.world % self.local_world:
            raise UserError(
                "expected ranks below the numbers of processes and equally many of these on each machine, "
                f"found rank {self.rank} of {self.world}, on its machine {self.local_rank} of "
                f"{self.local_world}: start them with torchrun or srun --ntasks-per-node"
            )

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.world == 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part: all parts together are ``items``, and no item is in two of them."""
        return items[self.rank :: self.world]

    def agree(self, work: Callable[[], T]) -> T:
        """What ``work`` gives in the first process, in every process; elsewhere it is not called.

        Raises:
            UserError: the one that ``work`` raised in the first process, in every process.
        """
        if self.alone:
            return work()
        import torch
        from torch import distributed

        held: list[Any] = [None]
        if self.first:
            try:
                held = [(work(), "")]
            except UserError as error:
                held = [(None, str(error))]
        distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
        value: T
        value, sentence = held[0]
        if sentence:
            raise UserError(sentence)
        return value

    def gather(self, value: T) -> list[T]:
        """The ``value`` of each process, in the order of their ranks, in every process."""
        if self.alone:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes, in every process."""
        if self.alone:
            return value
        from torch import distributed

        summed = value.clone()
        distributed.all_reduce(summed)
        return summed

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.gather(None)

    def require_same(self, what: str, texts: Iterable[str]) -> None:
        """See that every process works on the same things, in the same order.

        Args:
            what: they are.
            texts: their names.

        Raises:
            UserError: this process or another has others than the first.
        """
        if self.alone:
            return
        digest, count = blake2b(digest_size=16), 0
        for text in texts:
            digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
            count += 1
        found = self.gather((count, digest.hexdigest()))
        for rank, other in enumerate(found):
            if other != found[0]:
                raise UserError(
                    f"expected the same {what} in every process, found {other[0]} in process {rank} and "
                    f"{found[0][0]} in the first, or others of that number: give all machines the same files"
                )


ALONE = Processes()


def started_processes(environ: Mapping[str, str] = os.environ) -> Processes | None:
    """This process among those that torchrun or SLURM's srun started; None where neither did.

    Raises:
        UserError: what they say of it is no number, or contradicts itself.

    Example:
        >>> started_processes({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
        Processes(rank=3, world=4, local_rank=1, local_world=2)
        >>> srun = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
        >>> started_processes({**srun, "SLURM_STEP_NUM_NODES": "2"})
        Processes(rank=3, world=4, local_rank=1, local_world=2)
        >>> started_processes({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"})  # a batch script without srun
    """
    try:
        if "RANK" in environ and "WORLD_SIZE" in environ:
            rank, world = int(environ["RANK"]), int(environ["WORLD_SIZE"])
            local_world = int(environ.get("LOCAL_WORLD_SIZE", "1"))
            return Processes(rank, world, int(environ.get("LOCAL_RANK", rank % local_world)), local_world)
        if "SLURM_STEP_NUM_TASKS" in environ and "SLURM_PROCID" in environ:
            rank, world = int(environ["SLURM_PROCID"]), int(environ["SLURM_STEP_NUM_TASKS"])
            machines = int(environ.get("SLURM_STEP_NUM_NODES", "1"))
            return Processes(rank, world, int(environ.get("SLURM_LOCALID", "0")), world // machines)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"expected numbers of processes in the environment, found another value ({error}): start them "
            "with torchrun or srun"
        ) from error
    return None
