"""Raw score maps of a trained model on a split, kept, and scored in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from rfga.data.base import Dataset, known_truth
from rfga.engine.ablation.variants import COMMON_SCALE
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Meter
from rfga.engine.runtime.reading import reading_explained
from rfga.geometry.common_scale import CommonScale
from rfga.geometry.maps import score_maps
from rfga.metrics.localization import LocalizationMetrics
from rfga.metrics.replicates import replicate_values
from rfga.types import FloatArray, IntArray, Sample, Truth

SHOWN = ("MaxBoxAccV2", "PxAP", "GTKnownLoc", "Top1Cls")
"""Metrics whose replicates are kept for paired differences."""

_BATCH = 64


@dataclass(frozen=True, eq=False)
class RawMaps:
    """What a model says of N images whose truth is known, before any normalisation."""

    image_ids: list[str]
    truths: list[Truth | None]
    labels: IntArray  # (N,)
    logits: FloatArray  # (N, K)
    maps: FloatArray  # (N, h, w)


@reading_explained()
def raw_maps(
    localizer: Localizer,
    loader: DataLoader[Any],
    dataset: Dataset,
    samples: Sequence[Sample],
    runtime: Runtime,
) -> RawMaps:
    """The maps of the true classes, and logits; images without truth are left out where others have one.

    Args:
        localizer: the trained model.
        loader: gives (inputs, labels, positions in ``samples``).
        dataset: knows the truth.
        samples: of the split.
        runtime: whether progress is shown.
    """
    truths = [known_truth(dataset, sample) for sample in samples]
    some = any(truth is not None for truth in truths)
    kept: list[int] = []
    logits, maps = [], []
    with Meter("reading score maps", len(samples), quiet=runtime.quiet) as meter:
        for inputs, labels, positions in loader:
            scored = localizer.score(inputs, labels)
            rows = [row for row, at in enumerate(positions.tolist()) if truths[at] is not None or not some]
            kept += positions[rows].tolist()
            logits.append(scored.logits[rows])
            maps.append(scored.raw_maps[rows])
            meter.advance(len(labels))
    return RawMaps(
        image_ids=[samples[at].image_id for at in kept],
        truths=[truths[at] for at in kept],
        labels=np.array([samples[at].label for at in kept], dtype=np.int64),
        logits=np.concatenate(logits),
        maps=np.concatenate(maps),
    )


def score_raw(found: RawMaps, normalisation: str) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Every metric under one normalisation.

    Args:
        found: raw maps.
        normalisation: a name in ``NORMALISATIONS``, or ``COMMON_SCALE``.

    Returns:
        What ``LocalizationMetrics.compute`` gives; and name -> replicates (1 + R,) of ``SHOWN``.
    """
    scale = CommonScale.of(found.maps) if normalisation == COMMON_SCALE else None
    metrics = LocalizationMetrics(num_classes=found.logits.shape[1], normalisation=normalisation)
    for begin in range(0, len(found.image_ids), _BATCH):
        rows = slice(begin, begin + _BATCH)
        raw = found.maps[rows]
        maps = score_maps(raw, normalisation) if scale is None else scale.apply(raw)
        truths, labels = found.truths[rows], found.labels[rows]
        metrics.update(found.image_ids[rows], maps, truths, labels, found.logits[rows])
    replicates = replicate_values(metrics)
    return metrics.compute(), {name: replicates[name] for name in SHOWN if name in replicates}
