"""The photographs of a training run: those that can be read, as each epoch varies and orders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, SequentialSampler

from rfga.data.base import Dataset
from rfga.data.check import readable_samples, require_trainable
from rfga.data.transforms import Augmentation, EpochSampler, SampleImages
from rfga.engine.config import Runtime, TrainConfig
from rfga.engine.progress import Meter, announcer
from rfga.types import Sample

PROBE_PHOTOGRAPHS = 32  # enough for the statistics of one batch, read in a second
SKIPPED_SHOWN = 20


@dataclass(frozen=True)
class TrainingData:
    """The photographs of a run: those that can be read, and those that were left out with the reason."""

    dataset: Dataset
    train: Sequence[Sample]
    val: Sequence[Sample]
    skipped: tuple[tuple[str, str], ...]  # image id, reason

    def record(self) -> dict[str, Any]:
        """What a run's settings say of its data."""
        return {
            "name": self.dataset.name,
            "train_photographs": len(self.train),
            "val_photographs": len(self.val),
            "skipped": [{"image": name, "reason": reason} for name, reason in self.skipped],
        }


def read_training_data(dataset: Dataset, runtime: Runtime) -> TrainingData:
    """Open every photograph once, and leave out those that cannot be read.

    Raises:
        UserError: nothing to train on, one class only, or more than a tenth unreadable.
    """
    require_trainable(dataset)
    kept: dict[str, Sequence[Sample]] = {}
    skipped: list[tuple[str, str]] = []
    for split in ("train", "val"):
        kept[split], unreadable = checked_samples(dataset, split, runtime)
        skipped += [(f"{split}/{name}", reason) for name, reason in unreadable]
    say = announcer(runtime.quiet)
    for name, reason in skipped[:SKIPPED_SHOWN]:
        say(f"skipped {name}: {reason}")
    if len(skipped) > SKIPPED_SHOWN:
        say(f"skipped {len(skipped) - SKIPPED_SHOWN} more; config.yaml lists them all")
    return TrainingData(dataset, kept["train"], kept["val"], tuple(skipped))


def checked_samples(
    dataset: Dataset, split: str, runtime: Runtime
) -> tuple[Sequence[Sample], list[tuple[str, str]]]:
    """The samples of a split that can be read, and the others by image id with the reason.

    Raises:
        UserError: more than a tenth is unreadable.
    """
    samples: Sequence[Sample] = dataset.samples(split)
    if not samples or not dataset.needs_check:
        return samples, []
    with Meter(f"opening the photographs of {split}", len(samples), quiet=runtime.quiet) as meter:
        samples, unreadable = readable_samples(dataset, split, progress=lambda done, total: meter.advance(1))
    return samples, [(sample.image_id, reason) for sample, reason in unreadable]


def training_loader(
    data: TrainingData, config: TrainConfig, workers: int, first_epoch: int = 0
) -> DataLoader[Any]:
    """Batches (images uint8, labels, positions) of an epoch, in the order its seed gives.

    Args:
        data: the photographs.
        config: batch size, augmentation, seed.
        workers: processes that read.
        first_epoch: counted from 0; workers read ahead before Lightning names the epoch to the sampler.
    """
    augmentation = Augmentation(crop=config.crop, min_scale=config.min_scale, flip=config.flip)
    # The last, smaller batch is dropped only where it would be a single image, which batch
    # normalisation cannot train on.
    lonely = len(data.train) > 1 and len(data.train) % config.batch_size == 1
    sampler = EpochSampler(len(data.train), seed=config.seed, shuffle=True, epoch=first_epoch)
    images = SampleImages(data.dataset, data.train, config.image_size, augmentation)
    return _loader(images, sampler, config, workers, drop_last=lonely)


def validation_loader(data: TrainingData, config: TrainConfig, workers: int) -> DataLoader[Any] | None:
    """Batches of the val split as they are; None where there is no such split."""
    if not data.val:
        return None
    images = SampleImages(data.dataset, data.val, config.image_size, None)
    return _loader(images, SequentialSampler(data.val), config, workers, drop_last=False)


def _loader(
    images: SampleImages, sampler: Sampler[Any], config: TrainConfig, workers: int, *, drop_last: bool
) -> DataLoader[Any]:
    return DataLoader(
        images,
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=workers,
        drop_last=drop_last,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def probe_photographs(data: TrainingData, image_size: int) -> Tensor:
    """A few training photographs spread over the classes, (N, 3, S, S) uint8, as the network sees them."""
    step = max(1, len(data.train) // PROBE_PHOTOGRAPHS)
    images = SampleImages(data.dataset, data.train[::step][:PROBE_PHOTOGRAPHS], image_size, None)
    return torch.stack([images[i][0] for i in range(len(images))])
