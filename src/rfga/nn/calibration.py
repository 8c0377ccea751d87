"""Means along the axes of features and calibration by profiles, with no other tensor of the features' size.

The factor of every element is made of profiles along the rows and the columns. Written as plain operations,
autograd would keep the factor, as large as the features, for the backward pass; here it is made again from
the profiles. What a step makes in that size are its two results.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def is_traced() -> bool:
    """Whether a compiler or an exporter looks on: it fuses plain tensor operations by itself."""
    return bool(torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export())


def axis_mean(x: Tensor, axis: int) -> Tensor:
    """The mean of features (B, C, H, W) along axis 2 or 3, which keeps the length one.

    Its gradient is a view: ``x.mean`` would make a tensor of x's size of it.

    Example:
        >>> axis_mean(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 3)
        tensor([[[[2.],
                  [6.]]]])
    """
    return (_axis_sum(x, axis, torch.promote_types(x.dtype, torch.float32)) / x.shape[axis]).to(x.dtype)


def calibrate(x: Tensor, offset: Tensor, slope: Tensor | None, column: Tensor) -> Tensor:
    """Multiply features by offset + slope * column.

    Args:
        x: features (B, C, H, W).
        offset: of four dimensions, as slope and column are, each as long as that of x or one long.
        slope: None for one, which is faster.
        column: the factor that is summed to last.

    Returns:
        (B, C, H, W) in the layout and type of ``x``.

    Example:
        >>> x = torch.ones(1, 1, 2, 3)
        >>> calibrate(x, torch.tensor([[[[1.0], [2.0]]]]), None, torch.tensor([[[[0.0, 0.5, 0.25]]]]))
        tensor([[[[1.0000, 1.5000, 1.2500],
                  [2.0000, 2.5000, 2.2500]]]])
    """
    if is_traced():
        return x * (offset + (column if slope is None else slope * column))
    return cast("Tensor", _Calibration.apply(x, offset, slope, column))


class _Calibration(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *factors: Tensor | None) -> Tensor:
        factors = tuple(None if factor is None else _laid_out(factor, x) for factor in factors)
        ctx.save_for_backward(x, *factors)
        return _factor(torch.empty_like(x), *factors).mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, offset, slope, column = ctx.saved_tensors
        wants_x, wants_offset, wants_slope, wants_column = ctx.needs_input_grad
        product = x * g
        d_offset = _summed_to(product, offset) if wants_offset else None
        d_slope = _summed_to(product * column, slope) if wants_slope else None
        if slope is not None and wants_column:
            product *= slope
        d_column = _summed_to(product, column) if wants_column else None
        # The product is not needed any more: the features' gradient takes its memory.
        dx = _factor(product, offset, slope, column).mul_(g) if wants_x else None
        return dx, d_offset, d_slope, d_column


def _factor(out: Tensor, offset: Any, slope: Any, column: Any) -> Tensor:
    """Write offset + slope * column into ``out`` (B, C, H, W)."""
    if slope is None:
        return torch.add(offset.expand_as(out), column, out=out)
    return torch.addcmul(offset.expand_as(out), slope, column, out=out)


def _is_channels_last(x: Tensor) -> bool:
    return not is_traced() and x.is_contiguous(memory_format=torch.channels_last)


def _laid_out(factor: Tensor, x: Tensor) -> Tensor:
    """The factor with x's type and order in memory: to read it across takes several times as long."""
    factor = factor.to(x.dtype)
    return factor.contiguous(memory_format=torch.channels_last) if _is_channels_last(x) else factor


def _axis_sum(x: Tensor, axis: int, dtype: torch.dtype | None = None) -> Tensor:
    if _is_channels_last(x):  # the sums, too: PyTorch would write them across, in ten times the time
        return x.permute(0, 2, 3, 1).sum(axis - 1, keepdim=True, dtype=dtype).permute(0, 3, 1, 2)
    return x.sum(axis, keepdim=True, dtype=dtype)


def _summed_to(x: Tensor, factor: Tensor) -> Tensor:
    if x.shape == factor.shape:
        return x.clone()  # x itself is written over
    for axis in (3, 2):
        if factor.shape[axis] == 1:
            x = _axis_sum(x, axis)
    return x.sum_to_size(factor.shape)
