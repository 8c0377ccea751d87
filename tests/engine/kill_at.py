"""``python -m tests.engine.kill_at STEP SIGNAL ARGUMENTS``: ``rfga`` gets a signal at a training step."""

from __future__ import annotations

import os
import signal
import sys
from unittest.mock import patch

import torch

from rfga.cli import main
from rfga.methods.cam import CAM


def signalled(step: int, name: str) -> None:
    """Let the loss of step number ``step``, counted from 1, send the signal to this process group."""
    plain, steps = CAM.loss, iter(range(1, 10**6))

    def loss(
        self: CAM, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        if next(steps) == step:
            # To the whole group, as a terminal sends Ctrl-C to the processes that read photographs too.
            os.killpg(os.getpgid(0), getattr(signal, name))
        return plain(self, images, labels, generator)

    patch.object(CAM, "loss", loss).start()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's Ctrl-C is ignored
    signalled(int(sys.argv[1]), sys.argv[2])
    sys.exit(main(sys.argv[3:]))
