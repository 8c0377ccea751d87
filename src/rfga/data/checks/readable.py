"""Which photographs can be read, and whether what remains is enough to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from os import cpu_count
from typing import TypeVar

import numpy as np

from rfga.data.base import Dataset
from rfga.data.samples import labels_of, without
from rfga.types import Sample, UserError

MAX_UNREADABLE_FRACTION = 0.1
"""With more unreadable photographs than this, something is wrong with the whole folder."""

Skipped = list[tuple[Sample, str]]
Seen = TypeVar("Seen")
Progress = Callable[[int, int], None]  # photographs done, photographs in total

_BATCH = 2048  # photographs handed to the threads at once, so that a million do not queue up
_TOGETHER = 8  # of them that one thread looks at before it is given more


def _failed(
    samples: Sequence[Sample],
    read: Callable[[Sample], object],
    workers: int | None,
    progress: Progress | None,
) -> list[tuple[int, str]]:
    """The places of the photographs that fail, and why."""

    def reason(sample: Sample) -> str | None:
        try:
            read(sample)
        except UserError as error:
            return str(error)
        return None

    reasons = enumerate(look_at_each(samples, reason, workers, progress))
    return [(index, why) for index, why in reasons if why is not None]


def look_at_each(
    samples: Sequence[Sample],
    look: Callable[[Sample], Seen],
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Seen]:
    """What ``look`` returns for every photograph, in their order, by ``workers`` threads (or one a core).

    Threads run ahead by a fixed number of photographs, so what is not kept does not pile up.

    Example:
        >>> from pathlib import Path
        >>> pictures = [Sample(name, Path(name), 0) for name in ("a.jpg", "b.jpg")]
        >>> list(look_at_each(pictures, lambda sample: sample.path.suffix))
        ['.jpg', '.jpg']
    """

    def several(begin: int) -> list[Seen]:
        return [look(sample) for sample in samples[begin : begin + _TOGETHER]]

    with ThreadPoolExecutor(workers or cpu_count() or 1) as threads:
        for start in range(0, len(samples), _BATCH):
            found = threads.map(several, range(start, min(start + _BATCH, len(samples)), _TOGETHER))
            for index, seen in enumerate(chain.from_iterable(found), start):
                yield seen
                if progress is not None:
                    progress(index + 1, len(samples))


def readable_samples(
    dataset: Dataset, split: str, workers: int | None = None, progress: Progress | None = None
) -> tuple[Sequence[Sample], Skipped]:
    """The samples of ``split`` that can be read, and those that are skipped with the reason for each.

    A data set that vouches for its photographs (``needs_check`` is False) is taken as it is.

    Raises:
        UserError: more than a tenth is unreadable, or all photographs of a class are.
    """
    samples = dataset.samples(split)
    if not dataset.needs_check:
        return samples, []
    failed = _failed(samples, dataset.check, workers, progress)
    skipped = [(samples[index], why) for index, why in failed]
    if len(skipped) > MAX_UNREADABLE_FRACTION * len(samples):
        names = ", ".join(sample.image_id for sample, _ in skipped[:3])
        raise UserError(
            f"expected at most a tenth of the {split} photographs of {dataset.name!r} unreadable, found "
            f"{len(skipped)} of {len(samples)} ({names}{', ...' if len(skipped) > 3 else ''}; the first: "
            f"{skipped[0][1]}): replace or remove them"
        )
    kept = without(samples, [index for index, _ in failed])
    emptied = {sample.label for sample, _ in skipped} - set(np.unique(labels_of(kept)).tolist())
    if emptied:
        raise UserError(
            f"expected readable {split} photographs in every class, found none in "
            f"{', '.join(dataset.classes[label] for label in sorted(emptied))}: replace them"
        )
    return kept, skipped


def require_trainable(dataset: Dataset, least_classes: int = 2) -> None:
    """Raises unless there are so many classes, each with photographs to train on.

    Raises:
        UserError: no photographs, one class only, or classes without photographs.
    """
    samples = dataset.samples("train")
    why = f" ({'; '.join(dataset.notes)})" if dataset.notes else ""
    if not samples:
        raise UserError(
            f"expected photographs to train on, found none in {dataset.name!r}{why}: add train/CLASS/*"
        )
    if len(dataset.classes) < least_classes:
        raise UserError(
            f"expected at least two classes to train on, found only {dataset.classes[0]!r} in "
            f"{dataset.name!r}{why}: add a class folder, of photographs without the object if need be"
        )
    empty = sorted(set(range(len(dataset.classes))) - set(np.unique(labels_of(samples)).tolist()))
    if empty:
        raise UserError(
            f"expected photographs in every class folder, found none in "
            f"{', '.join(dataset.classes[label] for label in empty)}{why}: fill or remove it"
        )
