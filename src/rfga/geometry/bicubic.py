"""Bicubic resizing to the last bit of torch's ``interpolate`` (align_corners=False), many times faster.

Torch weighs 4 x 4 pixels for each one of the result. The sums along a row do not depend on the row of the
result, so they are taken once here; each sum has torch's terms in torch's order, and so its rounding.
Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.75.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.kernel import fused_kernel, kernel
from rfga.types import FloatArray

Resize = Callable[..., FloatArray]

_A = -0.75


def _near(distance: FloatArray) -> FloatArray:
    """Keys' kernel within one pixel."""
    return ((_A + 2) * distance - (_A + 3)) * distance * distance + 1


def _far(distance: FloatArray) -> FloatArray:
    """Keys' kernel between one and two pixels."""
    return ((_A * distance - 5 * _A) * distance + 8 * _A) * distance - 4 * _A


def _taps(length: int, wanted: int) -> tuple[NDArray[np.int64], FloatArray]:
    """The four source pixels of each pixel wanted, and their weights: both (wanted, 4)."""
    source: FloatArray = length / wanted * (np.arange(wanted, dtype=np.float64) + 0.5) - 0.5
    below: FloatArray = np.floor(source)
    offset = source - below
    pixels = below.astype(np.int64)[:, None] + np.arange(-1, 3)
    weights = [_far(offset + 1), _near(offset), _near(1 - offset), _far(1 - offset + 1)]
    return pixels.clip(0, length - 1), np.stack(weights, axis=1)


def _resize(
    maps: FloatArray,
    rows: NDArray[np.int64],
    row_weights: FloatArray,
    columns: NDArray[np.int64],
    column_weights: FloatArray,
) -> FloatArray:
    count, length, _ = maps.shape
    height, width = len(rows), len(columns)
    result = np.empty((count, height, width), dtype=np.float64)
    wide = np.empty((length, width), dtype=np.float64)
    for index in range(count):
        for y in range(length):
            for x in range(width):
                a, b = maps[index, y, columns[x, 0]], maps[index, y, columns[x, 1]]
                c, d = maps[index, y, columns[x, 2]], maps[index, y, columns[x, 3]]
                taps = column_weights[x]
                wide[y, x] = a * taps[0] + b * taps[1] + c * taps[2] + d * taps[3]
        for y in range(height):
            first, second, third, fourth = (
                wide[rows[y, 0]],
                wide[rows[y, 1]],
                wide[rows[y, 2]],
                wide[rows[y, 3]],
            )
            a, b, c, d = row_weights[y]
            target = result[index, y]
            for x in range(width):
                target[x] = first[x] * a + second[x] * b + third[x] * c + fourth[x] * d
    return result


_resize_fused, _resize_plain = fused_kernel(_resize), kernel(_resize)


def _by_torch(maps: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    import torch

    resized = torch.nn.functional.interpolate(
        torch.from_numpy(maps[:, None]), size=size_hw, mode="bicubic", align_corners=False
    )
    result: FloatArray = resized[:, 0].numpy()
    return result


def _by_rows(maps: FloatArray, size_hw: tuple[int, int], resize: Resize = _resize_fused) -> FloatArray:
    return resize(maps, *_taps(maps.shape[1], size_hw[0]), *_taps(maps.shape[2], size_hw[1]))


@cache
def _kernel_for(from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Resize | None:
    """The kernel that rounds as this machine's torch does; None if there is none.

    Whether torch rounds after each product depends on how it was compiled and on the processor.
    """
    maps = np.random.default_rng(0).normal(size=(1, *from_hw))
    expected = _by_torch(maps, to_hw)
    for resize in (_resize_fused, _resize_plain):
        if np.array_equal(_by_rows(maps, to_hw, resize), expected):
            return resize
    return None


def resize_bicubic(maps: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """Maps at another size, equal to torch's bicubic interpolation in float64 to the last bit.

    Args:
        maps: (N, h, w) float64.
        size_hw: height and width wanted, in pixels.

    Returns:
        (N, H, W) float64.

    Example:
        >>> resize_bicubic(np.array([[[0.0, 1.0]]]), (1, 4)).round(3)
        array([[[-0.105,  0.227,  0.773,  1.105]]])
    """
    contiguous = np.ascontiguousarray(maps)
    resize = _kernel_for(contiguous.shape[1:], size_hw)
    return _by_torch(contiguous, size_hw) if resize is None else _by_rows(contiguous, size_hw, resize)
