"""Means along the axes and calibration of feature maps, without any other tensor of their size.

Every form of feature calibration in this package is one product with a factor of low rank,

    Y[b,c,i,j] = X[b,c,i,j] * (base[b,c] + offset[b,c,i] + slope[b,c,i] * width[b,c,j]),

so that neither the attention map nor any other tensor of X's size is formed: forward reads X and writes Y;
backward sums dY * X along rows and columns and writes dX. Between the two only X and the small factors are
kept.

In the layer the factors come from the means of X. Then dX = dY * factor + (what the means add), and what they
add is known only after the sums have gone back through the gates: backward therefore sums first, without
writing, and forms dX from dY in one pass at the end (``calibrate_by_means``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rfga.nn.fresh_memory import fresh_like
from rfga.nn.passes import passes_for

Factors = tuple[Tensor, Tensor | None, Tensor, Tensor | None]
"""Offset (B, C, H), slope (B, C, H) or None for ones, width (B, C, W), and base (B, C) or None for zeros."""

Means = tuple[Tensor, Tensor, Tensor]
"""Over (H, W) (B, C), over W (B, C, H) and over H (B, C, W)."""


def is_traced() -> bool:
    """Whether a compiler or an exporter looks on: it fuses plain tensor operations by itself."""
    return bool(torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export())


def calibrate(
    x: Tensor, offset: Tensor, slope: Tensor | None, width: Tensor, base: Tensor | None = None
) -> Tensor:
    """Multiply features by base[b,c] + offset[b,c,i] + slope[b,c,i] * width[b,c,j].

    Args:
        x: features (B, C, H, W), contiguous or channels-last.
        offset: (B, C, H).
        slope: (B, C, H), or None for one everywhere, which is faster.
        width: (B, C, W).
        base: (B, C), or None for zero.

    Returns:
        (B, C, H, W) in the layout of ``x``.

    Example:
        >>> x = torch.ones(1, 1, 2, 3)
        >>> calibrate(x, torch.tensor([[[1.0, 2.0]]]), None, torch.tensor([[[0.0, 0.5, 0.25]]]))
        tensor([[[[1.0000, 1.5000, 1.2500],
                  [2.0000, 2.5000, 2.2500]]]])
    """
    if is_traced():
        return x * _factor(offset, slope, width, base)
    return cast("Tensor", _Calibration.apply(x, offset, slope, width, base, None))


def calibrate_by_means(x: Tensor, factors: Callable[[Tensor, Tensor, Tensor], Factors]) -> Tensor:
    """Calibrate features by factors that are made of their means.

    Args:
        x: features (B, C, H, W), contiguous or channels-last.
        factors: from the means over (H, W) (B, C), over W (B, C, H) and over H (B, C, W) to offset, slope,
            width and base.

    Returns:
        (B, C, H, W) in the layout of ``x``.

    Example:
        >>> x = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
        >>> calibrate_by_means(x, lambda channel, height, width: (height, None, width, channel))
        tensor([[[[  9.,  33.],
                  [ 65., 105.]]]])
    """
    if is_traced():
        return x * _factor(*factors(*_means_plainly(x)))
    link = _Link()
    through, *means = _Means.apply(x, link)
    return cast("Tensor", _Calibration.apply(through, *factors(*means), link))


def axis_means(x: Tensor) -> Means:
    """The means of features (B, C, H, W) over (H, W) (B, C), W (B, C, H) and H (B, C, W), from one reading.

    Example:
        >>> axis_means(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]))
        (tensor([[4.]]), tensor([[[2., 6.]]]), tensor([[[3., 5.]]]))
    """
    if is_traced():
        return _means_plainly(x)
    _, *means = _Means.apply(x, _Link())
    return cast("Means", tuple(means))


def _means_plainly(x: Tensor) -> Means:
    height = x.mean(3)
    return height.mean(2), height, x.mean(2)


class _Link:
    """What the gradient of means is to know of the calibration that went with them."""

    factors: Sequence[Tensor | None] = ()


class _Calibration(Function):
    """With a link, what goes back to ``x`` is dY itself: the means' gradient makes dX of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *arguments: Any) -> Tensor:
        *factors, ctx.link = arguments
        passes = passes_for(x)
        if passes:
            factors = [passes.laid_out(factor, x.dtype) for factor in factors]
        if ctx.link:
            ctx.link.factors = factors
        ctx.save_for_backward(x, *factors)
        return _scaled(x, factors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, *factors = ctx.saved_tensors
        wants_x, *wants_factors, _ = ctx.needs_input_grad
        passes = passes_for(x)
        if passes:
            g = g.contiguous(memory_format=passes.memory_format)
        if not any(wants_factors):
            return g if ctx.link else _scaled(g, factors), None, None, None, None, None
        dx = fresh_like(x) if wants_x and not ctx.link else None
        if passes:
            sums = passes.scale_backward(x, g, factors, dx)
        else:
            sums = _scale_backward_plainly(x, g, factors, dx)
        return g if ctx.link else dx, *sums, None


class _Means(Function):
    """The features themselves, to be calibrated with the same link, and their three means."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, link: _Link) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.link, ctx.shape, passes = link, x.shape, passes_for(x)
        ctx.set_materialize_grads(False)
        return x.view_as(x), *(passes.means(x) if passes else _means_plainly(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor | None, *of_means: Tensor | None) -> Any:
        if all(part is None for part in of_means):
            return None if g is None else _scaled(g, ctx.link.factors), None
        some = next(part for part in of_means if part is not None)
        batch, channels, rows, columns = ctx.shape
        channel, height, width = (
            some.new_zeros(batch, channels, *length) if part is None else part
            for part, length in zip(of_means, ((), (rows,), (columns,)), strict=True)
        )
        if g is None:
            return _rise(channel, height, width), None
        return _scaled(g, ctx.link.factors, (height, width, channel)), None


def _scaled(
    x: Tensor, factors: Sequence[Tensor | None], of_means: Sequence[Tensor | None] = (None, None, None)
) -> Tensor:
    """In new memory x * factor + what the gradients of the means of rows, columns and maps add."""
    out, passes = fresh_like(x), passes_for(x)
    if passes:
        passes.scale(x, [*factors, *of_means], out)
        return out
    for part, to, offset, slope, width, base, of_rows, of_columns, of_maps in _portions(
        x, out, *factors, *of_means
    ):
        made = part * _factor(offset, slope, width, base)
        to.copy_(made if of_maps is None else made + _rise(of_maps, of_rows, of_columns))
    return out


def _rise(channel: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """What gradients of the means over (H, W), W and H add to that of the features (B, C, H, W)."""
    rows, columns = height.shape[2], width.shape[2]
    each_row = (channel[..., None] / rows + height) / columns
    return each_row[..., None] + (width / rows)[:, :, None, :]


def _portions(*tensors: Tensor | None) -> Iterator[list[Any]]:
    """An eighth of the batch at a time, so that what is made on the way stays small beside the features."""
    batch = max(len(tensor) for tensor in tensors if tensor is not None)
    size = max(1, -(-batch // 8))
    for begin in range(0, batch, size):
        yield [None if tensor is None else tensor[begin : begin + size] for tensor in tensors]


def _factor(offset: Tensor, slope: Tensor | None, width: Tensor, base: Tensor | None) -> Tensor:
    """The factor (b, C, H, W), in float32 where the features have fewer digits."""
    if not is_traced() and offset.dtype.itemsize < 4:
        offset = offset.float()
    if base is not None:
        offset = offset + base[..., None]
    if slope is None:
        return offset[..., None] + width[:, :, None, :]
    return torch.addcmul(offset[..., None], slope[..., None], width[:, :, None, :])


def _scale_backward_plainly(x: Tensor, g: Tensor, factors: list[Any], dx: Tensor | None) -> list[Any]:
    """The gradients of the four factors; that of x is written to ``dx``, portion by portion."""
    sums = [
        None if factor is None else torch.empty_like(factor, memory_format=torch.contiguous_format)
        for factor in factors
    ]
    for part, of_g, a, s, w, base, to, d_a, d_s, d_w, d_base in _portions(x, g, *factors, dx, *sums):
        if to is not None:
            to.copy_(of_g * _factor(a, s, w, base))
        both = of_g.float() * part if part.dtype.itemsize < 4 else of_g * part
        of_rows = both.sum(3)
        d_a.copy_(of_rows)
        if d_base is not None:
            d_base.copy_(of_rows.sum(2))
        if s is not None:
            d_s.copy_((both * w[:, :, None, :]).sum(3))
            both = both * s[..., None]
        d_w.copy_(both.sum(2))
    return sums
