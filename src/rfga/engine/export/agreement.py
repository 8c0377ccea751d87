"""Whether an exported model says the same as the run that it was made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rfga.engine.export.graph import AllMaps, random_pixels
from rfga.types import UserError

TOLERANCE = 1e-4  # of the largest value of an output
ALLOWED_APART = 0.01  # share of the maps that may differ by more
CHECKED_BATCHES = (1, 3)  # other sizes than the one that was recorded

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest differences, as fractions of the largest absolute value of the run's output."""

    logits: float
    maps: float  # among those that are not apart
    maps_apart: int  # which differ by more than the tolerance
    maps_checked: int

    @property
    def holds(self) -> bool:
        """Whether all logits and nearly all maps agree.

        A few maps may not: methods that cut their features at a threshold (ACoL) can decide otherwise for a
        pixel that lies on it, where rounding differs. A model that is wrong differs nearly everywhere.
        """
        few = self.maps_apart <= int(ALLOWED_APART * self.maps_checked)
        return bool(self.logits <= TOLERANCE and few)  # written so that NaN fails too


def compare(expected: Outputs, found: Outputs) -> Agreement:
    """How far two models' logits (B, K) and maps (B, K, h, w) lie apart.

    Example:
        >>> logits, maps = np.array([[2.0, -4.0]]), np.array([[[[1.0]], [[5.0]]]])
        >>> compare((logits, maps), (logits + 1, maps))
        Agreement(logits=0.25, maps=0.0, maps_apart=0, maps_checked=2)
    """
    if [part.shape for part in expected] != [part.shape for part in found]:
        every = expected[1].shape[0] * expected[1].shape[1]
        return Agreement(np.inf, np.inf, every, every)
    logits, maps = (_relative(a, b) for a, b in zip(expected, found, strict=True))
    each = maps.max((2, 3)).ravel()
    near = each <= TOLERANCE
    return Agreement(
        logits=float(logits.max()),
        maps=float(each[near].max(initial=0.0)),
        maps_apart=int(np.count_nonzero(~near)),
        maps_checked=each.size,
    )


def require_agreement(
    module: AllMaps, image_size: int, exported: Callable[[NDArray[np.float32]], Outputs]
) -> Agreement:
    """Compare an exported model with the run on noise, in batches of other sizes than the recorded one.

    Args:
        module: the run's network.
        image_size: S of the photographs (B, 3, S, S).
        exported: pixels (B, 3, S, S) float32 -> logits and maps.

    Raises:
        UserError: they differ.
    """
    pixels = [random_pixels(batch, image_size, seed=batch) for batch in CHECKED_BATCHES]
    with torch.no_grad():
        expected = [tuple(part.numpy() for part in module(images)) for images in pixels]
    found = [exported(images.numpy()) for images in pixels]
    parts = [compare((a[0], a[1]), b) for a, b in zip(expected, found, strict=True)]
    whole = Agreement(
        logits=max(part.logits for part in parts),
        maps=max(part.maps for part in parts),
        maps_apart=sum(part.maps_apart for part in parts),
        maps_checked=sum(part.maps_checked for part in parts),
    )
    if not whole.holds:
        raise UserError(
            f"expected the exported model to agree with the run to {TOLERANCE:g} of the largest value, found "
            f"logits that differ by {whole.logits:.2g} and {whole.maps_apart} of {whole.maps_checked} maps "
            "that differ by more: use --format folder, or other versions of torch and onnxruntime"
        )
    return whole


def _relative(expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float64]:
    largest = float(np.abs(expected).max(initial=0.0))
    differences: NDArray[np.float64] = np.abs(expected.astype(np.float64) - found)
    return differences / (largest or 1.0)
