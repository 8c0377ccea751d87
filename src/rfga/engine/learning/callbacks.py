"""What happens beside training: the history, the bar or lines on the screen, the checkpoint of each epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from rfga.engine.run.checkpoint_file import write_checkpoint
from rfga.engine.run.folder import RunFolder
from rfga.engine.runtime.progress import Meter, announcer

StepOutput = torch.Tensor | Mapping[str, Any] | None  # of a training step, as Lightning hands it on


class History(Callback):
    """Writes each epoch's numbers to metrics.json, and prints them in one line.

    Args:
        run: whose metrics.json it is.
        quiet: print nothing.
    """

    def __init__(self, run: RunFolder, *, quiet: bool) -> None:
        self.run, self.say = run, announcer(quiet)
        self.started = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record and print the epoch that has ended, its validation included."""
        seconds = time.perf_counter() - self.started
        measured = trainer.callback_metrics  # every process asks, as they add up their numbers here
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        entry: dict[str, Any] = {"epoch": epoch, "train_loss": float(measured["train_loss_epoch"])}
        if "val_top1" in measured:
            entry["val_top1"] = float(measured["val_top1"])
        entry["seconds"] = round(seconds, 2)
        # A run that goes on repeats the epoch that was broken off, of which an entry may be there.
        kept = [old for old in self.run.read_metrics().get("history", []) if old["epoch"] < epoch]
        self.run.update_metrics(history=[*kept, entry])
        top1 = f", val top-1 {100 * entry['val_top1']:.1f} %" if "val_top1" in entry else ""
        self.say(f"epoch {epoch}/{trainer.max_epochs}: loss {entry['train_loss']:.4f}{top1}, {seconds:.0f} s")


class EpochMeter(Callback):
    """Shows how far the epoch is, in photographs, with the loss.

    Args:
        train_count: photographs in a training epoch.
        val_count: photographs to validate on.
        quiet: show nothing.
    """

    def __init__(self, train_count: int, val_count: int, *, quiet: bool) -> None:
        self.train_count, self.val_count, self.quiet = train_count, val_count, quiet
        self.meter: Meter | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A new bar."""
        self._show(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", self.train_count)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: StepOutput, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        if self.meter is not None:
            note = "" if loss is None else f"loss {loss.item():.3f}"
            self.meter.advance(len(batch[1]) * trainer.world_size, note)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A new bar."""
        self._show(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, validating", self.val_count)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_place: int
    ) -> None:
        """Count the batch."""
        if self.meter is not None:
            self.meter.advance(len(batch[1]) * trainer.world_size)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make room for the line of the history."""
        self._hide()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._hide()

    def _show(self, what: str, total: int) -> None:
        self._hide()
        self.meter = Meter(what, total, quiet=self.quiet).__enter__()

    def _hide(self) -> None:
        if self.meter is not None:
            self.meter.__exit__(None, None, None)
            self.meter = None


class EpochCheckpoint(Checkpoint):
    """A checkpoint after every epoch, beside the one before; Lightning runs it after all other callbacks.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save it."""
        trainer.save_checkpoint(self.path)


class WholeFile(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, whenever the process is killed."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write beside the old checkpoint, look it through, then take its place."""
        write_checkpoint(checkpoint, Path(path))
