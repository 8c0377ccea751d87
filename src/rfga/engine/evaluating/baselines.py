"""Baselines that see no photograph: a Gaussian in the middle, and one box that covers everything.

A method that is not better than these has found nothing (Choe et al., CVPR 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rfga.data.base import Dataset, known_truth
from rfga.engine.learning.data import checked_samples
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Meter
from rfga.geometry.maps import EVAL_SIZE_HW, normalise
from rfga.metrics.localization import LocalizationMetrics
from rfga.types import FloatArray, UserError

SIGMA = 0.5
"""Of the Gaussian, as a fraction of the square's side; with the oracle's threshold it does not matter."""

_BATCH = 64


def centre_gaussian(normalisation: str = "minmax") -> FloatArray:
    """An isotropic Gaussian in the middle of the network's square, (224, 224) in [0, 1].

    Example:
        >>> score_map = centre_gaussian()
        >>> score_map.shape, float(score_map[0, 0]), float(score_map.max())
        ((224, 224), 0.0, 1.0)
    """
    height, width = EVAL_SIZE_HW
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    return normalise(np.exp(-(y[:, None] ** 2 + x**2) / (2 * SIGMA**2)), normalisation)


def whole_image(normalisation: str = "minmax") -> FloatArray:
    """Everything is object, (224, 224) ones: at every threshold below 1 one box covers the whole image.

    It is not normalised: a constant map would become zero, which says that nothing is object.

    Example:
        >>> float(whole_image("ivr").min())
        1.0
    """
    return np.ones(EVAL_SIZE_HW)


BASELINES: dict[str, Callable[[str], FloatArray]] = {
    "centre-Gaussian baseline": centre_gaussian,
    "whole-image baseline": whole_image,
}
"""Name in tables -> its score map, normalised as asked."""


def evaluate_baseline(
    name: str, dataset: Dataset, split: str, normalisation: str = "minmax", runtime: Runtime | None = None
) -> dict[str, Any]:
    """Every metric of one and the same score map for all photographs of a split whose truth is known.

    Args:
        name: in ``BASELINES``.
        dataset: with boxes or masks.
        split: train, val or test.
        normalisation: of the score map.
        runtime: whether progress is shown.

    Returns:
        ``dataset``, ``split`` and what ``LocalizationMetrics.compute`` gives; there is no classifier, so
        nothing about classes.

    Raises:
        UserError: no truth is known in that split.

    Example:
        >>> from rfga.data.synthetic.dataset import SyntheticDataset
        >>> birds = SyntheticDataset(val_per_class=1, longer_side_pixels=64)
        >>> found = evaluate_baseline("whole-image baseline", birds, "val", runtime=Runtime(quiet=True))
        >>> found["images"], sorted(found["metrics"])
        (6, ['GTKnownLoc', 'MaxBoxAcc', 'MaxBoxAccV2'])
    """
    runtime = runtime or Runtime()
    score_map = BASELINES[name](normalisation)
    samples, _ = checked_samples(dataset, split, runtime)
    metrics = LocalizationMetrics(normalisation=normalisation)
    scored = 0
    with Meter(f"evaluating the {name}", len(samples), quiet=runtime.quiet) as meter:
        for begin in range(0, len(samples), _BATCH):
            batch = samples[begin : begin + _BATCH]
            truths = {sample.image_id: known_truth(dataset, sample) for sample in batch}
            known = {image_id: truth for image_id, truth in truths.items() if truth is not None}
            if known:
                maps = np.broadcast_to(score_map, (len(known), *score_map.shape))
                metrics.update(list(known), maps, list(known.values()))
                scored += len(known)
            meter.advance(len(batch))
    if not scored:
        raise UserError(
            f"expected boxes or masks of the split {split} of {dataset.name}, found none: add --truth"
        )
    return {"dataset": dataset.name, "split": split, **metrics.compute()}
