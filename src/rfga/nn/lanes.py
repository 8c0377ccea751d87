"""Lanes: a few neighbouring values that compiled passes load, combine and store as one vector.

A compiler makes vectors of a loop only if it can show that nothing written overlaps anything read, and it
handles what is left over of a row one by one. The passes over feature maps read and write up to nine arrays,
in rows that may be as short as seven values; so they say themselves what a vector is. For functions compiled
by numba there are

    load(array, start, count)           the values from array[start] on, zero where ``count`` ends before them
    store(array, start, count, lanes)   writes the first ``count`` of them
    repeat(value), total(lanes)         one value in every lane; the sum of the lanes
    a + b, a * b                        lane by lane
    lane_count(array)                   how many values of the array make a vector

Arrays are of one dimension, contiguous, float32 or float64. Nothing outside the ``count`` values is touched.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, overload, register_model

LANE_BYTES = 32
"""Bytes of a vector: rows of 14 and 28 float32 fit better into 32 than into 64, which was slower."""

FASTMATH = {"reassoc", "contract", "nsz"}
"""Sums may be reordered, as in any parallel sum; nothing else about the arithmetic is loosened."""

Function = TypeVar("Function", bound=Callable[..., Any])
_INDEX = ir.IntType(32)


def compiled(function: Function) -> Function:
    """Compile a function that works on arrays without holding the interpreter's lock."""
    jit = numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy", fastmath=FASTMATH)
    return cast("Function", jit(function))


class Lanes(types.Type):
    """The type of lanes in compiled code."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.count = LANE_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Lanes({dtype})")

    @property
    def vector(self) -> Any:
        """The LLVM type."""
        return ir.VectorType(ir.FloatType() if self.dtype.bitwidth == 32 else ir.DoubleType(), self.count)


def _held(manager: Any, lanes: Lanes) -> Any:
    return cast("Any", PrimitiveModel)(manager, lanes, lanes.vector)


register_model(Lanes)(_held)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make instructions of LLVM callable in compiled code; the function gives their types and builds them."""
    return cast("Callable[..., Any]", intrinsic(function))


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Of the lanes that begin at array[start], the first two arguments."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    lanes = Lanes(signature.args[0].dtype)
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), lanes.vector.as_pointer())


def _repeated(builder: Any, value: Any, vector: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(
        one, one, ir.Constant(ir.VectorType(_INDEX, vector.count), [0] * vector.count)
    )


def _within(builder: Any, count: Any, lanes: Lanes) -> Any:
    """For each lane whether it is one of the first ``count``."""
    vector = ir.VectorType(_INDEX, lanes.count)
    limit = _repeated(builder, builder.trunc(count, _INDEX), vector)
    return builder.icmp_signed("<", ir.Constant(vector, list(range(lanes.count))), limit)


def _llvm(builder: Any, name: str, lanes: Lanes, result: Any, operands: list[Any]) -> Any:
    """LLVM's own function of that name for these lanes, and its operands."""
    name = name.format(f"v{lanes.count}f{lanes.dtype.bitwidth}")
    known = builder.module.globals.get(name)
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return known or ir.Function(builder.module, kind, name), operands


@inlined
def _load_all(_typing: Any, array: Any, start: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_address(context, builder, signature, arguments))
        loaded.align = array.dtype.bitwidth // 8
        return loaded

    return Lanes(array.dtype)(array, start), build


@inlined
def _load_first(_typing: Any, array: Any, start: Any, count: Any) -> Any:
    lanes = Lanes(array.dtype)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        align = ir.Constant(_INDEX, array.dtype.bitwidth // 8)
        none = ir.Constant(lanes.vector, [0.0] * lanes.count)
        operands = [address, align, _within(builder, arguments[2], lanes), none]
        return builder.call(*_llvm(builder, "llvm.masked.load.{}.p0", lanes, lanes.vector, operands))

    return lanes(array, start, count), build


@inlined
def _store_all(_typing: Any, array: Any, start: Any, lanes: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        builder.store(arguments[2], address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, start, lanes), build


@inlined
def _store_first(_typing: Any, array: Any, start: Any, count: Any, lanes: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        align = ir.Constant(_INDEX, array.dtype.bitwidth // 8)
        operands = [arguments[3], address, align, _within(builder, arguments[2], lanes)]
        builder.call(*_llvm(builder, "llvm.masked.store.{}.p0", lanes, ir.VoidType(), operands))
        return context.get_dummy_value()

    return types.void(array, start, count, lanes), build


@inlined
def repeat(_typing: Any, value: Any) -> Any:
    """Lanes that all hold ``value``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _repeated(builder, arguments[0], Lanes(value).vector)

    return Lanes(value)(value), build


@inlined
def total(_typing: Any, lanes: Any) -> Any:
    """The sum of the lanes."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one = lanes.vector.element
        operands = [ir.Constant(one, -0.0), arguments[0]]  # -0.0 changes no sum
        call = _llvm(builder, "llvm.vector.reduce.fadd.{}", lanes, one, operands)
        return builder.call(*call, fastmath=("reassoc",))

    return lanes.dtype(lanes), build


@inlined
def lane_count(_typing: Any, array: Any) -> Any:
    """How many values of the array make a vector: a constant of the compiled code."""
    count = Lanes(array.dtype).count

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, count)

    return types.intp(array), build


@compiled
def load(array: Any, start: int, count: int) -> Any:
    """The values from array[start] on; lanes after the first ``count`` are zero."""
    if count >= lane_count(array):
        return _load_all(array, start)
    return _load_first(array, start, count)


@compiled
def store(array: Any, start: int, count: int, lanes: Any) -> None:
    """Write the first ``count`` lanes to the array from array[start] on."""
    if count >= lane_count(array):
        _store_all(array, start, lanes)
    else:
        _store_first(array, start, count, lanes)


def _lane_by_lane(operation: Any, instruction: str) -> None:
    @inlined
    def combine(_typing: Any, a: Any, b: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=("contract",))

        return a(a, b), build

    def choose(a: Any, b: Any) -> Any:
        def apply(a: Any, b: Any) -> Any:
            return combine(a, b)

        return apply if isinstance(a, Lanes) and a == b else None

    overload(operation, strict=False)(choose)  # the names of arguments alone are to agree


_lane_by_lane(operator.add, "fadd")
_lane_by_lane(operator.mul, "fmul")
