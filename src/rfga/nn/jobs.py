"""Compiled passes as jobs: records that threads of any kind work off without the interpreter.

To hand a dozen arrays to compiled code through numba's own dispatcher, on threads that Python has to be
woken for, takes about a tenth of a millisecond, which counts where a pass over 16 MB takes half of one. So a
pass is compiled to a C function of one argument, the address of a record of 64-bit integers:

    claimed, parts, units, sizes (4), then address and length of each array (11)

Each call of the function claims the next part of the units (maps or images) and works on these.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, cast

import numba
import torch
from llvmlite import ir
from numba.core import types
from numba.np.numpy_support import carray
from torch import Tensor

from rfga.nn.lanes import FASTMATH, compiled, inlined

SIZES, ARRAYS = 4, 11
_SIZES_AT = 3
_ARRAYS_AT = _SIZES_AT + SIZES
_TYPES = {torch.float32: types.float32, torch.float64: types.float64}


class Job:
    """The record of one pass, for ``parts`` threads; holds the arrays until it is gone.

    Args:
        parts: how many threads are to share the units.
        units: how many there are.
        sizes: up to four numbers that the pass reads.
        arrays: up to eleven contiguous tensors; None is an array of length 0.
    """

    def __init__(self, parts: int, units: int, sizes: Sequence[int], arrays: Sequence[Tensor | None]) -> None:
        self.parts, self._held = parts, arrays
        places = [(0, 0) if array is None else (array.data_ptr(), array.numel()) for array in arrays]
        places += [(0, 0)] * (ARRAYS - len(places))
        padded = (*sizes, *[0] * (SIZES - len(sizes)))
        numbers = (0, parts, units, *padded, *(number for place in places for number in place))
        self._record = (ctypes.c_int64 * len(numbers))(*numbers)

    @property
    def address(self) -> int:
        """Of the record: the argument of a pass."""
        return ctypes.addressof(self._record)

    @property
    def is_claimed(self) -> bool:
        """Whether every part has been claimed; it is done once that call has returned."""
        return bool(self._record[0] >= self.parts)


class Pass:
    """A compiled pass over features; see ``compiled_pass``."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function, self._entries = function, dict[torch.dtype, Any]()
        self.__doc__ = function.__doc__

    def entry(self, dtype: torch.dtype) -> int:
        """The address of the C function for arrays of this type, compiled when first asked for."""
        if dtype not in self._entries:
            # That the record is a "pointer to float" tells the function the type of the arrays in it.
            signature = types.void(cast("Any", types.CPointer)(_TYPES[dtype]))
            compiler = numba.cfunc(signature, cache=True, error_model="numpy", fastmath=FASTMATH)
            self._entries[dtype] = compiler(self._function)
        return int(self._entries[dtype].address)


def compiled_pass(function: Callable[[Any], None]) -> Pass:
    """Make a pass of a function of a job, which uses ``arrays``, ``sizes`` and ``claim`` below."""
    return Pass(function)


def _place(builder: Any, job: Any, index: Any) -> Any:
    return builder.gep(builder.bitcast(job, ir.IntType(64).as_pointer()), [index])


@inlined
def _number(_typing: Any, job: Any, index: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(builder, *arguments))

    return types.int64(job, index), build


@inlined
def _next(_typing: Any, job: Any) -> Any:
    """The number of parts claimed so far, which becomes one more: no two threads get the same."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, one = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", _place(builder, arguments[0], first), one, "monotonic")

    return types.int64(job), build


@inlined
def _pointer(_typing: Any, job: Any, index: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(builder.load(_place(builder, *arguments)), arguments[0].type)

    return job(job, index), build


@compiled
def _array(job: Any, index: int) -> Any:
    at = _ARRAYS_AT + 2 * index
    return carray(_pointer(job, at), (_number(job, at + 1),))


@compiled
def arrays(job: Any) -> Any:
    """The eleven arrays of a job."""
    return (
        _array(job, 0), _array(job, 1), _array(job, 2), _array(job, 3), _array(job, 4), _array(job, 5),
        _array(job, 6), _array(job, 7), _array(job, 8), _array(job, 9), _array(job, 10),
    )  # fmt: skip


@compiled
def sizes(job: Any) -> tuple[int, int, int, int]:
    """The four sizes of a job."""
    at = _SIZES_AT
    return _number(job, at), _number(job, at + 1), _number(job, at + 2), _number(job, at + 3)


@compiled
def claim(job: Any) -> tuple[int, int]:
    """The first unit of the next part, and the first after it; none where all parts are claimed."""
    part, parts, units = _next(job), _number(job, 1), _number(job, 2)
    if part >= parts:
        return 0, 0
    return part * units // parts, (part + 1) * units // parts
