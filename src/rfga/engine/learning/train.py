"""Training: from a data set with class labels to a run folder."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from rfga.backbones.base import Backbone
from rfga.data.base import Dataset
from rfga.engine.learning.callbacks import EpochCheckpoint, EpochMeter, History, WholeFile
from rfga.engine.learning.data import (
    Loaders,
    TrainingData,
    data_loaders,
    probe_photographs,
    read_training_data,
)
from rfga.engine.learning.epoch_log import EpochLog
from rfga.engine.learning.lightning_processes import trainer_processes
from rfga.engine.learning.loggers import require_loggers
from rfga.engine.learning.module import TrainingModule
from rfga.engine.learning.parameter_groups import parameter_groups
from rfga.engine.learning.passes import learn_by_passes
from rfga.engine.learning.resume import (
    Checkpoint,
    read_checkpoint,
    require_same_data,
    resumed_config,
    take_up,
)
from rfga.engine.localizing.estimate import record_training_estimate
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import all_options, build_method, licence_of, trained_method
from rfga.engine.runtime.devices import lightning_precision, pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.processes import Processes
from rfga.engine.runtime.progress import announcer
from rfga.engine.runtime.reading import reading_explained
from rfga.engine.thresholds.threshold import own_level, run_threshold
from rfga.files import remove_leftovers
from rfga.methods import ONE_CLASS
from rfga.methods.base import Method
from rfga.types import UserError


def train(
    config: TrainConfig,
    dataset: Dataset,
    run: RunFolder,
    *,
    runtime: Runtime | None = None,
    policy: RunPolicy | None = None,
    source: dict[str, Any] | None = None,
    loggers: Sequence[str] = (),
) -> Method:
    """Train ``config``'s method on ``dataset`` and leave everything in ``run``.

    Args:
        config: what to train and how.
        dataset: class labels in its train split, and optionally a val split.
        run: where checkpoints, weights and numbers go.
        runtime: device, workers, output.
        policy: go on after the last whole epoch of an earlier run, or start anew in its place.
        source: what ``config.yaml`` records of where the data came from.
        loggers: names in ``LOGGERS`` (``loggers.py``), which get every epoch; they change no weight.

    Returns:
        The trained method, in evaluation mode.

    Raises:
        UserError: bad settings or data, a logger that cannot work, a loss that is no number, or SIGTERM.
        KeyboardInterrupt: Ctrl-C; the checkpoint of the last whole epoch is there.
    """
    runtime, policy = runtime or Runtime(), policy or RunPolicy()
    require_loggers(loggers)
    say = announcer(runtime.quiet)
    device, processes = pick_device(runtime.device), runtime.processes
    goes_on = processes.agree(lambda: run.goes_on(policy))
    config = resumed_config(run, config) if goes_on else replace(config, options=all_options(config))
    if goes_on and run.is_finished:
        processes.agree(lambda: remove_leftovers(run.path))  # of a kill while the report was written
        say(f"the run in {run.path} is complete: nothing to train")
        return trained_method(run)[0].eval()
    alone = config.method in ONE_CLASS
    data = read_training_data(dataset, runtime, config.train_per_class, 1 if alone else 2)
    record = {**data.record(), **({} if processes.alone else {"processes": processes.world})}
    if goes_on:
        require_same_data(run, dataset.classes, record)
    checkpoint = read_checkpoint(run.checkpoint) if goes_on else None
    method = _starting_method(config, data, checkpoint)
    parameter_groups(method, config)  # tells of layers that are not there before an earlier run goes
    config = _with_input(config, method.backbone)
    # The earlier run goes only now, when nothing but training itself can fail.
    processes.wait()  # until all have read what it left
    processes.agree(lambda: run.start(config, dataset.classes, {**(source or {}), **record}, policy))
    say(_summary(config, data, method, device))
    if not processes.alone:
        say(_processes_sentence(config, processes))
    if method.has_epochs:
        first_epoch = checkpoint.epochs_done if checkpoint else 0
        loaders = data_loaders(data, config, pick_workers(runtime, device), first_epoch, processes)
        # Every process helps to measure, one logs.
        watchers = [EpochLog(loggers if processes.first else (), run, data, config)] if loggers else []
        fit(method, config, loaders, run, runtime, checkpoint, watchers)
    config = learn_by_passes(method, data, config, run, runtime)

    def finish() -> None:
        _estimate_threshold(method, config, data, run, runtime)
        run.write_model(method.state_dict())  # the last, as the sign of a finished run

    processes.agree(finish)
    return method.eval()


def _with_input(config: TrainConfig, backbone: Backbone) -> TrainConfig:
    """What was found out about the input is part of the settings from now on."""
    found: dict[str, Any] = {"mean": list(backbone.mean), "std": list(backbone.std)}
    found |= {"pad_type": backbone.pad_type, "output_stride": backbone.layout.stride}
    return TrainConfig.from_dict({**config.to_dict(), **found})


def _estimate_threshold(
    method: Method, config: TrainConfig, data: TrainingData, run: RunFolder, runtime: Runtime
) -> None:
    """Keep what training photographs say of the threshold; the method comes back where it was."""
    if config.normalisation == "none":
        run.update_metrics(label_free={"none": own_level(len(data.train))})
        return
    device = next(method.parameters()).device
    threshold = run_threshold({}, config.normalisation)
    localizer = Localizer(method, data.dataset.classes, config, threshold, pick_device(runtime.device))
    record_training_estimate(run, localizer, data.dataset, data.train, runtime)
    method.to(device)


def _starting_method(config: TrainConfig, data: TrainingData, checkpoint: Checkpoint | None) -> Method:
    classes = len(data.dataset.classes)
    if checkpoint is not None:  # it holds all weights, so those to start from need not be there any more
        return build_method(replace(config, weights="none"), classes)
    tries_inputs = config.weights not in ("imagenet", "none")
    return build_method(config, classes, probe_photographs(data) if tries_inputs else None)


@reading_explained()
def fit(
    method: Method,
    config: TrainConfig,
    loaders: Loaders,
    run: RunFolder | None,
    runtime: Runtime,
    checkpoint: Checkpoint | None = None,
    watchers: Sequence[Callback] = (),
) -> None:
    """Train in place on the batches of ``loaders``; history and checkpoints go into ``run``, if there is one.

    ``watchers`` are further callbacks, called before an epoch's checkpoint is written.

    Raises:
        UserError: a loss that is no number, or SIGTERM.
        KeyboardInterrupt: Ctrl-C; the checkpoint of the last whole epoch is there.
    """
    device = pick_device(runtime.device)
    processes, steps = runtime.processes, len(loaders.train)
    module = TrainingModule(method.to(memory_format=torch.channels_last), config, steps, processes)
    if config.compile:
        method.backbone.compile()  # in place: no weight changes its name
    kept = [] if run is None else [History(run, quiet=runtime.quiet), EpochCheckpoint(run.checkpoint)]
    with _lightning_silent(), _stops_told(), _compiler_told():
        trainer = lightning.Trainer(
            accelerator={"cuda": "gpu"}.get(device.type, device.type),
            **trainer_processes(processes, device),
            precision=lightning_precision(config.precision, device),
            max_epochs=config.epochs,
            callbacks=[
                EpochMeter(loaders.train_count, loaders.val_count, quiet=runtime.quiet),
                *watchers,
                *kept,
            ],
            plugins=[WholeFile()],
            default_root_dir=None if run is None else run.path,
            logger=False,
            enable_checkpointing=run is not None,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        path = None
        if checkpoint is not None and run is not None:
            held, newest = checkpoint, run.checkpoint
            path = processes.agree(lambda: take_up(held, newest, announcer(runtime.quiet)))
        trainer.fit(module, loaders.train, loaders.val, ckpt_path=path, weights_only=True)


@contextmanager
def _lightning_silent() -> Iterator[None]:
    """Without Lightning's advice on workers and logging, which does not concern whoever runs a command."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _stops_told() -> Iterator[None]:
    """Ctrl-C as ``KeyboardInterrupt``: Lightning turns it into an exit, and ignores the key from then on."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as stop:
        raise UserError(
            "expected training to end, found it stopped by the system (SIGTERM): go on with --resume"
        ) from stop
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop


@contextmanager
def _compiler_told() -> Iterator[None]:
    """What torch.compile could not do, in one sentence: mostly there is no compiler for the processor."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"expected torch.compile to translate the backbone, found {reason}: install a C++ compiler, "
            "or leave out --compile"
        ) from error


def _processes_sentence(config: TrainConfig, processes: Processes) -> str:
    machines = processes.world // processes.local_world
    return (
        f"{processes.world} processes on {machines} machine{'s'[: machines > 1]}: {config.batch_size} "
        f"photographs in each make steps of {config.batch_size * processes.world}; the learning rate is "
        f"{config.lr:g} as given"
    )


def _summary(config: TrainConfig, data: TrainingData, method: Method, device: torch.device) -> str:
    weights = sum(p.numel() for p in method.parameters()) / 1e6
    return (
        f"{config.method} on {config.backbone} ({weights:.1f} M weights, output stride "
        f"{config.output_stride}), {len(data.train)} photographs of {len(data.dataset.classes)} classes, "
        f"{len(data.val)} to validate on, on {device.type}\n"
        f"input: mean {tuple(round(m, 3) for m in method.backbone.mean)}, "
        f"deviation {tuple(round(s, 3) for s in method.backbone.std)}, "
        f"padding {method.backbone.pad_type or 'symmetric'}; {licence_of(config)}"
    )
