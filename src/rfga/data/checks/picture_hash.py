"""A short number of what a photograph shows, nearly the same for nearly the same photographs.

The photograph is shrunk to 32 x 32 grey values; the signs of its 16 x 16 lowest cosine coefficients are the
256 bits. (The idea of signs of cosine coefficients: Zauner, "Implementation and Benchmarking of Perceptual
Image Hash Functions", 2010.) Without a threshold but zero, the bits of the turned and mirrored photograph
follow from its own: a mirror turns the signs of every second column or row, a diagonal mirror swaps both.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from rfga.types import FloatArray, IntArray

SIDE = 32  # pixels of the shrunken photograph
BITS = 256
_KEPT = 16  # frequencies a direction
LEAST_DEVIATION = 3.0
"""Grey values of less standard deviation have no bits that mean anything."""

WordArray = NDArray[np.uint64]

TURNS = {
    "as it is": (0, 0, 0),
    "mirrored left to right": (0, 1, 0),
    "mirrored top to bottom": (1, 0, 0),
    "turned by 180 degrees": (1, 1, 0),
    "mirrored diagonally": (0, 0, 1),
    "turned by 90 degrees": (0, 1, 1),
    "turned by 270 degrees": (1, 0, 1),
    "mirrored on the other diagonal": (1, 1, 1),
}
"""Name of a turn -> whether rows and columns are mirrored, after rows and columns have been swapped."""


def picture_hash(grey: FloatArray) -> WordArray | None:
    """The 256 bits as (4,) words of 64, lowest frequencies first; None where there is next to nothing to see.

    Args:
        grey: (32, 32), values of 0 to 255.

    Example:
        >>> grey = np.random.default_rng(0).uniform(0, 200, (32, 32))
        >>> one, darker = picture_hash(grey), picture_hash(0.5 * grey)
        >>> one.shape, bool((one == darker).all()), picture_hash(np.full((32, 32), 7.0)) is None
        ((4,), True, True)
    """
    if grey.shape != (SIDE, SIDE):
        raise ValueError(f"expected grey values of shape ({SIDE}, {SIDE}), found {grey.shape}")
    if grey.std() < LEAST_DEVIATION:
        return None
    cosines = _cosines()
    words: WordArray = _packed((cosines @ grey @ cosines.T > 0)[None])[0]
    return words


def turned(hashes: WordArray, turn: str) -> WordArray:
    """The hashes (n, 4) of the same photographs after a turn out of ``TURNS``."""
    mirror_rows, mirror_columns, swap = TURNS[turn]
    signs = _unpacked(hashes)
    if swap:
        signs = signs.swapaxes(1, 2)
    odd: NDArray[np.bool_] = np.arange(_KEPT) % 2 == 1
    mirrored: NDArray[np.bool_] = (odd[:, None] & bool(mirror_rows)) ^ (odd[None] & bool(mirror_columns))
    return _packed(signs ^ mirrored)


@cache
def _cosines() -> FloatArray:
    """(16, 32) rows of the discrete cosine transform."""
    pixels, frequencies = np.arange(SIDE) + 0.5, np.arange(_KEPT)
    cosines: FloatArray = np.cos(np.pi / SIDE * np.outer(frequencies, pixels))
    return cosines


@cache
def _order() -> IntArray:
    """Places of the 16 x 16 coefficients, lowest frequency first, the mean, which says nothing, last."""
    rows, columns = np.divmod(np.arange(BITS), _KEPT)
    low_first = np.lexsort((rows, np.maximum(rows, columns), rows + columns))
    return np.roll(low_first, -1).astype(np.int64)


def _packed(signs: NDArray[np.bool_]) -> WordArray:
    bits = signs.reshape(len(signs), BITS)[:, _order()]
    octets = np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little"))
    return octets.view("<u8").astype(np.uint64)


def _unpacked(hashes: WordArray) -> NDArray[np.bool_]:
    octets = np.ascontiguousarray(hashes.astype("<u8")).view(np.uint8)
    bits: NDArray[np.bool_] = np.zeros((len(hashes), BITS), bool)
    bits[:, _order()] = np.unpackbits(octets, axis=1, bitorder="little").astype(bool)
    return bits.reshape(len(hashes), _KEPT, _KEPT)
