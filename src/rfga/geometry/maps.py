"""Resizing and normalisation of score maps: the only place for both, because both change the numbers.

Source: Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right" (CVPR 2020) for the
size and min-max; Bae et al. (ECCV 2020) for ``pas``; Kim et al. (CVPR 2021) for ``ivr``.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike

from rfga.geometry.bicubic import resize_bicubic
from rfga.types import ByteArray, FloatArray, IntArray, UserError

EVAL_SIZE_HW = (224, 224)
"""Height and width at which every metric looks at a score map, whatever the network's image size."""

PAS_PERCENTILE = 90.0
IVR_PERCENTILE = 65.0
_AXES = (-2, -1)
_BLOCK = 8  # maps that pass through all steps while they are in the processor's cache


def resize_maps(raw: ArrayLike, size_hw: tuple[int, int] = EVAL_SIZE_HW) -> FloatArray:
    """Score maps at another size: bicubic in float64, align_corners=False, no antialiasing.

    This equals torch's ``interpolate`` to the last bit. OpenCV's INTER_CUBIC agrees to rounding (2e-15) only
    where the ratio of the sizes is exact in float32, and is off by up to 1e-4 elsewhere.

    Args:
        raw: (..., h, w) maps in float16, float32 or float64.
        size_hw: height and width wanted, in pixels.

    Returns:
        (..., H, W) float64.

    Example:
        >>> resize_maps(np.eye(2), (4, 2)).round(3)
        array([[ 1.105, -0.105],
               [ 0.773,  0.227],
               [ 0.227,  0.773],
               [-0.105,  1.105]])
    """
    maps = np.array(raw, dtype=np.float64)
    if maps.shape[-2:] == tuple(size_hw) or maps.size == 0:
        return maps if maps.size else np.zeros((*maps.shape[:-2], *size_hw))
    flat = resize_bicubic(maps.reshape(-1, *maps.shape[-2:]), (size_hw[0], size_hw[1]))
    return flat.reshape(*maps.shape[:-2], *size_hw)


def resize_mask(mask: ByteArray, size_hw: tuple[int, int] = EVAL_SIZE_HW) -> ByteArray:
    """A mask at another size by OpenCV's INTER_NEAREST, which PIL's and torch's nearest do not equal.

    Args:
        mask: (H, W) uint8, 255 object, 0 background, 128 ignored.
        size_hw: height and width wanted, in pixels.

    Returns:
        ``size_hw`` uint8 with the same grey values.

    Example:
        >>> resize_mask(np.array([[0, 255, 128]], dtype=np.uint8), (1, 6))
        array([[  0,   0, 255, 255, 128, 128]], dtype=uint8)
    """
    resized = cv2.resize(np.ascontiguousarray(mask), size_hw[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, dtype=np.uint8)


def spread_mask(mask: ByteArray, size_hw: tuple[int, int]) -> ByteArray:
    """A mask in the pixels of a larger photograph, from which ``resize_mask`` makes the same mask again.

    Args:
        mask: (h, w) uint8, 255 object, 0 background, 128 ignored.
        size_hw: height and width of the photograph; along a side shorter than the mask's, pixels are lost.

    Returns:
        ``size_hw`` uint8 with the same grey values.

    Example:
        >>> wide = spread_mask(np.array([[0, 255, 128]], dtype=np.uint8), (1, 7))
        >>> wide, resize_mask(wide, (1, 3))
        (array([[  0, 255, 255, 128, 128, 128, 128]], dtype=uint8), array([[  0, 255, 128]], dtype=uint8))
    """
    rows, columns = (_takers(short, long) for short, long in zip(mask.shape, size_hw, strict=True))
    spread: ByteArray = mask[np.ix_(rows, columns)]
    return spread


def _takers(short: int, long: int) -> IntArray:
    """For each of ``long`` pixels, the first of ``short`` ones that INTER_NEAREST fills from it or beyond."""
    line = np.arange(long, dtype=np.int32)[None]
    taken = cv2.resize(line, (short, 1), interpolation=cv2.INTER_NEAREST)[0]
    places: IntArray = np.minimum(np.searchsorted(taken, line[0]), short - 1)
    return places


def _minmax(maps: FloatArray, percentile: float) -> FloatArray:
    low = maps.min(axis=_AXES, keepdims=True)
    scaled: FloatArray = maps - low
    scaled /= maps.max(axis=_AXES, keepdims=True) - low
    return scaled


def _max(maps: FloatArray, percentile: float) -> FloatArray:
    positive = np.maximum(maps, 0)
    scaled: FloatArray = positive / positive.max(axis=_AXES, keepdims=True)
    return scaled


def _pas(maps: FloatArray, percentile: float) -> FloatArray:
    positive = np.maximum(maps, 0)
    # A percentile of 0 (a small object on zeros) leads to the limit: every positive pixel becomes 1.
    scaled: FloatArray = positive / np.percentile(positive, PAS_PERCENTILE, axis=_AXES, keepdims=True)
    return scaled.clip(max=1)


def _ivr(maps: FloatArray, percentile: float) -> FloatArray:
    rest = maps - np.percentile(maps, percentile, axis=_AXES, keepdims=True)
    scaled: FloatArray = rest / rest.max(axis=_AXES, keepdims=True)
    return scaled.clip(0, 1)


def _none(maps: FloatArray, percentile: float) -> FloatArray:
    del percentile
    return maps.clip(0, 1)


NORMALISATIONS: dict[str, Callable[[FloatArray, float], FloatArray]] = {
    "minmax": _minmax,
    "max": _max,
    "pas": _pas,
    "ivr": _ivr,
    "none": _none,
}
"""Name -> function of maps (..., h, w) and ivr's percentile, giving values in [0, 1] or NaN."""


def normalise(maps: ArrayLike, how: str = "minmax", percentile: float = IVR_PERCENTILE) -> FloatArray:
    """Maps scaled to [0, 1], each by itself; constant maps and maps with NaN or infinity become zeros.

    ``minmax``: (x - min) / (max - min). ``max``: clip at 0, x / max. ``pas``: clip at 0, x / 90th percentile,
    clip to 1. ``ivr``: subtract the percentile, divide by the maximum that remains, clip.
    ``none``: clip, for maps that are shares of object already.

    Args:
        maps: (..., h, w) of any float type.
        how: a name in ``NORMALISATIONS``.
        percentile: of ``ivr`` alone, in [0, 100].

    Returns:
        (..., h, w) float64 in [0, 1].

    Raises:
        UserError: ``how`` is not a normalisation.

    Example:
        >>> normalise([[-1.0, 0.0, 3.0]], "minmax")
        array([[0.  , 0.25, 1.  ]])
        >>> normalise([[-1.0, 0.0, 3.0]], "max")
        array([[0., 0., 1.]])
    """
    if how not in NORMALISATIONS:
        names = ", ".join(NORMALISATIONS)
        raise UserError(f"expected a normalisation among {names}, found {how!r}: give one of these names")
    array = np.asarray(maps, dtype=np.float64)
    if not array.size:
        return array.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        # NaN and infinity anywhere in a map show in its extent.
        extent = array.max(axis=_AXES, keepdims=True) - array.min(axis=_AXES, keepdims=True)
        usable = np.isfinite(extent) & (extent > 0)
        scaled = NORMALISATIONS[how](array if usable.all() else np.where(usable, array, 0.0), percentile)
    if not usable.all() or how != "minmax":  # elsewhere a percentile or a maximum of 0 may divide
        scaled = np.where(usable & ~np.isnan(scaled), scaled, 0.0)
    return scaled


def score_maps(
    raw: ArrayLike,
    how: str = "minmax",
    size_hw: tuple[int, int] = EVAL_SIZE_HW,
    percentile: float = IVR_PERCENTILE,
) -> FloatArray:
    """Raw maps of a network as the metrics take them: resized first, then normalised.

    Args:
        raw: (..., h, w) maps of any float type.
        how: a name in ``NORMALISATIONS``.
        size_hw: height and width of the result, in pixels.
        percentile: of ``ivr`` alone, in [0, 100].

    Returns:
        (..., H, W) float64 in [0, 1].

    Raises:
        UserError: ``how`` is not a normalisation.

    Example:
        >>> maps = score_maps(np.eye(3, dtype=np.float16)[None])
        >>> maps.shape, maps.dtype, float(maps.min()), float(maps.max())
        ((1, 224, 224), dtype('float64'), 0.0, 1.0)
    """
    array = np.asarray(raw, dtype=np.float64)
    # Resizing a constant leaves rounding noise of 1e-16, which would be stretched to [0, 1].
    constant = array.max(axis=_AXES, keepdims=True) == array.min(axis=_AXES, keepdims=True)
    flat = np.where(constant, 0.0, array).reshape(-1, *array.shape[-2:])
    result = np.empty((len(flat), *size_hw))
    for begin in range(0, len(flat), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        result[block] = normalise(resize_maps(flat[block], size_hw), how, percentile)
    return result.reshape(*array.shape[:-2], *size_hw)
