"""Two models on the same images: their bootstrap replicates are paired, so differences have intervals.

The weights that an image draws depend on its id alone (``rfga.metrics.bootstrap``), so replicate r of one
model and replicate r of another are of the same resampled images. Their difference leaves out what makes an
image easy or hard for both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rfga.metrics.bootstrap import interval
from rfga.metrics.streaming import StreamedMetric
from rfga.types import FloatArray


def replicate_values(metric: StreamedMetric) -> dict[str, FloatArray]:
    """The first entry of each name, the benchmark's own definition, in the sample and in each replicate.

    Returns:
        Name -> (1 + R,), the value itself first; NaN in a replicate that drew no image.

    Example:
        >>> from rfga.metrics.top_k import TopK
        >>> metric = TopK(num_classes=2, replicates=3)
        >>> metric.update(["a.jpg"], np.zeros((1, 224, 224)), [None], labels=[1], logits=[[0.3, 0.7]])
        >>> replicate_values(metric)["Top1Cls"].shape
        (4,)
    """
    sums = metric.sums()
    rows = 1 + metric.replicates
    found: dict[str, FloatArray] = {}
    for row in range(rows):
        own = {name: values[row : row + 1] for name, values in sums.items()}
        for name, entries in metric.entries(own).items():
            found.setdefault(name, np.full(rows, np.nan))[row] = entries[0]["value"]
    return found


def paired_interval(ours: Sequence[FloatArray], theirs: Sequence[FloatArray]) -> tuple[float, float]:
    """The 95 % interval over images of the mean difference of pairs of models.

    Each replicate resamples the images for all pairs at once; the pairs themselves, which may differ in
    their seed, stay as they are.

    Args:
        ours: the values (1 + R,) of one model of each pair, as ``replicate_values`` gives them.
        theirs: those of the other.

    Returns:
        Lower and upper end of the mean of ours - theirs.

    Example:
        >>> ours, theirs = np.array([0.5, 0.4, 0.6]), np.array([0.4, 0.3, 0.5])
        >>> [round(end, 3) for end in paired_interval([ours], [theirs])]
        [0.1, 0.1]
    """
    pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
    return interval(np.mean(pairs, axis=0))
