"""What a command may use of this machine, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rfga.engine.runtime.processes import ALONE, Processes
from rfga.types import UserError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "32", "bf16", "16"]


@dataclass(frozen=True)
class Runtime:
    """How a command runs on this machine, without any influence on what it computes.

    Args:
        device: where to compute.
        workers: processes that read photographs; -1 chooses.
        devices: devices of this machine to share the work, one process each; under torchrun or srun of each.
        nodes: machines on which torchrun or srun starts this command.
        features_gb: gigabytes beside the run for what the network gives of photographs, which the next call
            need not ask it for again; 0 keeps nothing.
        quiet: print nothing but errors and results.
        processes: which of them this one is; ``rfga.engine.runtime.joining.joined`` sets it.

    Raises:
        UserError: a number of workers below -1, of devices or machines below 1, or of gigabytes below 0.
    """

    device: Device = field(default="auto", metadata={"group": "machine"})
    workers: int = -1
    devices: int | None = field(default=None, metadata={"metavar": "N"})
    nodes: int | None = field(default=None, metadata={"metavar": "M"})
    features_gb: float = field(default=0.0, metadata={"metavar": "GB"})
    quiet: bool = field(default=False, metadata={"group": "messages"})
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        for name, count in (("devices", self.devices), ("nodes", self.nodes)):
            if count is not None and count < 1:
                raise UserError(f"expected --{name} of at least 1, found {count}: give 1 or more")
        if not self.features_gb >= 0:
            raise UserError(f"expected --features-gb of 0 or more, found {self.features_gb}: give 4")
        if self.workers < -1:
            raise UserError(
                f"expected --workers of -1 (chosen) or more, found {self.workers}: give 0 or more"
            )
