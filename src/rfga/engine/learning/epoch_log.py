"""What is logged of each epoch: losses, rates, throughput, numbers on val, and maps of a few photographs."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import nn

from rfga.data.base import Dataset, known_truth
from rfga.engine.learning.callbacks import StepOutput
from rfga.engine.learning.data import TrainingData
from rfga.engine.learning.example_maps import example_picture, example_samples
from rfga.engine.learning.loggers import EpochLogger, LogPlace, open_logger
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import LOGS, RunFolder
from rfga.engine.thresholds.threshold import run_threshold
from rfga.files import write_json
from rfga.metrics.localization import LocalizationMetrics
from rfga.output.letters import legible
from rfga.types import UserError
from rfga.untrusted import parse_json

RECORD = "logged.json"  # in the folder of logs: of each logger, how far it is and what finds its log again


class EpochLog(Checkpoint):
    """Logs each epoch; it looks at the model, and changes nothing that training depends on.

    It is a ``Checkpoint`` so that Lightning runs it after the weights were found sound; it has to stand
    before ``EpochCheckpoint``, so that no epoch is done and not logged.

    Args:
        names: of the loggers; of several processes, those of the first alone.
        run: whose log it is.
        data: the photographs; where val has truth, its localization is measured after every epoch.
        config: settings of training.
    """

    def __init__(self, names: Sequence[str], run: RunFolder, data: TrainingData, config: TrainConfig) -> None:
        self.names, self.run, self.data, self.config = names, run, data, config
        self.examples = example_samples(data.val or data.train)
        self.loggers: dict[str, EpochLogger] = {}
        self.record: dict[str, dict[str, Any]] = {}
        self.localizer: Localizer | None = None
        self.metrics: LocalizationMetrics | None = None
        self.rates: list[float] = []
        self.started = self.trained = 0.0
        self.photographs = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the loggers, and see whether there is truth to measure with."""
        folder = self.run.path / LOGS
        self.record = read_record(folder)
        method: Any = pl_module.method
        with chance_kept(pl_module.device), modes_kept(method):
            for name in self.names:
                held = self.record.get(name, {})
                place = LogPlace(
                    folder,
                    self.run.path.resolve().name,
                    self.config.to_dict(),
                    held.get("epochs", 0),
                    held.get("key"),
                )
                self.loggers[name] = open_logger(name, place)
            threshold = run_threshold({}, self.config.normalisation)
            classes = tuple(self.data.dataset.classes)
            self.localizer = Localizer(method, classes, self.config, threshold, pl_module.device)
            if self.data.val and _has_truth(self.data.dataset):
                self.metrics = LocalizationMetrics(
                    num_classes=len(classes), normalisation=self.config.normalisation, replicates=0
                )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time."""
        self.started = time.perf_counter()
        self.photographs = 0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the rates that this step learns with."""
        self.rates = [group["lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: StepOutput, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch."""
        self.photographs += len(batch[1]) * trainer.world_size
        self.trained = time.perf_counter()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_place: int
    ) -> None:
        """Measure the maps of the photographs' own classes, where truth is known."""
        if self.metrics is None or self.localizer is None:
            return
        pixels, labels, positions = batch
        samples = [self.data.val[position] for position in positions.tolist()]
        with chance_kept(pl_module.device), modes_kept(self.localizer.method):
            scored = self.localizer.score(pixels, labels)
        truths = [known_truth(self.data.dataset, sample) for sample in samples]
        names = [sample.image_id for sample in samples]
        self.metrics.update(names, scored.maps, truths, labels, scored.logits)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the epoch to every logger that has not got it yet."""
        epoch = trainer.current_epoch + 1
        waiting = [name for name in self.loggers if self.record.get(name, {}).get("epochs", 0) < epoch]
        numbers = self._numbers(trainer.callback_metrics)
        if not waiting or self.localizer is None:
            return
        with chance_kept(pl_module.device), modes_kept(self.localizer.method):
            picture = example_picture(self.localizer, self.data.dataset, self.examples)
            for name in waiting:
                logger = self.loggers[name]
                try:
                    logger.write(epoch, numbers, picture)
                except Exception as error:  # a server that does not answer must not end hours of training
                    print(legible(f"{name} is left out from now on: {error}"), file=sys.stderr, flush=True)
                    del self.loggers[name]
                else:
                    self.record[name] = {"epochs": epoch, "key": logger.key}
            write_json(self.run.path / LOGS / RECORD, self.record)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the loggers."""
        self._close(finished=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the loggers of a run that was broken off."""
        self._close(finished=False)

    def _numbers(self, measured: Mapping[str, torch.Tensor]) -> dict[str, float]:
        numbers = {"train/loss": float(measured["train_loss_epoch"]), "train/rate": self.rates[-1]}
        if len(self.rates) > 1:
            numbers["train/rate_fast"] = self.rates[0]
        numbers["train/photographs_per_second"] = self.photographs / (self.trained - self.started)
        if "val_top1" in measured:
            numbers["val/Top1Cls"] = float(measured["val_top1"])
        if self.metrics is not None:
            found = self.metrics.compute()["metrics"]
            numbers |= {f"val/{name}": entries[0]["value"] for name, entries in found.items()} | numbers
            self.metrics.reset()
        return numbers

    def _close(self, *, finished: bool) -> None:
        with chance_kept():
            for name, logger in self.loggers.items():
                try:
                    logger.close(finished=finished)
                except Exception as error:  # all epochs are logged, and other loggers wait to be closed
                    print(legible(f"{name} could not be closed: {error}"), file=sys.stderr, flush=True)
        self.loggers = {}


def read_record(folder: Path) -> dict[str, dict[str, Any]]:
    """Of each logger of an earlier part of the run, how many ``epochs`` it has, and its ``key``.

    Raises:
        UserError: the record is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        held = parse_json(path.read_text(encoding="utf-8"))
        return {str(name): {"epochs": int(of["epochs"]), "key": of["key"]} for name, of in held.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise UserError(
            f"expected how far the loggers are in {path}, found it damaged ({error}): remove {LOGS}"
        ) from error


@contextmanager
def chance_kept(device: torch.device | None = None) -> Iterator[None]:
    """Leave the global generators of random numbers as they were, whatever the block draws.

    Args:
        device: that the block computes on.

    Example:
        >>> before = torch.get_rng_state()
        >>> with chance_kept():
        ...     _ = torch.rand(3)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    plain, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device is not None and device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(arrays)


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Evaluation mode in the block; each module's own mode after it.

    Example:
        >>> layers = nn.Sequential(nn.Dropout(), nn.Dropout())
        >>> _ = layers[1].eval()
        >>> with modes_kept(layers):
        ...     layers[0].training
        False
        >>> layers[0].training, layers[1].training
        (True, False)
    """
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _has_truth(dataset: Dataset) -> bool:
    try:
        return dataset.has_truth("val")
    except UserError:
        return False  # the evaluation at the end of training says what is wrong with it
