"""Unfilled arrays for the kernels: one function a type, as Numba compiles every other form of call anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.kernel import kernel
from rfga.types import ByteArray

Int32s = NDArray[np.int32]


@kernel
def new_int32s(length: int | np.int64) -> Int32s:
    """(length,) int32."""
    return np.empty(length, dtype=np.int32)


@kernel
def new_int32_table(rows: int | np.int64, columns: int | np.int64) -> Int32s:
    """(rows, columns) int32."""
    return np.empty((rows, columns), dtype=np.int32)


@kernel
def new_bytes(length: int | np.int64) -> ByteArray:
    """(length,) uint8."""
    return np.empty(length, dtype=np.uint8)
