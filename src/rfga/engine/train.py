"""Training: from a data set with class labels to a run folder."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from rfga.data.base import Dataset
from rfga.data.check import readable_samples, require_trainable
from rfga.data.transforms import Augmentation, EpochSampler, SampleImages
from rfga.engine.build import build_method, checked_options
from rfga.engine.config import Runtime, TrainConfig
from rfga.engine.devices import lightning_precision, pick_device, pick_workers
from rfga.engine.progress import progress_callbacks
from rfga.engine.run_folder import RunFolder
from rfga.engine.training_module import TrainingModule
from rfga.methods.base import Method
from rfga.types import Sample, UserError

PROBE_PHOTOGRAPHS = 32  # enough for the statistics of one batch, read in a second


@dataclass(frozen=True)
class TrainingData:
    """The photographs of a run: those that can be read, and those that were left out with the reason."""

    dataset: Dataset
    train: Sequence[Sample]
    val: Sequence[Sample]
    skipped: tuple[tuple[str, str], ...]  # image id, reason


def read_training_data(dataset: Dataset, say: Callable[[str], None]) -> TrainingData:
    """Open every photograph once, and leave out those that cannot be read.

    Raises:
        UserError: nothing to train on, one class only, or more than a tenth unreadable.
    """
    require_trainable(dataset)
    kept: dict[str, Sequence[Sample]] = {}
    skipped: list[tuple[str, str]] = []
    for split in ("train", "val"):
        samples: Sequence[Sample] = dataset.samples(split)
        if dataset.needs_check and samples:
            samples, unreadable = readable_samples(dataset, split)
            skipped += [(f"{split}/{sample.image_id}", reason) for sample, reason in unreadable]
        kept[split] = samples
    for name, reason in skipped:
        say(f"skipped {name}: {reason}")
    return TrainingData(dataset, kept["train"], kept["val"], tuple(skipped))


def train(
    config: TrainConfig,
    dataset: Dataset,
    run: RunFolder,
    *,
    runtime: Runtime | None = None,
    resume: bool = False,
    overwrite: bool = False,
    source: dict[str, Any] | None = None,
) -> Method:
    """Train ``config``'s method on ``dataset`` and leave everything in ``run``.

    Args:
        config: what to train and how.
        dataset: class labels in its train split, and optionally a val split.
        run: where checkpoints, weights and numbers go.
        runtime: device, workers, output.
        resume: go on after the last whole epoch if there is one.
        overwrite: start anew where the folder holds a run.
        source: what ``config.yaml`` records of the data.

    Returns:
        The trained method, in evaluation mode.

    Raises:
        UserError: bad settings or data, or a loss that is no number.
    """
    runtime = runtime or Runtime()
    say = (lambda text: None) if runtime.quiet else (lambda text: print(text, flush=True))
    device = pick_device(runtime.device)
    checked_options(config)
    data = read_training_data(dataset, say)
    run.prepare(resume=resume, overwrite=overwrite)
    torch.manual_seed(config.seed)
    method = build_method(config, len(dataset.classes), _probe_photographs(config, data))
    backbone = method.backbone
    # What was found out about the input is part of the settings from now on.
    config = dataclasses.replace(config, mean=backbone.mean, std=backbone.std, pad_type=backbone.pad_type)
    say(_summary(config, data, method, device))
    skipped = [{"image": name, "reason": reason} for name, reason in data.skipped]
    run.write_start(config, dataset.classes, {**(source or {}), "name": dataset.name, "skipped": skipped})
    _fit(method, config, data, run, runtime)
    run.write_model(method.state_dict())
    return method.eval()


def _fit(method: Method, config: TrainConfig, data: TrainingData, run: RunFolder, runtime: Runtime) -> None:
    device = pick_device(runtime.device)
    workers = pick_workers(runtime, device)
    loader = _loader(data.dataset, data.train, config, workers, training=True)
    val_loader = _loader(data.dataset, data.val, config, workers, training=False) if data.val else None
    module = TrainingModule(method.to(memory_format=torch.channels_last), config, len(loader))
    checkpoints = ModelCheckpoint(run.checkpoint.parent, save_last=True, save_top_k=0, every_n_epochs=1)
    with warnings.catch_warnings():
        # Lightning's advice on workers and logging does not concern whoever runs a command.
        warnings.filterwarnings("ignore", module="lightning")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        trainer = lightning.Trainer(
            accelerator={"cuda": "gpu"}.get(device.type, device.type),
            devices="auto" if device.type == "cuda" else 1,
            precision=lightning_precision(config.precision, device),
            max_epochs=config.epochs,
            callbacks=[checkpoints, *progress_callbacks(run, runtime.quiet)],
            default_root_dir=run.path,
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=not runtime.quiet,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        last = run.checkpoint if run.checkpoint.is_file() else None
        trainer.fit(module, loader, val_loader, ckpt_path=last, weights_only=True)
    if trainer.interrupted:
        raise UserError("expected training to end, found it interrupted: go on with --resume")


def _loader(
    dataset: Dataset, samples: Sequence[Sample], config: TrainConfig, workers: int, *, training: bool
) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
    augmentation = Augmentation(crop=config.crop, min_scale=config.min_scale, flip=config.flip) if training else None
    images = SampleImages(dataset, samples, config.image_size, augmentation)
    # The last, smaller batch is dropped only where it would be a single image, which batch
    # normalisation cannot train on.
    lonely = training and len(samples) % config.batch_size == 1 and len(samples) > 1
    return DataLoader(
        images,
        batch_size=config.batch_size,
        sampler=EpochSampler(len(samples), seed=config.seed, shuffle=training),
        num_workers=workers,
        drop_last=lonely,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def _probe_photographs(config: TrainConfig, data: TrainingData) -> Tensor | None:
    """A few training photographs spread over the classes, as the network would see them."""
    if config.weights in ("imagenet", "none"):
        return None
    step = max(1, len(data.train) // PROBE_PHOTOGRAPHS)
    images = SampleImages(data.dataset, data.train[::step][:PROBE_PHOTOGRAPHS], config.image_size, None)
    return torch.stack([images[i][0] for i in range(len(images))])


def _summary(config: TrainConfig, data: TrainingData, method: Method, device: torch.device) -> str:
    weights = sum(p.numel() for p in method.parameters()) / 1e6
    return (
        f"{config.method} on {config.backbone} ({weights:.1f} M weights, output stride {config.output_stride}), "
        f"{len(data.train)} photographs of {len(data.dataset.classes)} classes, "
        f"{len(data.val)} to validate on, on {device.type}\n"
        f"input: mean {tuple(round(m, 3) for m in method.backbone.mean)}, "
        f"deviation {tuple(round(s, 3) for s in method.backbone.std)}, "
        f"padding {method.backbone.pad_type or 'symmetric'}"
    )
