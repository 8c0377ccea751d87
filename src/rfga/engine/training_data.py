"""The photographs of a training run: those that can be read, as each epoch varies and orders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from torch.utils.data import Dataset as TorchDataset

from rfga.data.base import Dataset
from rfga.data.check import readable_samples, require_trainable
from rfga.data.samples import few_of_each
from rfga.data.transforms import Augmentation, EpochSampler, SampleImages
from rfga.engine.config import Runtime, TrainConfig
from rfga.engine.progress import Meter, announcer
from rfga.types import Sample

PROBE_PHOTOGRAPHS = 32  # enough for the statistics of one batch, read in a second
PROBE_SIDE = 224  # pixels; about the size weights were trained at: in smaller pictures the padding misleads
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


def read_training_data(
    dataset: Dataset, runtime: Runtime, train_per_class: int | None = None
) -> TrainingData:
    """Look at every photograph once, and leave out those that cannot be read.

    Args:
        dataset: photographs with class labels.
        runtime: output.
        train_per_class: keep that many to train on of each class at most.

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
    for note in dataset.notes:
        say(note)
    for name, reason in skipped[:SKIPPED_SHOWN]:
        say(f"skipped {name}: {reason}")
    if len(skipped) > SKIPPED_SHOWN:
        say(f"skipped {len(skipped) - SKIPPED_SHOWN} more; config.yaml lists them all")
    if train_per_class is not None:
        kept["train"] = few_of_each(kept["train"], train_per_class)
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
    with Meter(f"looking at the photographs of {split}", len(samples), quiet=runtime.quiet) as meter:
        samples, unreadable = readable_samples(dataset, split, progress=lambda done, total: meter.advance(1))
    return samples, [(sample.image_id, reason) for sample, reason in unreadable]


@dataclass(frozen=True)
class Loaders:
    """The batches of a training run, and how many photographs an epoch of each has."""

    train: DataLoader[Any]
    train_count: int
    val: DataLoader[Any] | None = None  # None where there is nothing to validate on
    val_count: int = 0


def data_loaders(data: TrainingData, config: TrainConfig, workers: int, first_epoch: int = 0) -> Loaders:
    """The batches of training and of validating; for the arguments see ``training_loader``."""
    train = training_loader(data, config, workers, first_epoch)
    return Loaders(train, len(data.train), validation_loader(data, config, workers), len(data.val))


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
    images = SampleImages(data.dataset, data.train, config.image_size, augmentation)
    return epoch_loader(images, len(data.train), config, workers, first_epoch)


def epoch_loader(
    items: TorchDataset[Any], count: int, config: TrainConfig, workers: int, first_epoch: int = 0
) -> DataLoader[Any]:
    """Batches of ``count`` items, each asked for as ``(index, seed)``; otherwise as ``training_loader``."""
    # The last, smaller batch is dropped only where it would be a single image, which batch
    # normalisation cannot train on.
    lonely = count > 1 and count % config.batch_size == 1
    sampler = EpochSampler(count, seed=config.seed, shuffle=True, epoch=first_epoch)
    return _loader(items, sampler, config, workers, drop_last=lonely)


def validation_loader(data: TrainingData, config: TrainConfig, workers: int) -> DataLoader[Any] | None:
    """Batches of the val split as they are; None where there is no such split."""
    if not data.val:
        return None
    images = SampleImages(data.dataset, data.val, config.image_size, None)
    return _loader(images, SequentialSampler(data.val), config, workers, drop_last=False)


def _loader(
    images: TorchDataset[Any], sampler: Sampler[Any], config: TrainConfig, workers: int, *, drop_last: bool
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


def probe_photographs(data: TrainingData) -> Tensor:
    """A few training photographs spread over the classes, (N, 3, 224, 224) uint8, to try inputs with."""
    step = max(1, len(data.train) // PROBE_PHOTOGRAPHS)
    images = SampleImages(data.dataset, data.train[::step][:PROBE_PHOTOGRAPHS], PROBE_SIDE, None)
    return torch.stack([images[i][0] for i in range(len(images))])
