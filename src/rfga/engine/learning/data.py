"""The photographs of a training run: those that can be read, as each epoch varies and orders them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from rfga.data.base import Dataset
from rfga.data.checks.readable import look_at_each, readable_samples, require_trainable
from rfga.data.samples import few_of_each, without
from rfga.data.transforms import Augmentation, EpochSampler, SampleImages
from rfga.data.truth.given import Given
from rfga.data.truth.readers import truth_notes
from rfga.engine.run.config import TrainConfig
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.processes import ALONE, Processes
from rfga.engine.runtime.progress import Meter, announcer
from rfga.engine.runtime.reading import reads_quietly
from rfga.types import Sample, UserError

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
    looked_at: Mapping[str, str] = field(default_factory=dict)  # split -> `stamps_of` what was found readable
    background: Sequence[Sample] = ()  # to learn from as well, without any object
    corrections: Sequence[tuple[Sample, Given]] = ()  # with their boxes by a person, of any split

    def record(self) -> dict[str, Any]:
        """What a run's settings say of its data."""
        return {
            "name": self.dataset.name,
            "train_photographs": len(self.train),
            "val_photographs": len(self.val),
            **({"background_photographs": len(self.background)} if self.background else {}),
            **({"corrections": corrections_fingerprint(self.corrections)} if self.corrections else {}),
            **({"looked_at": dict(self.looked_at)} if self.looked_at else {}),
            "skipped": [{"image": name, "reason": reason} for name, reason in self.skipped],
        }


def read_training_data(
    dataset: Dataset,
    runtime: Runtime,
    train_per_class: int | None = None,
    least_classes: int = 2,
    before: Mapping[str, Any] | None = None,
) -> TrainingData:
    """Look at every photograph once, and leave out those that cannot be read.

    Args:
        dataset: photographs with class labels.
        runtime: output.
        train_per_class: keep that many to train on of each class at most.
        least_classes: that the method can learn from.
        before: the record of an earlier look; photographs that are as they were are not looked at again.

    Raises:
        UserError: nothing to train on, fewer classes, or more than a tenth unreadable.
    """
    require_trainable(dataset, least_classes)
    kept: dict[str, Sequence[Sample]] = {}
    looked_at: dict[str, str] = {}
    skipped: list[tuple[str, str]] = []
    for split in ("train", "val"):
        if dataset.needs_check:
            looked_at[split] = stamps_of(dataset.samples(split))
        known = _found_before(before, looked_at, split)
        kept[split], unreadable = checked_samples(dataset, split, runtime, known)
        skipped += [(f"{split}/{name}", reason) for name, reason in unreadable]
    say = announcer(runtime.quiet)
    for note in dataset.notes:
        say(note)
    said = [] if dataset.truth_reader is None else truth_notes(dataset.truth_reader)
    for note in said[:SKIPPED_SHOWN]:
        say(note)
    if len(said) > SKIPPED_SHOWN:
        say(f"and {len(said) - SKIPPED_SHOWN} more remarks on the truth; rfga data check lists them all")
    for name, reason in skipped[:SKIPPED_SHOWN]:
        say(f"skipped {name}: {reason}")
    if len(skipped) > SKIPPED_SHOWN:
        say(f"skipped {len(skipped) - SKIPPED_SHOWN} more; config.yaml lists them all")
    if train_per_class is not None:
        kept["train"] = few_of_each(kept["train"], train_per_class)
    background = readable_background(dataset, runtime)
    return TrainingData(
        dataset, kept["train"], kept["val"], tuple(skipped), looked_at, background, dataset.corrections
    )


def stamps_of(samples: Sequence[Sample]) -> str:
    """The same for the same photographs by name, as long as none of their files was written to."""
    digest = hashlib.blake2b(digest_size=16)
    for sample in samples:
        with suppress(OSError):
            held = sample.path.stat()
            stamp = f"{sample.image_id}\n{held.st_size}\n{held.st_mtime_ns}\n"
            digest.update(stamp.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _found_before(
    before: Mapping[str, Any] | None, now: Mapping[str, str], split: str
) -> list[tuple[str, str]] | None:
    """What could not be read of a split at an earlier look, if that was of the same files."""
    if before is None or split not in now or (before.get("looked_at") or {}).get(split) != now[split]:
        return None
    found = [(item["image"], item["reason"]) for item in before.get("skipped", [])]
    return [(name.removeprefix(f"{split}/"), why) for name, why in found if name.startswith(f"{split}/")]


def corrections_fingerprint(corrections: Sequence[tuple[Sample, Given]]) -> str:
    """The same for the same photographs with the same boxes."""
    digest = hashlib.blake2b(digest_size=16)
    for sample, given in corrections:
        digest.update(f"{sample.path}\n{given.boxes.tolist()}\n{given.classes}\n".encode(errors="replace"))
    return digest.hexdigest()


def readable_background(dataset: Dataset, runtime: Runtime) -> Sequence[Sample]:
    """The photographs of train without any object, but for those that cannot be read, which is told."""
    samples = dataset.background("train")
    if not samples:
        return ()

    def fault(sample: Sample) -> str | None:
        try:
            dataset.check(sample)
        except UserError as error:
            return str(error)
        return None

    def look() -> list[tuple[str, str]]:
        faults = zip(samples, look_at_each(samples, fault), strict=True)
        return [(sample.image_id, why) for sample, why in faults if why is not None]

    unreadable = runtime.processes.agree(look)
    for name, reason in unreadable[:SKIPPED_SHOWN]:
        announcer(runtime.quiet)(f"skipped {name}: {reason}")
    lost = {name for name, _ in unreadable}
    return [sample for sample in samples if sample.image_id not in lost]


def checked_samples(
    dataset: Dataset, split: str, runtime: Runtime, known: list[tuple[str, str]] | None = None
) -> tuple[Sequence[Sample], list[tuple[str, str]]]:
    """The samples of a split that can be read, and the others by image id with the reason.

    Of several processes the first looks, so that all leave out the same. ``known`` are the others, where an
    earlier look has found them.

    Raises:
        UserError: more than a tenth is unreadable, or another process has other photographs.
    """
    processes = runtime.processes
    samples: Sequence[Sample] = dataset.samples(split)
    processes.require_same(f"photographs of {split}", (f"{s.image_id} {s.label}" for s in samples))
    if not samples or not dataset.needs_check:
        return samples, []

    def look() -> list[tuple[str, str]]:
        if known is not None:
            return known
        with Meter(f"looking at the photographs of {split}", len(samples), quiet=runtime.quiet) as meter:
            _, found = readable_samples(dataset, split, progress=lambda done, total: meter.advance(1))
        return [(sample.image_id, reason) for sample, reason in found]

    unreadable = processes.agree(look)
    left_out = {name for name, _ in unreadable}
    places = [i for i, sample in enumerate(samples) if sample.image_id in left_out] if left_out else []
    return without(samples, places) if places else samples, unreadable


@dataclass(frozen=True)
class Loaders:
    """The batches of a training run, and how many photographs an epoch of each has."""

    train: DataLoader[Any]
    train_count: int
    val: DataLoader[Any] | None = None  # None where there is nothing to validate on
    val_count: int = 0


def data_loaders(
    data: TrainingData, config: TrainConfig, workers: int, first_epoch: int = 0, processes: Processes = ALONE
) -> Loaders:
    """The batches of training and of validating; for the arguments see ``training_loader``."""
    train = training_loader(data, config, workers, first_epoch, processes)
    val = validation_loader(data, config, workers, processes)
    return Loaders(train, len(data.train), val, len(data.val))


def training_loader(
    data: TrainingData, config: TrainConfig, workers: int, first_epoch: int = 0, processes: Processes = ALONE
) -> DataLoader[Any]:
    """Batches (images uint8, labels, positions) of an epoch, in the order its seed gives.

    Args:
        data: the photographs.
        config: batch size, augmentation, seed.
        workers: processes that read.
        first_epoch: counted from 0; workers read ahead before Lightning names the epoch to the sampler.
        processes: between which an epoch's photographs are dealt out, equally many to each.

    Raises:
        UserError: more processes than photographs.
    """
    augmentation = Augmentation(config.crop, config.min_scale, config.flip, config.decode == "reduced")
    images = SampleImages(data.dataset, data.train, config.image_size, augmentation)
    return epoch_loader(images, len(data.train), config, workers, first_epoch, processes)


def epoch_loader(
    items: TorchDataset[Any],
    count: int,
    config: TrainConfig,
    workers: int,
    first_epoch: int = 0,
    processes: Processes = ALONE,
) -> DataLoader[Any]:
    """Batches of ``count`` items, each asked for as ``(index, seed)``; otherwise as ``training_loader``."""
    rank, world = processes.rank, processes.world
    if count < world:
        raise UserError(
            f"expected at least one photograph for each of {world} processes, found {count}: start fewer"
        )
    # The last, smaller batch is dropped only where it would be a single image, which batch
    # normalisation cannot train on.
    own = count // world
    lonely = own > 1 and own % config.batch_size == 1
    sampler = EpochSampler(count, config.seed, shuffle=True, rank=rank, world=world, epoch=first_epoch)
    return _loader(items, sampler, config, workers, drop_last=lonely)


def validation_loader(
    data: TrainingData, config: TrainConfig, workers: int, processes: Processes = ALONE
) -> DataLoader[Any] | None:
    """Batches of the val split as they are, dealt out to processes; None where there is no such split."""
    count = len(data.val)
    if not count:
        return None
    # Where there are fewer photographs than processes each sees all, which leaves their mean as it is.
    rank, world = (processes.rank, processes.world) if count >= processes.world else (0, 1)
    images = SampleImages(data.dataset, data.val, config.image_size, None)
    sampler = EpochSampler(count, config.seed, shuffle=False, rank=rank, world=world)
    return _loader(images, sampler, config, workers, drop_last=False)


def _loader(
    images: TorchDataset[Any], sampler: Sampler[Any], config: TrainConfig, workers: int, *, drop_last: bool
) -> DataLoader[Any]:
    return DataLoader(
        images,
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=workers,
        worker_init_fn=reads_quietly,
        drop_last=drop_last,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def probe_photographs(data: TrainingData) -> Tensor:
    """A few training photographs spread over the classes, (N, 3, 224, 224) uint8, to try inputs with."""
    step = max(1, len(data.train) // PROBE_PHOTOGRAPHS)
    images = SampleImages(data.dataset, data.train[::step][:PROBE_PHOTOGRAPHS], PROBE_SIDE, None)
    return torch.stack([images[i][0] for i in range(len(images))])
