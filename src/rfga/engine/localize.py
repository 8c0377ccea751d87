"""Localizing many photographs: from files to boxes, pictures, maps and masks on disk, as a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rfga.data.images import read_image
from rfga.data.transforms import eval_transform
from rfga.engine.config import RunPolicy, Runtime
from rfga.engine.devices import pick_workers
from rfga.engine.inputs import Photograph, choose_labels
from rfga.engine.journal import Journal
from rfga.engine.localize_output import LocalizeOptions, prepare_output, write_files
from rfga.engine.localizer import Localizer
from rfga.engine.options import resolve
from rfga.engine.progress import Meter
from rfga.files import write_json
from rfga.output.export import FORMATS, PHOTOGRAPHS
from rfga.types import UserError


@dataclass(frozen=True)
class Summary:
    """What became of every photograph; the three counts add up to the inputs."""

    inputs: int
    done: int
    skipped: int  # done by an earlier run that this one went on with
    failed: dict[str, str]  # image id -> reason
    without_box: int  # of those done or skipped: nothing above the threshold


def localize(
    localizer: Localizer,
    photographs: Sequence[Photograph],
    out: Path,
    options: LocalizeOptions | None = None,
    *,
    runtime: Runtime | None = None,
    policy: RunPolicy | None = None,
) -> Summary:
    """Boxes for every photograph, written below ``out``; a bad file is recorded and never ends the run.

    Args:
        localizer: the trained model.
        photographs: from ``rfga.engine.inputs.find_photographs``.
        out: folder for everything that is written.
        options: formats, classes, pictures.
        runtime: device and workers.
        policy: skip what an earlier run did, or remove its output first.

    Raises:
        UserError: unknown format, no class where one is needed, or a folder that holds something already.
    """
    options, runtime, policy = options or LocalizeOptions(), runtime or Runtime(), policy or RunPolicy()
    writers = [resolve(FORMATS, name, "format") for name in options.formats]
    labels = choose_labels(photographs, options.labels, localizer.classes)
    prepare_output(out, policy)
    settings = _settings(localizer, options)
    with Journal(out, settings, resume=policy.resume) as journal:
        todo = [
            _Todo(photograph, label, photograph.image_id in journal.done)
            for photograph, label in zip(photographs, labels, strict=True)
        ]
        waiting = sum(not item.done for item in todo)
        _Work(localizer, journal, out, options).run(todo, runtime)
        ids = [photograph.image_id for photograph in photographs]
        for write in writers:
            write(journal.predictions(ids), localizer.classes, out)
        if options.photographs != "none":
            for name in PHOTOGRAPHS.keys() & set(options.formats):
                place = resolve(PHOTOGRAPHS, name, "format")
                done = ((p.image_id, p.path) for p in photographs if p.image_id in journal.done)
                place(done, out, options.photographs)
        summary = Summary(
            inputs=len(photographs),
            done=waiting - len(journal.failures),
            skipped=len(photographs) - waiting,
            failed=dict(journal.failures),
            without_box=sum(1 for prediction in journal.predictions(ids) if not len(prediction.boxes)),
        )
    write_json(out / "summary.json", {**asdict(summary), "settings": settings})
    return summary


@dataclass(frozen=True)
class _Todo:
    photograph: Photograph
    label: int | None  # the class to box; None: the most probable one
    done: bool  # by an earlier run


@dataclass(frozen=True)
class _Read:
    todo: _Todo
    pixels: Tensor | None  # (3, S, S) uint8; None where the file was done before or cannot be read
    size_hw: tuple[int, int]  # of the original photograph
    reason: str


class _Files(TorchDataset[_Read]):
    """Photographs as the network wants them; one that cannot be read comes with the reason."""

    def __init__(self, todo: Sequence[_Todo], image_size: int) -> None:
        self.todo, self.image_size = todo, image_size

    def __getitem__(self, index: int) -> _Read:
        todo = self.todo[index]
        if todo.done:
            return _Read(todo, None, (0, 0), "")
        try:
            image = read_image(todo.photograph.path)
        except UserError as error:
            return _Read(todo, None, (0, 0), str(error))
        return _Read(todo, eval_transform(image, self.image_size), (image.height, image.width), "")


def _as_list(items: list[_Read]) -> list[_Read]:
    return items


@dataclass(frozen=True, eq=False)
class _Work:
    """What all batches share."""

    localizer: Localizer
    journal: Journal
    out: Path
    options: LocalizeOptions

    def run(self, todo: Sequence[_Todo], runtime: Runtime) -> None:
        size, count = self.options.batch_size, len(todo)
        # A photograph keeps its place in its batch even where its neighbours are done or cannot be read:
        # convolutions round differently at other batch sizes, and a run that goes on must end the same.
        batches = [list(range(start, min(start + size, count))) for start in range(0, count, size)]
        batches = [batch for batch in batches if not all(todo[index].done for index in batch)]
        loader = DataLoader(
            _Files(todo, self.localizer.config.image_size),
            batch_sampler=batches,
            # A single batch is read before workers have started.
            num_workers=pick_workers(runtime, self.localizer.device) if len(batches) > 1 else 0,
            collate_fn=_as_list,
        )
        with Meter("localizing", sum(not item.done for item in todo), quiet=runtime.quiet) as meter:
            for batch in loader:
                self._batch(batch)
                meter.advance(sum(not item.todo.done for item in batch))

    def _batch(self, batch: list[_Read]) -> None:
        for item in batch:
            if item.pixels is None and not item.todo.done:
                self.journal.failed(item.todo.photograph.image_id, item.reason)
        good = [(row, item) for row, item in enumerate(batch) if item.pixels is not None]
        if not good:
            return
        side = self.localizer.config.image_size
        blank = torch.zeros(3, side, side, dtype=torch.uint8)
        pixels = torch.stack([blank if item.pixels is None else item.pixels for item in batch])
        labels = [item.todo.label for item in batch if item.todo.label is not None]
        # Either every photograph has its class or none has: choose_labels sees to it.
        scored = self.localizer.score(pixels, torch.tensor(labels) if labels else None)
        predictions = self.localizer.predictions(
            scored.rows([row for row, _ in good]),
            [item.todo.photograph.image_id for _, item in good],
            [item.size_hw for _, item in good],
            self.options.max_boxes,
        )
        for prediction, (_, item) in zip(predictions, good, strict=True):
            try:
                write_files(prediction, item.todo.photograph.path, self.out, self.options)
            except UserError as error:
                self.journal.failed(prediction.image_id, str(error))
            else:
                self.journal.add(prediction)


def _settings(localizer: Localizer, options: LocalizeOptions) -> dict[str, Any]:
    """What decides the output; it stands in summary.json, and a run that goes on must agree with it."""
    return {
        "method": localizer.config.method,
        "model": localizer.fingerprint,
        "maps_from": localizer.maps,
        "normalisation": localizer.config.normalisation,
        "threshold": localizer.threshold.value,
        "threshold_source": localizer.threshold.source,
        "labels": options.labels,
        "max_boxes": options.max_boxes,
        "pictures": options.pictures,
        "maps": options.maps,
        "masks": options.masks,
    }
