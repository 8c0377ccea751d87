"""The Lightning module: a method's loss, an optimiser with two learning rates, a schedule, the generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning
import torch
from torch import Tensor, distributed, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from rfga.engine.learning.parameter_groups import parameter_groups
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import normalised
from rfga.engine.runtime.processes import ALONE, Processes
from rfga.methods.base import Method
from rfga.types import UserError

SEED_STEP = 1_000_003  # spreads (seed, step) over different seeds of the global generator
RANK_STEP = 2**40  # more steps than any training has: keeps the processes' seeds apart
LOWER_RATE = "lower --lr and start anew with --overwrite"


class TrainingModule(lightning.LightningModule):
    """Trains any method; knows nothing of it but its contract.

    Args:
        method: what is trained.
        config: rates, schedule and seed.
        steps_per_epoch: optimiser steps in each epoch.
        processes: which one this is; each draws other random numbers for its own photographs.
    """

    def __init__(
        self, method: Method, config: TrainConfig, steps_per_epoch: int, processes: Processes = ALONE
    ) -> None:
        super().__init__()
        self.method = method
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.processes = processes
        self.generator = torch.Generator().manual_seed(config.seed + processes.rank * RANK_STEP)
        self.val_top1 = MeanMetric()
        if config.freeze_backbone:
            # Here, since processes agree on the weights that learn before there is an optimiser.
            for parameter in method.pretrained_parameters():
                parameter.requires_grad_(False)

    def on_train_epoch_start(self) -> None:
        """Let everything learn but what is frozen."""
        self.method.train()
        if self.config.freeze_backbone:
            self.method.backbone.network.eval()  # statistics stay those of the pretrained weights

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """The method's loss of one batch.

        Raises:
            UserError: the loss is no longer a number, or the method cannot train on such a batch.
        """
        # Dropout draws from the global generator: with a known state at each step, a run that goes on
        # equals one that never stopped, whatever else has drawn in between.
        step_seed = self.config.seed * SEED_STEP + self.global_step
        torch.manual_seed(step_seed + self.processes.rank * RANK_STEP)
        pixels, labels, _ = batch
        images = normalised(pixels, self.method.backbone)
        try:
            loss = self.method.loss(images, labels, self.generator)
        except ValueError as error:
            raise UserError(str(error)) from error
        if not torch.isfinite(loss):
            raise UserError(
                f"expected a finite loss, found {loss.item()} at step {batch_idx + 1} of epoch "
                f"{self.current_epoch + 1}: {LOWER_RATE}"
            )
        self.log(
            "train_loss_epoch", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(labels)
        )
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After an epoch's last step, and before it is validated, give every process the same statistics."""
        if batch_idx + 1 == self.steps_per_epoch:
            average_buffers(self.method, self.processes)

    def on_train_epoch_end(self) -> None:
        """See that the weights are sound before they replace those of the last checkpoint.

        Raises:
            UserError: a weight is no longer a number.
        """
        broken = [name for name, weight in self.method.named_parameters() if not weight.isfinite().all()]
        if broken:
            raise UserError(
                f"expected finite weights after epoch {self.current_epoch + 1}, found {len(broken)} "
                f"layers with others (first {broken[0]}): {LOWER_RATE}"
            )

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Log the share of photographs whose most probable class is theirs."""
        pixels, labels, _ = batch
        logits = self.method.localize(normalised(pixels, self.method.backbone)).logits
        self.val_top1.update((logits.argmax(1) == labels).float())
        self.log("val_top1", self.val_top1, on_step=False, on_epoch=True, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        """The optimiser; some layers (see ``parameter_groups``) learn faster than the others."""
        config = self.config
        groups = parameter_groups(self.method, config)
        optimizer: torch.optim.Optimizer
        if config.optimizer == "adamw":
            optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        else:
            nesterov = config.nesterov and config.momentum > 0
            optimizer = torch.optim.SGD(
                groups, momentum=config.momentum, nesterov=nesterov, weight_decay=config.weight_decay
            )
        schedule = LambdaLR(optimizer, rate_factor(config, self.steps_per_epoch))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the method's random generator, and how far training is; called after an epoch."""
        checkpoint["epochs_done"] = self.current_epoch + 1
        states = self.processes.gather(self.generator.get_state())
        checkpoint["generator"] = states[0]
        if len(states) > 1:
            checkpoint["generators"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the random generator where that checkpoint left it.

        Raises:
            UserError: it holds the weights of another network, which Lightning would tell at length.
        """
        states = checkpoint["state_dict"], self.state_dict()
        held, own = ({(name, part.shape) for name, part in state.items()} for state in states)
        if held != own:
            strange, _ = min(held ^ own)
            raise UserError(
                f"expected a checkpoint of the run's own method, {self.config.method}, found that of another "
                f"network (first difference: {strange}): put its own back, or start anew with --overwrite"
            )
        drawn = checkpoint.get("generators", [checkpoint["generator"]])
        self.generator.set_state(drawn[self.processes.rank])


def average_buffers(network: nn.Module, processes: Processes) -> None:
    """Give every process the mean of what networks keep beside weights, as batch normalisation's statistics.

    Whole numbers, as the count of batches, are the same in every process and stay as they are.

    Example:
        >>> layer = nn.BatchNorm2d(2)
        >>> average_buffers(layer, Processes())
        >>> layer.running_var
        tensor([1., 1.])
    """
    if processes.alone:
        return
    for buffer in network.buffers():
        if buffer.is_floating_point():
            distributed.all_reduce(buffer)
            buffer.div_(processes.world)


def rate_factor(config: TrainConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on every learning rate at a step: a linear warm-up, then the schedule.

    Example:
        >>> factor = rate_factor(TrainConfig(epochs=2, warmup_epochs=0), steps_per_epoch=10)
        >>> factor(0), round(factor(10), 3), round(factor(20), 3)
        (1.0, 0.5, 0.0)
    """
    total = max(1, config.epochs * steps_per_epoch)
    warmup = config.warmup_epochs * steps_per_epoch
    thirds = (total / 3, total * 2 / 3)
    falls = thirds if config.milestones is None else [n * steps_per_epoch for n in config.milestones]

    def factor(step: int) -> float:
        shape = {
            "cosine": 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))),
            "step": 0.1 ** sum(step >= fall for fall in falls),
            "constant": 1.0,
        }[config.schedule]
        return shape * (min(1.0, (step + 1) / warmup) if warmup else 1.0)

    return factor
