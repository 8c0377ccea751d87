"""Learning by passes over the collection: sums of all photographs, from which a method is solved."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby, zip_longest
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from rfga.data.samples import few_of_each
from rfga.data.transforms import SampleImages
from rfga.engine.learning.corrections import learn_from_corrections
from rfga.engine.learning.data import TrainingData, stamps_of
from rfga.engine.learning.sums_file import SumsFile
from rfga.engine.localizing.confidence import CONFIDENCE_KEY, run_confidence
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import normalised
from rfga.engine.run.shelf import FEATURES, TEMPORARY_GB, Held, Shelf
from rfga.engine.runtime.devices import batch_on, pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Meter, announcer
from rfga.engine.runtime.reading import reading_explained, reads_quietly
from rfga.engine.thresholds.scale import FRACTIONS, SHRINKS, level_at, seen_twice, shrinking, steadiest
from rfga.methods.base import Batch, Method, Pass, Sums
from rfga.methods.foreground import Foreground
from rfga.types import FloatArray, Sample

ENLARGED = 2.0
"""Times the image size: what a collection of small objects takes instead."""
SAMPLE = 64  # photographs that the choice looks at
SAVING_SHARE = 0.1  # of the time that may go into saving sums, where they are large


@dataclass(frozen=True)
class Look:
    """One look at some photographs, for some passes at once."""

    name: str  # of what a person sees
    passes: Sequence[Pass]
    samples: Sequence[Sample]
    image_size: int
    file: SumsFile | None = None  # where the sums are kept, so that a killed look goes on
    shelf: Shelf | None = None  # where what the network gives is kept for the next look

    def found(self, positions: Sequence[int]) -> Held | None:
        """What is known of a batch."""
        return None if self.shelf is None else self.shelf.find(self._paths(positions))

    def knows(self, positions: Sequence[int]) -> bool:
        """Whether the network need not see a batch."""
        return self.shelf is not None and self.shelf.knows(self._paths(positions))

    def _paths(self, positions: Sequence[int]) -> list[Path]:
        return [self.samples[place].path for place in positions]


def learn_by_passes(
    method: Method, data: TrainingData, config: TrainConfig, run: RunFolder, runtime: Runtime
) -> TrainConfig:
    """Solve what a method learns by passes, if it does so, and keep what it found in the run's metrics.

    Args:
        method: learns in place.
        data: the photographs.
        config: batch size, and the image size that is chosen or kept.
        run: gets the sums, so that a killed run goes on.
        runtime: device, workers, processes.

    Returns:
        The settings, with the image size that the collection chose.

    Raises:
        UserError: a photograph that could be read can be read no more.
    """
    if not method.passes():
        return config
    settled = Passes(method, data, config, run, runtime).learn()
    learned = method.learned()
    if data.corrections and isinstance(method, Foreground):
        learned |= _correct(method, data, settled, run, runtime)
        if not method.in_doubt:  # that was about seeds; now boxes tell how many are right
            learned.pop("doubt", None)
    runtime.processes.agree(lambda: run.update_metrics(learned=learned))
    return settled


def _correct(
    method: Foreground, data: TrainingData, config: TrainConfig, run: RunFolder, runtime: Runtime
) -> dict[str, Any]:
    """Learn from a person's boxes: what is known of it, for the run's metrics."""
    how = config.normalisation
    plain = run_confidence({}, how)
    shelf = Shelf(run.path / FEATURES, method.backbone, config.image_size, runtime.features_gb)
    found = learn_from_corrections(method, data.dataset, data.corrections, config.image_size, plain, shelf)
    announcer(runtime.quiet)(
        f"learned from {found.photographs} corrected photographs; of {found.judged} left out one at a time, "
        f"{found.right} have a right box (IoU 0.5)"
    )
    confidence = {CONFIDENCE_KEY: {how: found.confidence.to_dict()}}
    runtime.processes.agree(lambda: run.update_metrics(**confidence))
    return {"level": found.setting.level, "corrections": found.as_json()}


class Passes:
    """The looks at the photographs that a method learns by; for the arguments see ``learn_by_passes``."""

    def __init__(
        self, method: Method, data: TrainingData, config: TrainConfig, run: RunFolder, runtime: Runtime
    ) -> None:
        self.device = pick_device(runtime.device)
        self.method = method.eval().to(self.device).to(memory_format=torch.channels_last)
        self.data, self.config, self.run, self.runtime = data, config, run, runtime
        self.samples = [*data.train, *data.background] if data.background else data.train
        self.stamps = stamps_of(self.samples)
        self.several = data.dataset.several_classes("train")

    @reading_explained()
    @torch.no_grad()
    def learn(self) -> TrainConfig:
        """Look at the collection until all is solved; see ``learn_by_passes``."""
        try:
            while not self._all_looks(self._shelf()):
                pass
            self._settle_level()
        finally:
            if not self.runtime.features_gb:
                rmtree(self.run.path / FEATURES, ignore_errors=True)
        return self.config

    def _shelf(self) -> Shelf:
        limit_gb = (self.runtime.features_gb or TEMPORARY_GB) / self.runtime.processes.world
        return Shelf(self.run.path / FEATURES, self.method.backbone, self.config.image_size, limit_gb)

    def _all_looks(self, shelf: Shelf) -> bool:
        """False where the collection has chosen another size on the way: it is looked at anew."""
        looks = list(self.method.passes())
        for index, passes in enumerate(looks):
            judged = any(one.judges_size for one in passes)
            if judged and self.config.choose_size:
                chosen, before = self._choose_size(passes), self.config.image_size
                self._settle(chosen)
                if chosen != before:
                    return False
            self._look(index, passes, shelf if len(looks) > 1 else None)
        return True

    def _beside(self, name: str) -> Path:
        return self.run.checkpoint.parent / name

    def _settle(self, image_size: int) -> None:
        """From now on no other size is looked at, nor is the choice made again after a kill."""
        self.config = replace(self.config, image_size=image_size, choose_size=False)
        self.runtime.processes.agree(lambda: self.run.settle(self.config))

    def _look(self, index: int, passes: Sequence[Pass], shelf: Shelf | None) -> None:
        config, processes = self.config, self.runtime.processes
        name = f"look-{index}-{config.image_size}-{processes.rank}.safetensors"
        file = SumsFile(self._beside(name), self.stamps)
        name = f"look {index + 1} of {len(self.method.passes())}"
        self._solve(Look(name, passes, self.samples, config.image_size, file, shelf))

    def _choose_size(self, passes: Sequence[Pass]) -> int:
        """The input's side: twice the plain one where boxes shrink when photographs are seen larger."""
        base = self.config.image_size
        self._solve(Look(f"trying inputs of {base} pixels", passes, self._few(), base))
        times = shrinking(*(part[:, 0] for part in self._seen_twice(FRACTIONS[:1])))
        chosen = base if times < SHRINKS else self.method.backbone.layout.fitting(ENLARGED * base)
        announcer(self.runtime.quiet)(
            f"boxes are {times:.2f} times as long as when photographs are seen larger "
            f"(sound: < {SHRINKS}); inputs of {chosen} pixels"
        )
        self._tell_shrinking({str(base): times})
        return chosen

    def _tell_shrinking(self, times: Mapping[str, float]) -> None:
        """How much boxes shrink when seen larger, by the input's side, for those who read the run."""
        self.runtime.processes.agree(lambda: self.run.update_metrics(shrinking=dict(times)))

    def _few(self) -> Sequence[Sample]:
        shown = [sample for sample in self.samples if sample.label >= 0]
        return few_of_each(shown, -(-SAMPLE // len(self.data.dataset.classes)))

    def _seen_twice(self, fractions: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """The first process's boxes, in all: others may round otherwise."""
        asked = (self.method, self.data.dataset, self._few(), self.config.image_size, fractions)
        return self.runtime.processes.agree(lambda: seen_twice(*asked))

    def _settle_level(self) -> None:
        """Where the objects are small, cut maps where boxes do not depend on the input's size."""
        times, size = self.run.read_metrics().get("shrinking", {}), self.config.image_size
        if max(times.values(), default=1.0) < SHRINKS or not isinstance(self.method, Foreground):
            return
        plain, larger = self._seen_twice(FRACTIONS)
        best = steadiest(plain, larger)
        self.method.levels.copy_(level_at(FRACTIONS[best], self.method.levels))
        self._tell_shrinking({**times, str(size): shrinking(plain[:, best], larger[:, best])})

    def _solve(self, look: Look) -> None:
        """Gather the sums of all processes and solve."""
        sums = [one.zeros() for one in look.passes]
        self._gather(look, sums)
        for one, own in zip(look.passes, sums, strict=True):
            one.solve({name: self.runtime.processes.total(part) for name, part in own.items()})

    def _gather(self, look: Look, sums: Sequence[Sums]) -> None:
        """Add what this process's photographs give, from where a killed look stopped."""
        processes = self.runtime.processes
        own = range(processes.rank, len(look.samples), processes.world)
        keyed = {
            f"{one.name}.{name}": part
            for one, s in zip(look.passes, sums, strict=True)
            for name, part in s.items()
        }
        done = look.file.load(keyed) if look.file else 0
        saver = _Saver(look.file)
        with Meter(look.name, len(look.samples), quiet=self.runtime.quiet) as meter:
            meter.advance(done * processes.world)
            for held, pixels, positions in self._pixels(look, own[done:]):
                batch, backbone = self._batch(look, pixels, positions), self.method.backbone
                with held.remembering(backbone, pixels, batch.images) if held else backbone.remembering():
                    for one, part in zip(look.passes, sums, strict=True):
                        one.add(part, batch)
                done += len(positions)
                saver.save(keyed, done, last=done == len(own))
                meter.advance(len(positions) * processes.world)

    def _pixels(
        self, look: Look, positions: Sequence[int]
    ) -> Iterator[tuple[Held | None, Tensor, Sequence[int]]]:
        """Batches of squares and where they are in ``look.samples``; what is known need not be read."""
        size = batch_on(self.device, self.config.batch_size)
        images = SampleImages(self.data.dataset, look.samples, look.image_size, None)
        batches = [positions[first : first + size] for first in range(0, len(positions), size)]
        for known, part in groupby(batches, look.knows):
            together = [list(places) for places in part]
            unknown = [] if known else together
            workers = self._workers(size * len(unknown))
            read = DataLoader(
                images, batch_sampler=unknown, num_workers=workers, worker_init_fn=reads_quietly
            )
            for places, item in zip_longest(together, read):
                held = look.found(places)
                pixels = item[0] if item else held.pixels if held else None
                if pixels is None:  # damaged
                    pixels = torch.stack([images[place][0] for place in places])
                yield held, pixels, places

    def _workers(self, waiting: int) -> int:
        """None where they would take longer to start than to read."""
        return pick_workers(self.runtime, self.device) if waiting > self.config.batch_size else 0

    def _batch(self, look: Look, pixels: Tensor, positions: Sequence[int]) -> Batch:
        samples = [look.samples[place] for place in positions]
        labels = torch.tensor([sample.label for sample in samples])
        folds = torch.tensor([fold_of(sample.image_id) for sample in samples])
        images = normalised(pixels.to(self.device, non_blocking=True), self.method.backbone)
        several = {
            row: self.several[sample.path]
            for row, sample in enumerate(samples)
            if sample.path in self.several
        }
        return Batch(images, labels.to(self.device), folds.to(self.device), several)


class _Saver:
    """Saves sums after every batch, or, where that takes long, so seldom that it is a tenth of the time."""

    def __init__(self, file: SumsFile | None) -> None:
        self.file, self.took, self.ended = file, 0.0, time.monotonic()

    def save(self, sums: Sums, done: int, *, last: bool) -> None:
        began = time.monotonic()
        if self.file is None or not (last or (began - self.ended) * SAVING_SHARE >= self.took):
            return
        self.file.save(sums, done)
        self.ended = time.monotonic()
        self.took = self.ended - began


def fold_of(image_id: str) -> int:
    """A number from 0 to 255 that depends on the photograph's name alone.

    Example:
        >>> fold_of("tench/a.jpg") == fold_of("tench/a.jpg") != fold_of("tench/b.jpg")
        True
    """
    return blake2b(image_id.encode("utf-8", "surrogateescape"), digest_size=1).digest()[0]
