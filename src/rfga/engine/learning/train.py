"""Training: from a data set with class labels to a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from rfga.backbones.base import Backbone
from rfga.data.base import Dataset
from rfga.engine.learning.data import (
    TrainingData,
    data_loaders,
    probe_photographs,
    read_training_data,
)
from rfga.engine.learning.loggers import require_loggers
from rfga.engine.learning.parameter_groups import parameter_groups
from rfga.engine.learning.passes import learn_by_passes
from rfga.engine.learning.resume import (
    Checkpoint,
    read_checkpoint,
    require_same_data,
    resumed_config,
)
from rfga.engine.localizing.estimate import record_training_estimate
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import all_options, build_method, licence_of, trained_method
from rfga.engine.runtime.devices import pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.processes import Processes
from rfga.engine.runtime.progress import announcer
from rfga.engine.thresholds.threshold import own_level, run_threshold
from rfga.files import remove_leftovers
from rfga.methods import ONE_CLASS
from rfga.methods.base import Method


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
    before = run.read_config()[1] if goes_on else None
    data = read_training_data(dataset, runtime, config.train_per_class, 1 if alone else 2, before)
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
        _learn_by_epochs(method, data, config, run, runtime, checkpoint, loggers)
    config = learn_by_passes(method, data, config, run, runtime)

    def finish() -> None:
        _estimate_threshold(method, config, data, run, runtime)
        run.write_model(method.state_dict())  # the last, as the sign of a finished run

    processes.agree(finish)
    return method.eval()


def _learn_by_epochs(
    method: Method,
    data: TrainingData,
    config: TrainConfig,
    run: RunFolder,
    runtime: Runtime,
    checkpoint: Checkpoint | None,
    loggers: Sequence[str],
) -> None:
    # These take seconds to be imported, which what is solved need not wait for.
    from rfga.engine.learning.epoch_log import EpochLog
    from rfga.engine.learning.fitting import fit

    workers, processes = pick_workers(runtime, pick_device(runtime.device)), runtime.processes
    first_epoch = checkpoint.epochs_done if checkpoint else 0
    loaders = data_loaders(data, config, workers, first_epoch, processes)
    # Every process helps to measure, one logs.
    watchers = [EpochLog(loggers if processes.first else (), run, data, config)] if loggers else []
    fit(method, config, loaders, run, runtime, checkpoint, watchers)


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
