"""What a person sees of a training run: a bar on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar

from rfga.engine.run_folder import RunFolder


def progress_callbacks(run: RunFolder, quiet: bool) -> list[Callback]:
    """A bar where a person watches, and always the history in metrics.json."""
    callbacks: list[Callback] = [History(run, quiet=quiet)]
    if not quiet and sys.stderr.isatty():
        callbacks.append(RichProgressBar(leave=True))
    return callbacks


class History(Callback):
    """Writes each epoch's numbers to metrics.json, and prints them in one line."""

    def __init__(self, run: RunFolder, *, quiet: bool) -> None:
        self.run, self.quiet = run, quiet
        self.started = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Take the time."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Record and print the epoch that has ended (validation of the epoch has run before this)."""
        if not trainer.is_global_zero:
            return
        seconds = time.perf_counter() - self.started
        entry = self.entry(trainer, seconds)
        kept = [old for old in self.run.read_metrics().get("history", []) if old["epoch"] < entry["epoch"]]
        self.run.update_metrics(history=[*kept, entry])
        if not self.quiet:
            top1 = f", val top-1 {100 * entry['val_top1']:.1f} %" if "val_top1" in entry else ""
            print(
                f"epoch {entry['epoch']}/{trainer.max_epochs}: loss {entry['train_loss']:.4f}{top1}, {seconds:.0f} s",
                flush=True,
            )

    def entry(self, trainer: lightning.Trainer, seconds: float) -> dict[str, Any]:
        """The epoch's number, loss, validation accuracy where there is one, and time."""
        measured = trainer.callback_metrics
        entry: dict[str, Any] = {"epoch": trainer.current_epoch + 1, "train_loss": float(measured["train_loss_epoch"])}
        if "val_top1" in measured and not trainer.sanity_checking:
            entry["val_top1"] = float(measured["val_top1"])
        return {**entry, "seconds": round(seconds, 2)}
