"""Ways to refine the mask of a score map by looking at the photograph. A new one is one line in `REFINERS`.

Each entry makes a refiner from a folder of weights (None where none was given) and the device to compute on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rfga.engine.run.options import resolve
from rfga.types import ByteArray, FloatArray, Prediction, UserError

if TYPE_CHECKING:
    import torch

REFINERS = {
    "grabcut": "rfga.engine.localizing.refiners:grabcut_refiner",
    "sam": "rfga.engine.localizing.sam:sam_refiner",
}
NO_REFINER = "none"  # beside the names above: the mask is what is above the threshold
REFINER_NAMES = (NO_REFINER, *REFINERS)

Refiner = Callable[[ByteArray, Prediction], ByteArray]
"""From a photograph (H, W, 3) and its prediction, with score map, to a mask (H, W): 255 object, 0 not."""


def load_refiner(name: str, weights: Path | None, device: torch.device) -> Refiner | None:
    """The refiner of that name, ready to use; None for ``none``.

    Args:
        name: one of ``REFINER_NAMES``.
        weights: folder of its weights, for a refiner that has any.
        device: where it computes, if it is a network.

    Raises:
        UserError: there is no such refiner, it lacks its weights or library, or has no use for weights.

    Example:
        >>> import torch
        >>> load_refiner("none", None, torch.device("cpu"))
    """
    if name == NO_REFINER:
        refuse_weights(name, weights)
        return None
    refiner: Refiner = resolve(REFINERS, name, "refiner of masks")(weights, device)
    return refiner


def grabcut_refiner(weights: Path | None, device: torch.device) -> Refiner:
    """GrabCut seeded by the score map (``rfga.geometry.refine.grabcut_mask``); it has no weights.

    Raises:
        UserError: weights were given.
    """
    del device
    refuse_weights("grabcut", weights)
    from rfga.geometry.refine import grabcut_mask

    def refine(photograph: ByteArray, prediction: Prediction) -> ByteArray:
        return grabcut_mask(photograph, kept_map(prediction), prediction.threshold)

    return refine


def kept_map(prediction: Prediction) -> FloatArray:
    """The score map of a prediction, without which there is no mask.

    Raises:
        ValueError: it was not kept.
    """
    if prediction.score_map is None:
        raise ValueError(f"expected the score map of {prediction.image_id}, found none: keep it")
    return prediction.score_map


def refuse_weights(name: str, weights: Path | None) -> None:
    """Refuse a folder of weights where nothing would read it.

    Raises:
        UserError: weights were given.
    """
    if weights is not None:
        raise UserError(
            f"expected --sam-weights together with --refine sam, found --refine {name}: leave one of them out"
        )
