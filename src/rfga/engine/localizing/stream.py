"""Photographs to boxes as a stream: some are read and some written while others are in the network.

Several threads ("lanes") each take a batch from its files to its boxes. Decoders, PyTorch and the kernels
give Python's lock away, so on a CPU as many networks run side by side as PyTorch would use threads for one
of them; none has to wait for another at the end of every operation. What is waiting is bounded, so memory is
too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Semaphore
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rfga.data.spelling import class_key
from rfga.data.truth.given import Given
from rfga.engine.localizing.inputs import Photograph
from rfga.engine.localizing.journal import Journal
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.reading import Paths, ReadBatch, read_batch, recalled
from rfga.engine.run.config import OWN_MAPS
from rfga.engine.runtime.devices import batch_on, pick_workers, threads
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Meter
from rfga.engine.runtime.reading import reading_explained, reads_quietly
from rfga.files import StorageError
from rfga.types import Prediction, UserError

MAX_NETWORKS = 4
"""So many batches are in the network at once at most; further cores work together on each of them."""


@dataclass(frozen=True, slots=True)
class Todo:
    """A photograph with the class to box, and whether an earlier run did it."""

    photograph: Photograph
    label: int | None  # None: the most probable class
    done: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a photograph: a prediction, whose map was let go, or the reason why there is none."""

    image_id: str
    prediction: Prediction | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Stream:
    """What all batches share.

    Args:
        localizer: the trained model.
        write: writes what belongs to a prediction of a file; a ``UserError`` makes it a failure, but a
            ``StorageError`` ends the stream.
        batch_size: photographs at a time.
        max_boxes: boxes per photograph at most.
        witness: a second opinion on each prediction, of the photograph in that file.
    """

    localizer: Localizer
    write: Callable[[Prediction, Path], None]
    batch_size: int
    max_boxes: int
    witness: Callable[[Prediction, Path, int], Prediction] | None = None

    def follow(self, todo: Sequence[Todo], journal: Journal, runtime: Runtime) -> None:
        """Enter into the journal what becomes of the photographs, in their order.

        Raises:
            UserError: a process that reads photographs died.
        """
        waiting = sum(not item.done for item in todo)
        with (
            Meter("localizing", waiting, quiet=runtime.quiet) as meter,
            reading_explained(),
            closing(self.run(todo, runtime)) as batches,
        ):
            for outcomes in batches:
                for outcome in outcomes:
                    if outcome.prediction is None:
                        journal.failed(outcome.image_id, outcome.reason)
                    else:
                        journal.add(outcome.prediction)
                meter.advance(len(outcomes) * runtime.processes.world)

    def run(self, todo: Sequence[Todo], runtime: Runtime) -> Generator[list[Outcome], None, None]:
        """What becomes of every photograph that is not done, batch after batch in the order of ``todo``.

        Of several processes, each does every so many-th batch.

        A photograph keeps its place in its batch even where its neighbours are done or cannot be read:
        convolutions round differently at other batch sizes, and a run that goes on must end the same.
        """
        size = batch_on(self.localizer.device, self.batch_size)
        batches = [todo[start : start + size] for start in range(0, len(todo), size)]
        batches = [batch for batch in batches if not all(item.done for item in batch)]
        batches = list(runtime.processes.share(batches))
        networks = networks_at_once(self.localizer)
        each = max(1, torch.get_num_threads() // networks)
        turns = Semaphore(networks)
        with threads(each), _lanes(max(2, networks), each) as lanes:
            waiting: deque[Future[list[Outcome]]] = deque()
            for batch, read in zip(batches, self._reads(batches, runtime), strict=True):
                waiting.append(lanes.submit(self._batch, batch, read, turns))
                while len(waiting) > networks + 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _reads(self, batches: Sequence[Sequence[Todo]], runtime: Runtime) -> Iterable[ReadBatch | None]:
        """Every batch as processes of their own read it; or None, and the lanes read for themselves."""
        workers = pick_workers(runtime, self.localizer.device)
        if runtime.workers < 0 and self.localizer.device.type == "cpu":
            workers = 0  # beside the networks there is no core left, and lanes need no copies
        if not workers or len(batches) < 2:  # a single batch is read before processes have started
            return [None] * len(batches)
        # The paths travel with the requests: a process that held them all would grow as it touches them.
        wanted = [_paths(batch) for batch in batches]
        shelf = self.localizer.shelf
        known = [shelf is not None and shelf.knows(_whole(batch)) for batch in batches]
        unknown = [paths for paths, is_known in zip(wanted, known, strict=True) if not is_known]
        reader = _Reader(self.localizer.config.image_size)
        read = iter(
            DataLoader(
                reader,
                batch_size=None,
                sampler=unknown,
                num_workers=workers,
                worker_init_fn=reads_quietly,
                collate_fn=_same,
            )
        )
        return (None if is_known else next(read) for is_known in known)

    def _batch(self, batch: Sequence[Todo], read: ReadBatch | None, turns: Semaphore) -> list[Outcome]:
        """A lane's work on one batch."""
        shelf, paths = self.localizer.shelf, _paths(batch)
        held = None if shelf is None else shelf.find(_whole(batch))
        read = read or recalled(held, paths) or read_batch(paths, self.localizer.config.image_size)
        good = [row for row, size_hw in enumerate(read.sizes_hw) if size_hw is not None]
        if held and held.pixels is None and len(good) < len(batch):
            held = None  # what stands in a gap is no photograph
        found = {
            row: Outcome(item.photograph.image_id, None, read.reasons[row])
            for row, item in enumerate(batch)
            if not item.done
        }
        if good:
            labels = wanted_classes([item.label for item in batch])
            with turns:
                scored = self.localizer.score(read.pixels, labels, held)
            predictions = self.localizer.predictions(
                scored.rows(good),
                [batch[row].photograph.image_id for row in good],
                [size_hw for size_hw in read.sizes_hw if size_hw is not None],
                self.max_boxes,
            )
            for row, prediction in zip(good, predictions, strict=True):
                photograph = batch[row].photograph
                known = by_person(prediction, photograph.given, self.localizer.classes)
                found[row] = self._written(known, photograph.path)
        return list(found.values())

    def _written(self, prediction: Prediction, path: Path) -> Outcome:
        try:
            if self.witness is not None and not prediction.reviewed:  # no witness against a person
                prediction = self.witness(prediction, path, self.max_boxes)
            self.write(prediction, path)
        except StorageError:
            raise  # it would be told of every photograph that follows
        except UserError as error:
            return Outcome(prediction.image_id, None, str(error))
        return Outcome(prediction.image_id, replace(prediction, score_map=None))


def by_person(prediction: Prediction, given: Given | None, classes: Sequence[str]) -> Prediction:
    """A prediction with the boxes that a person gave in place of those that were found, if there are any.

    Example:
        >>> import numpy as np
        >>> score = np.array([0.5])
        >>> found = Prediction("a.jpg", (60, 80), 0, 0.9, np.ones((1, 4)), score, None, 0.5, ("odd",))
        >>> known = by_person(found, Given(np.array([[1.0, 2.0, 30.0, 40.0]]), ("dog",)), ["cat", "dog"])
        >>> known.boxes.tolist(), known.scores.tolist(), known.labels, known.reviewed, known.warnings
        ([[1.0, 2.0, 30.0, 40.0]], [1.0], (1,), True, ())
    """
    if given is None:
        return prediction
    index = {class_key(name): label for label, name in enumerate(classes)}
    own = [index.get(class_key(name), prediction.label) for name in given.classes]
    return replace(
        prediction,
        boxes=given.boxes,
        scores=np.ones(len(given.boxes)),
        warnings=(),
        box_labels=tuple(own) if own else None,
        reviewed=True,
    )


def wanted_classes(labels: Sequence[int | None]) -> Tensor | None:
    """Classes as ``Localizer.score`` takes them: None where the most probable one of every photograph counts.

    Example:
        >>> wanted_classes([2, None]), wanted_classes([None, None])
        (tensor([ 2, -1]), None)
    """
    if all(label is None for label in labels):
        return None
    return torch.tensor([-1 if label is None else label for label in labels])


def networks_at_once(localizer: Localizer) -> int:
    """How many batches may be in the network at the same time.

    On a CPU, as many as PyTorch would use threads. A GPU is filled by one batch. Post-hoc maps switch
    gradients on and off for the whole network, so two of them would disturb each other.
    """
    if localizer.device.type != "cpu" or localizer.maps != OWN_MAPS:
        return 1
    return min(MAX_NETWORKS, torch.get_num_threads())


class _Reader(TorchDataset[ReadBatch]):
    """Reads the batch of paths that it is asked for."""

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size

    def __getitem__(self, paths: Paths) -> ReadBatch:
        return read_batch(paths, self.image_size)


def _same(batch: Any) -> Any:
    return batch


def _paths(batch: Sequence[Todo]) -> list[Path | None]:
    return [None if item.done else item.photograph.path for item in batch]


def _whole(batch: Sequence[Todo]) -> list[Path]:
    return [item.photograph.path for item in batch]


@contextmanager
def _lanes(count: int, threads_each: int) -> Iterator[ThreadPoolExecutor]:
    """Threads whose work is dropped, as far as it has not begun, when the block is left."""
    pool = ThreadPoolExecutor(count, "lane", torch.set_num_threads, (threads_each,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
