"""The contract of a metric: per-image values are summed while images stream by, numbers are made at the end.

A metric states the shapes of its sums, gives the values of a batch, and turns sums into entries; everything
else (bootstrap weights, states, merging across processes) is done here once. All sums have a leading axis
1 + R: the sample itself, then the R replicates of the bootstrap.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torchmetrics import Metric

from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.metrics.bootstrap import REPLICATES, poisson_weights, weighted_sums
from rfga.metrics.entries import Entries
from rfga.metrics.thresholds import ThresholdSources, ThresholdTable
from rfga.types import FloatArray, IntArray, Truth, UserError

T = TypeVar("T")

Sums = dict[str, FloatArray]
Values = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What is known of N images: checked, and as numpy arrays."""

    image_ids: Sequence[str]
    score_maps: FloatArray  # (N, 224, 224) float64 in [0, 1]
    truths: Sequence[Truth | None]  # N; boxes or mask, None where nothing is known
    labels: IntArray | None  # (N,) true classes
    logits: FloatArray | None  # (N, K)
    found: Values = field(default_factory=dict)  # what one metric worked out and another needs too

    def __len__(self) -> int:
        """The number N of images."""
        return len(self.image_ids)

    def each(self, indices: Sequence[int], work: Callable[[int], T]) -> list[T]:
        """``work`` on some images of the batch, in threads, in the order of ``indices``."""
        with ThreadPoolExecutor(max_workers=max(1, min(len(indices), os.cpu_count() or 1, 8))) as pool:
            return list(pool.map(work, indices))


def as_array(values: ArrayLike | torch.Tensor) -> NDArray[Any]:
    """A tensor of any device and type, or anything numpy takes, as a numpy array."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype is torch.bfloat16 else values
        return np.asarray(values.numpy())
    return np.asarray(values)


def make_batch(
    image_ids: Sequence[str],
    score_maps: ArrayLike | torch.Tensor,
    truths: Sequence[Truth | None],
    labels: ArrayLike | torch.Tensor | None = None,
    logits: ArrayLike | torch.Tensor | None = None,
) -> Batch:
    """A batch of N images, checked.

    Raises:
        UserError: lengths differ, maps are not 224x224 or leave [0, 1], or labels do not fit the logits.
    """
    maps = np.ascontiguousarray(as_array(score_maps), dtype=np.float64)
    if maps.ndim != 3 or maps.shape[1:] != EVAL_SIZE_HW:
        raise UserError(
            f"expected score maps of shape (N, 224, 224), found {maps.shape}: "
            "resize them with geometry.maps.score_maps"
        )
    if maps.size and not (maps.min() >= 0 and maps.max() <= 1):  # written so that NaN fails too
        raise UserError(
            f"expected score maps in [0, 1], found values from {maps.min():.4g} to {maps.max():.4g}: "
            "normalise them with geometry.maps.score_maps"
        )
    if not len(image_ids) == len(maps) == len(truths):
        raise UserError(
            f"expected as many ids as maps and truths, found {len(image_ids)}, {len(maps)} and "
            f"{len(truths)}: give one of each for every image"
        )
    classes = None if labels is None else as_array(labels).astype(np.int64)
    scores = None if logits is None else as_array(logits).astype(np.float64)
    if scores is not None:
        _check_logits(scores, classes, len(maps))
    return Batch(list(image_ids), maps, list(truths), classes, scores)


def _check_logits(logits: FloatArray, labels: IntArray | None, images: int) -> None:
    if logits.ndim != 2 or len(logits) != images or labels is None or labels.shape != (images,):
        shape = None if labels is None else labels.shape
        raise UserError(
            f"expected logits (N, K) with labels (N,) for {images} images, found {logits.shape} and {shape}: "
            "give both, or leave the logits out"
        )
    if images and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
        raise UserError(
            f"expected labels from 0 to {logits.shape[1] - 1}, found {labels.min()} to {labels.max()}: "
            "count the classes as the model does"
        )


def _total(sums: torch.Tensor, group: Any = None) -> list[torch.Tensor]:
    """The sums of all processes as one; torchmetrics' own way is a list that grows with their number."""
    total = sums.clone()
    torch.distributed.all_reduce(total, group=group)
    return [total]


class StreamedMetric(Metric):
    """Base of all metrics; ``compute`` gives ``{"images": n, "metrics": {NAME: [entry, ...]}}``.

    Args:
        step: distance of the thresholds that the oracle chooses from.
        num_classes: of the logits; 0 where no logits are given.
        normalisation: how the maps were normalised, for the labels of the entries only.
        thresholds: further sources of thresholds, name -> one threshold, or rule -> IoU -> threshold.
        replicates: of the bootstrap.

    Raises:
        UserError: the step or a threshold is out of range.
    """

    full_state_update = False

    def __init__(
        self,
        *,
        step: float = 0.001,
        num_classes: int = 0,
        normalisation: str = "minmax",
        thresholds: ThresholdSources | None = None,
        replicates: int = REPLICATES,
    ) -> None:
        super().__init__(dist_sync_fn=_total)
        self.settings: dict[str, Any] = {
            "step": step,
            "num_classes": num_classes,
            "normalisation": normalisation,
            "thresholds": dict(thresholds or {}),
        }
        self.num_classes = num_classes
        self.normalisation = normalisation
        self.table = ThresholdTable(step, thresholds or {})
        self.replicates = replicates
        for name, shape in {"images": (), **self.shapes()}.items():
            # float64 holds whole numbers exactly up to 9e15, more pixels than any data set has.
            zeros = torch.zeros((1 + replicates, *shape), dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of each per-image value."""

    @abstractmethod
    def values(self, batch: Batch) -> Values:
        """The per-image values of a batch: for each name (N, *shape), real or bool."""

    @abstractmethod
    def entries(self, sums: Sums) -> Entries:
        """The entries of each metric's name, from sums (1 + R, *shape); none where nothing was seen."""

    def lines(self, sums: Sums) -> dict[str, Any]:
        """Curves to draw, from the same sums; none by default."""
        return {}

    def update(
        self,
        image_ids: Sequence[str],
        score_maps: ArrayLike | torch.Tensor,
        truths: Sequence[Truth | None],
        labels: ArrayLike | torch.Tensor | None = None,
        logits: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Adds a batch of N images.

        Args:
            image_ids: N ids; the bootstrap draws each image's weights from its id.
            score_maps: (N, 224, 224) in [0, 1], numpy or tensor.
            truths: N; boxes and masks each enter their own metrics, None enters classification alone.
            labels: (N,) true classes; needed with logits only.
            logits: (N, K), or None where no classifier is scored.

        Raises:
            UserError: something does not fit; the sentence says what.
        """
        batch = make_batch(image_ids, score_maps, truths, labels, logits)
        if not len(batch):
            return
        weights = poisson_weights(batch.image_ids, self.replicates)
        values: Values = {"images": np.ones(len(batch)), **self.values(batch)}
        for name, array in values.items():
            if not array.any():  # a metric whose truth these images do not carry
                continue
            state: torch.Tensor = getattr(self, name)
            state += torch.from_numpy(weighted_sums(weights, array)).to(state.device)

    def sums(self) -> Sums:
        """All sums (1 + R, ...) as numpy arrays."""
        return {name: as_array(getattr(self, name)) for name in ("images", *self.shapes())}

    def compute(self) -> dict[str, Any]:
        """The number of images and the entries of every metric that the seen truths allow."""
        sums = self.sums()
        return {"images": int(sums["images"][0]), "metrics": self.entries(sums)}

    def curves(self) -> dict[str, Any]:
        """Curves over all images, as lists for a plot; only what the seen truths allow."""
        with self.sync_context():
            return self.lines(self.sums())
