"""Masks of a score map: what is above the threshold, and the same refined along the colours by GrabCut.

Source of the refinement: Rother, Kolmogorov and Blake, "GrabCut: Interactive Foreground Extraction using
Iterated Graph Cuts" (ACM SIGGRAPH 2004), as OpenCV has it; here the score map stands in for the user.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rfga.geometry.levelsets import foreground, quantise
from rfga.geometry.maps import resize_maps
from rfga.types import MASK_BACKGROUND, MASK_OBJECT, ByteArray, FloatArray

_SEED = 0  # of the clustering of colours that GrabCut begins with
_HALF = (MASK_OBJECT + MASK_BACKGROUND + 1) // 2


@dataclass(frozen=True, slots=True)
class GrabCutSettings:
    """How a score map seeds GrabCut; measured in docs/masks.md.

    Args:
        side_pixels: longest side of the photograph while it is worked on; it is never enlarged.
        sure_object: what is surely object, as a fraction of the way from the threshold to the maximum.
        sure_background: what is surely background, as a fraction of the threshold.
        margin: beyond the box of the map's mask, enlarged on each side by this fraction of its width and
            height, everything is surely background.
        iterations: how often colours and mask are fitted to each other.

    Example:
        >>> GrabCutSettings(side_pixels=160).side_pixels
        160
    """

    side_pixels: int = 224
    sure_object: float = 0.8
    sure_background: float = 0.2
    margin: float = 0.2
    iterations: int = 2


DEFAULTS = GrabCutSettings()


def mask_of(score_map: FloatArray, threshold: float, size_hw: tuple[int, int]) -> ByteArray:
    """What is above the threshold as a mask (H, W) uint8, 255 object and 0 background, in original pixels.

    Args:
        score_map: (h, w) in [0, 1].
        threshold: in [0, 1], a fraction of the map's maximum.
        size_hw: height and width of the original photograph.

    Example:
        >>> mask_of(np.array([[0.0, 1.0]]), 0.5, (1, 4))
        array([[  0,   0, 255, 255]], dtype=uint8)
    """
    pixels = np.where(foreground(score_map, threshold), MASK_OBJECT, MASK_BACKGROUND).astype(np.uint8)
    resized = Image.fromarray(pixels).resize((size_hw[1], size_hw[0]), Image.Resampling.NEAREST)
    return np.asarray(resized)


def grabcut_mask(
    photograph: ByteArray, score_map: FloatArray, threshold: float, settings: GrabCutSettings = DEFAULTS
) -> ByteArray:
    """The map's mask with its border moved to where the colours of object and background part.

    The same input gives the same mask. Where there is nothing to go by it is the map's own (``mask_of``):
    a photograph without colour (red, green and blue alike everywhere, or one colour all over), a map without
    object or without background, and where GrabCut would leave nothing of the object.

    Args:
        photograph: (H, W, 3) uint8, red, green, blue.
        score_map: (h, w) in [0, 1] of the whole photograph.
        threshold: in [0, 1], a fraction of the map's maximum.
        settings: how the map seeds GrabCut.

    Returns:
        (H, W) uint8, 255 object and 0 background.

    Raises:
        ValueError: the photograph is not of shape (H, W, 3) or not uint8.

    Example:
        >>> photograph = np.full((40, 60, 3), (20, 90, 30), np.uint8)
        >>> photograph[10:30, 20:50] = (200, 40, 40)
        >>> blob = np.zeros((8, 12))
        >>> blob[1:7, 3:9], blob[3:5, 5:8] = 0.5, 1.0
        >>> mask = grabcut_mask(photograph, blob, 0.3)
        >>> bool((mask[10:30, 20:50] == 255).mean() > 0.8), bool((mask[:10] == 255).any())
        (True, False)
    """
    if photograph.ndim != 3 or photograph.shape[2] != 3 or photograph.dtype != np.uint8:
        raise ValueError(
            f"expected a photograph (H, W, 3) of uint8, found {photograph.shape} of {photograph.dtype}: "
            "convert it to RGB"
        )
    height, width = photograph.shape[:2]
    plain = mask_of(score_map, threshold, (height, width))
    if not plain.any() or plain.all() or not _has_colours(photograph):
        return plain
    factor = min(1.0, settings.side_pixels / max(height, width))
    small_hw = (max(1, round(height * factor)), max(1, round(width * factor)))
    small = np.asarray(cv2.resize(photograph, small_hw[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
    labels = _seeds(score_map, threshold, small_hw, settings)
    if (found := cut_by_colours(small, labels, settings.iterations)) is None:
        return plain
    pixels = np.where(found, MASK_OBJECT, MASK_BACKGROUND).astype(np.uint8)
    smooth = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    refined = np.where(smooth >= _HALF, MASK_OBJECT, MASK_BACKGROUND).astype(np.uint8)
    return refined if refined.any() else plain


def _has_colours(photograph: ByteArray) -> bool:
    """Whether red, green and blue differ anywhere, and the photograph is not of one colour."""
    red, green, blue = photograph[..., 0], photograph[..., 1], photograph[..., 2]
    if not (red != green).any() and not (green != blue).any():
        return False
    return bool((photograph != photograph[0, 0]).any())


def _seeds(
    score_map: FloatArray, threshold: float, size_hw: tuple[int, int], settings: GrabCutSettings
) -> ByteArray:
    """What GrabCut may change and what not, as its four labels (h, w), at the size it works on."""
    grey = quantise(score_map).astype(np.float64)
    level = resize_maps(grey / grey.max(), size_hw)
    object_rows, object_columns = (np.flatnonzero((level > threshold).any(axis=axis)) for axis in (1, 0))
    labels = np.where(level > threshold, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[level <= settings.sure_background * threshold] = cv2.GC_BGD
    for axis, inside in enumerate((object_rows, object_columns)):
        if inside.size:
            first, end = inside[0], inside[-1] + 1
            reach = settings.margin * (end - first)
            far = np.arange(size_hw[axis])
            far = far[(far + 1 <= first - reach) | (far >= end + reach)]
            labels[(far, slice(None)) if axis == 0 else (slice(None), far)] = cv2.GC_BGD
    labels[level >= threshold + settings.sure_object * (1 - threshold)] = cv2.GC_FGD
    return labels


def cut_by_colours(small: ByteArray, labels: ByteArray, iterations: int) -> NDArray[np.bool_] | None:
    """The object's pixels (h, w) after GrabCut; None without object or background to start from.

    Args:
        small: (h, w, 3) uint8, the photograph at the size it is worked on.
        labels: (h, w) uint8, one of GrabCut's four for each pixel; GrabCut changes them.
        iterations: how often colours and mask are fitted to each other.
    """
    begins = _is_object(labels)
    if not begins.any() or begins.all():
        return None
    # OpenCV draws the first clusters of colours from a generator that the whole thread shares.
    cv2.setRNGSeed(_SEED)
    ground, thing = np.zeros((1, 65)), np.zeros((1, 65))
    no_box = (0, 0, 1, 1)  # labels take its place
    cv2.grabCut(small, labels, no_box, ground, thing, iterations, cv2.GC_INIT_WITH_MASK)
    return _is_object(labels)


def _is_object(labels: ByteArray) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return found
