"""Lightning among processes that are joined already: it computes with them, and starts none."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy

from rfga.engine.runtime.processes import Processes


class JoinedEnvironment(ClusterEnvironment):
    """What Lightning asks about processes that ``rfga.engine.runtime.joining.joined`` has brought together.

    Args:
        processes: which of them this one is.
        per_machine: devices of a machine, as Lightning counts them.
    """

    def __init__(self, processes: Processes, per_machine: int) -> None:
        super().__init__()
        self.processes, self.per_machine = processes, per_machine

    @property
    def creates_processes_externally(self) -> bool:
        """They have been started."""
        return True

    @property
    def main_address(self) -> str:
        """Of the first machine."""
        return os.environ.get("MASTER_ADDR", "127.0.0.1")

    @property
    def main_port(self) -> int:
        """On the first machine."""
        return int(os.environ.get("MASTER_PORT", "0"))

    @staticmethod
    def detect() -> bool:
        """Never by itself; it is given."""
        return False

    def world_size(self) -> int:
        """The number of all processes."""
        return self.processes.world

    def set_world_size(self, size: int) -> None:
        """It is what it is."""

    def global_rank(self) -> int:
        """Of this process among all."""
        return self.processes.rank

    def set_global_rank(self, rank: int) -> None:
        """It is what it is."""

    def local_rank(self) -> int:
        """The index of this process's device among those that it sees."""
        return self.processes.rank % self.per_machine

    def node_rank(self) -> int:
        """The index of this process's machine."""
        return self.processes.rank // self.per_machine


def trainer_processes(processes: Processes, device: torch.device) -> dict[str, Any]:
    """The arguments of Lightning's ``Trainer`` for these processes on such devices.

    Gradients are averaged over processes at every step (DistributedDataParallel). Weights of a method that
    have no part in a step's loss are allowed. Statistics of batch normalisation stay each process's own
    during an epoch; ``rfga.engine.learning.module`` averages them at its end.

    Example:
        >>> trainer_processes(Processes(), torch.device("cpu"))
        {'devices': 1}
        >>> sixth = Processes(rank=5, world=8, local_rank=1, local_world=4)
        >>> found = trainer_processes(sixth, torch.device("cpu"))
        >>> found["devices"], found["num_nodes"]
        (4, 2)
    """
    if processes.alone:
        return {"devices": 1}
    # Where SLURM shows each process its own device alone, Lightning takes each for a machine with one device.
    own = device.type == "cuda" and torch.cuda.device_count() == 1
    per_machine = 1 if own else processes.local_world
    return {
        "devices": per_machine,
        "num_nodes": processes.world // per_machine,
        "strategy": DDPStrategy(
            cluster_environment=JoinedEnvironment(processes, per_machine),
            # A buffer is not sent before every step: validation may have fewer steps in some processes.
            broadcast_buffers=False,
            find_unused_parameters=True,
        ),
    }
