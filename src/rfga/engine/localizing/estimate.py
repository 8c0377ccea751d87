"""Photographs that a threshold is estimated from: at the end of training, or where a run has none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rfga.data.base import Dataset
from rfga.data.images import read_image
from rfga.data.samples import few_of_each
from rfga.data.transforms import eval_transform
from rfga.data.unreadable import UnreadableError
from rfga.engine.localizing.inputs import Photograph
from rfga.engine.localizing.journal import FILE_NAME
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.stream import wanted_classes
from rfga.engine.run.config import ESTIMATED, OWN_MAPS
from rfga.engine.run.folder import RunFolder
from rfga.engine.runtime.devices import pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Meter
from rfga.engine.runtime.reading import reading_explained, reads_quietly
from rfga.engine.thresholds.estimators import estimates
from rfga.engine.thresholds.threshold import (
    LABEL_FREE,
    LABEL_FREE_KEY,
    POSTHOC_KEY,
    label_free_estimate,
    measured_of,
)
from rfga.types import FloatArray, Sample, UserError

MOST_PHOTOGRAPHS = 200
LEAST_PHOTOGRAPHS = 20  # of those to localize: from fewer, a box would depend on the company it is in
_BATCH = 32  # always the same, so that no flag changes the estimate

_Item = tuple[Callable[[], Image.Image], int | None]


def spread(samples: Sequence[Sample], count: int = MOST_PHOTOGRAPHS) -> list[Sample]:
    """At most ``count`` of ``samples``, always the same ones, as evenly over the classes as they are there.

    Example:
        >>> listed = [Sample(f"{c}/{i}.jpg", Path(f"{c}/{i}.jpg"), c) for c in (0, 1) for i in range(9)]
        >>> [sample.label for sample in spread(listed, 4)]
        [0, 0, 1, 1]
    """
    classes = len({sample.label for sample in samples})
    few = few_of_each(samples, -(-count // classes)) if classes else samples
    return [few[index] for index in _evenly(len(few), count)]


def record_training_estimate(
    run: RunFolder, localizer: Localizer, dataset: Dataset, samples: Sequence[Sample], runtime: Runtime
) -> None:
    """Keep in metrics.json what training photographs say of the threshold, for every normalisation.

    Args:
        run: a run whose training has just ended.
        localizer: its model.
        dataset: that it was trained on.
        samples: those it was trained on; up to 200 of them are looked at, as in an evaluation.
        runtime: workers and output.
    """
    items = _of_dataset(dataset, spread(samples))
    # All of them could be read until now: to pass over one would end in numbers that nobody can repeat.
    _record(run, localizer.maps, _estimated(localizer, items, runtime, skip_unreadable=False))


def ensure_estimate(
    run: RunFolder, localizer: Localizer, dataset: Dataset, split: str, runtime: Runtime
) -> None:
    """See to it that an evaluation has a label-free threshold: of an old run, or of another kind of maps.

    The photographs are those of the data set's train split; without one, those of the split that is
    evaluated, without their boxes. Photographs that cannot be read are passed over.
    """
    metrics = run.read_metrics()
    if label_free_estimate(metrics, localizer.config.normalisation, localizer.maps) is not None:
        return
    samples = dataset.samples("train") or dataset.samples(split)
    _record(run, localizer.maps, _estimated(localizer, _of_dataset(dataset, spread(samples)), runtime))


def estimated_for(
    localizer: Localizer,
    photographs: Sequence[Photograph],
    labels: Sequence[int | None],
    runtime: Runtime,
    earlier: Path | None = None,
) -> Localizer:
    """A localizer with a threshold estimated from the photographs to localize; unchanged if they are too few.

    Args:
        localizer: of a run that knows no threshold for these maps.
        photographs: to localize; up to 200 of them are looked at, evenly spread.
        labels: the class of each to box; None for the most probable one.
        runtime: workers and output.
        earlier: output folder of a stopped run that is gone on with; its threshold holds, whatever
            photographs have come since.
    """
    kept = None if earlier is None else _kept_threshold(earlier, localizer)
    if kept is not None:
        return localizer.with_threshold(kept, LABEL_FREE)
    if len(photographs) < LEAST_PHOTOGRAPHS:
        return localizer
    places = _evenly(len(photographs), MOST_PHOTOGRAPHS)
    items: list[_Item] = [(partial(read_image, photographs[i].path), labels[i]) for i in places]
    how = localizer.config.normalisation
    found = _estimated(localizer, items, runtime, [how]).get(how)
    return localizer if found is None else localizer.with_threshold(found["threshold"], LABEL_FREE)


def _of_dataset(dataset: Dataset, samples: Sequence[Sample]) -> list[_Item]:
    return [(partial(dataset.image, sample), sample.label) for sample in samples]


def _estimated(
    localizer: Localizer,
    items: Sequence[_Item],
    runtime: Runtime,
    normalisations: Sequence[str] = ESTIMATED,
    *,
    skip_unreadable: bool = True,
) -> dict[str, Any]:
    raw = _raw_maps(localizer, _Squares(items, localizer.config.image_size, skip_unreadable), runtime)
    return estimates(raw, normalisations) if len(raw) else {}


def _record(run: RunFolder, maps: str, found: dict[str, Any]) -> None:
    """Beside what is known of these maps; the method's own stand at the top of metrics.json."""
    if not found:
        return
    metrics = run.read_metrics()
    held = measured_of(metrics, maps)
    entries: dict[str, Any] = {LABEL_FREE_KEY: {**held.get(LABEL_FREE_KEY, {}), **found}}
    if maps != OWN_MAPS:
        entries = {POSTHOC_KEY: {**metrics.get(POSTHOC_KEY, {}), maps: {**held, **entries}}}
    run.update_metrics(**entries)


def _kept_threshold(folder: Path, localizer: Localizer) -> float | None:
    """What a stopped run estimated for the same maps, as its journal says."""
    try:
        with (folder / FILE_NAME).open(encoding="utf-8") as lines:
            held = json.loads(lines.readline())["settings"]
        same = (held["model"], held["maps_from"], held["normalisation"], held["threshold_source"])
        value = float(held["threshold"])
    except (OSError, ValueError, TypeError, KeyError):
        return None  # the journal itself tells what is wrong with it
    own = (localizer.fingerprint, localizer.maps, localizer.config.normalisation, LABEL_FREE)
    return value if same == own else None


class _Squares(TorchDataset[Any]):
    """What the network sees of photographs, with the class to map; None for one that cannot be read."""

    def __init__(self, items: Sequence[_Item], image_size: int, skip_unreadable: bool) -> None:
        self.items, self.image_size, self.skip_unreadable = items, image_size, skip_unreadable

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int | None] | None:
        read, label = self.items[index]
        try:
            return eval_transform(read(), self.image_size), label
        except UserError as error:
            if isinstance(error, UnreadableError) and not self.skip_unreadable:
                raise
            return None


@reading_explained()
def _raw_maps(localizer: Localizer, items: _Squares, runtime: Runtime) -> FloatArray:
    """Maps (n, h, w) of the photographs that can be read, as the method gives them."""
    loader = DataLoader(
        items,
        batch_size=_BATCH,
        num_workers=pick_workers(runtime, localizer.device) if len(items) > _BATCH else 0,
        worker_init_fn=reads_quietly,
        collate_fn=_as_list,
    )
    found: list[FloatArray] = []
    with Meter("estimating a threshold without boxes", len(items), quiet=runtime.quiet) as meter:
        for batch in loader:
            read = [item for item in batch if item is not None]
            if read:
                pixels = torch.stack([square for square, _ in read])
                labels = wanted_classes([label for _, label in read])
                found.append(localizer.score(pixels, labels).raw_maps)
            meter.advance(len(batch))
    return np.concatenate(found) if found else np.zeros((0, 1, 1))


def _as_list(items: list[Any]) -> list[Any]:
    return items


def _evenly(length: int, count: int) -> list[int]:
    """At most ``count`` places below ``length``, evenly spread."""
    if length <= count:
        return list(range(length))
    return [index * length // count for index in range(count)]
