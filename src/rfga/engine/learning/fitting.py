"""The training loop itself, which is Lightning's: silent, going on after a kill, telling what stopped it."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from rfga.engine.learning.callbacks import EpochCheckpoint, EpochMeter, History, WholeFile
from rfga.engine.learning.data import Loaders
from rfga.engine.learning.lightning_processes import trainer_processes
from rfga.engine.learning.module import TrainingModule
from rfga.engine.learning.resume import Checkpoint, take_up
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.runtime.devices import lightning_precision, pick_device
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.engine.runtime.reading import reading_explained
from rfga.methods.base import Method
from rfga.types import UserError


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
