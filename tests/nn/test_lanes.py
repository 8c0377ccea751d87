"""Vectors in compiled code: what they read, what they write and, above all, what they leave alone."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from rfga.nn.lanes import LANE_BYTES, lane_count, load, repeat, store, total


@numba.njit
def copied(source: Any, start: int, count: int, target: Any) -> int:
    store(target, start, count, load(source, start, count))
    return int(lane_count(source))


@numba.njit
def combined(source: Any, factor: Any, added: Any, count: int, target: Any) -> Any:
    lanes = load(source, 0, count) * repeat(factor) + repeat(added)
    store(target, 0, count, lanes)
    return total(load(source, 0, count))


TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@TYPES
def test_only_the_first_values_are_read_and_written(dtype: type[Any]) -> None:
    width = LANE_BYTES // np.dtype(dtype).itemsize
    source = np.arange(1, 3 * width + 1, dtype=dtype)
    for start in (0, 1, width + 3):
        for count in range(2 * width):
            target = np.zeros_like(source)
            assert copied(source, start, count, target) == width
            end = start + min(count, width)
            np.testing.assert_array_equal(target[start:end], source[start:end])
            assert not target[:start].any()
            assert not target[end:].any()


@TYPES
def test_arithmetic_and_the_total(dtype: type[Any]) -> None:
    source, target = np.array([1.5, -2.0, 4.0], dtype), np.zeros(3, dtype)
    assert combined(source, dtype(2), dtype(0.25), 3, target) == 3.5
    np.testing.assert_array_equal(target, np.array([3.25, -3.75, 8.25], dtype))


def test_lanes_left_out_are_zero_whatever_is_there() -> None:
    source, target = np.array([1.0, np.nan, np.inf], np.float32), np.zeros(3, np.float32)
    assert combined(source, np.float32(1), np.float32(0), 1, target) == 1
