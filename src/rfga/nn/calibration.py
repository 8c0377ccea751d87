"""Means along the axes and calibration of feature maps, without any other tensor of their size.

Every form of feature calibration in this package is one product with a factor of low rank,

    Y[b,c,i,j] = X[b,c,i,j] * (offset[b,c,i] + slope[b,c,i] * width[b,c,j]),

so that neither the attention map nor any other tensor of X's size is formed: forward reads X and writes Y;
backward reads X and dY, writes dX, and sums dY * X along rows and columns on the way. Between the two only X
and the three small factors are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rfga.nn import plane_kernels as kernels

COMPILED_TYPES = (torch.float32, torch.float64)


def is_traced() -> bool:
    """Whether a compiler or an exporter looks on: it fuses plain tensor operations by itself."""
    return bool(torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export())


def calibrate(x: Tensor, offset: Tensor, slope: Tensor, width: Tensor) -> Tensor:
    """Multiply features by offset[b,c,i] + slope[b,c,i] * width[b,c,j].

    Args:
        x: features (B, C, H, W), contiguous or channels-last.
        offset: (B, C, H).
        slope: (B, C, H).
        width: (B, C, W).

    Returns:
        (B, C, H, W) in the layout of ``x``.

    Example:
        >>> x = torch.ones(1, 1, 2, 3)
        >>> offset, slope = torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1, 2)
        >>> calibrate(x, offset, slope, torch.tensor([[[0.0, 0.5, 0.25]]]))
        tensor([[[[1.0000, 1.5000, 1.2500],
                  [2.0000, 2.5000, 2.2500]]]])
    """
    if is_traced():
        return x * (offset[..., None] + slope[..., None] * width[:, :, None, :])
    return cast("Tensor", _Calibration.apply(x, offset, slope, width))


def axis_means(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The means of features (B, C, H, W) along their axes, from one reading.

    Returns:
        The features themselves, to go on with in place of ``x``; the means over W (B, C, H) and over H
        (B, C, W). In the backward pass the gradients of all three meet in one tensor: that of the returned
        features, which is changed in place, so let ``calibrate`` alone take these.

    Example:
        >>> _, height, width = axis_means(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]))
        >>> height, width
        (tensor([[[2., 6.]]]), tensor([[[3., 5.]]]))
    """
    if is_traced():
        return x, x.mean(3), x.mean(2)
    return cast("tuple[Tensor, Tensor, Tensor]", _AxisMeans.apply(x))


class _Layout(NamedTuple):
    """How features of one memory layout are handed to the compiled passes."""

    scale: Callable[..., None]
    scale_backward: Callable[..., None]
    means: Callable[..., None]
    spread: Callable[..., None]
    memory_format: torch.memory_format

    def large(self, x: Tensor) -> NDArray[Any]:
        """Features (B, C, H, W) as an array that shares their memory."""
        if self.memory_format is torch.channels_last:
            return x.detach().permute(0, 2, 3, 1).numpy()
        return x.detach().reshape(-1, *x.shape[2:]).numpy()

    def small(self, part: Tensor, dtype: torch.dtype) -> NDArray[Any]:
        """A factor (B, C, n) as an array of its own order."""
        part = part.detach().to(dtype)
        if self.memory_format is torch.channels_last:
            return part.transpose(1, 2).contiguous().numpy()
        return part.contiguous().view(-1, part.shape[2]).numpy()

    def zeros(self, x: Tensor, length: int) -> NDArray[Any]:
        """What a factor's gradient is summed up in."""
        batch, channels = x.shape[:2]
        shape = (
            (batch, length, channels)
            if self.memory_format is torch.channels_last
            else (batch * channels, length)
        )
        return torch.zeros(shape, dtype=x.dtype).numpy()

    def factor(self, array: NDArray[Any], x: Tensor) -> Tensor:
        """The array of a factor as (B, C, n)."""
        part = torch.from_numpy(array)
        if self.memory_format is torch.channels_last:
            return part.transpose(1, 2)
        return part.view(x.shape[0], x.shape[1], -1)


_MAPS = _Layout(
    kernels.scale_maps,
    kernels.scale_maps_backward,
    kernels.mean_maps,
    kernels.spread_maps,
    torch.contiguous_format,
)
_PIXELS = _Layout(
    kernels.scale_pixels,
    kernels.scale_pixels_backward,
    kernels.mean_pixels,
    kernels.spread_pixels,
    torch.channels_last,
)


def _layout(x: Tensor) -> _Layout | None:
    """The layout with compiled passes that ``x`` has; None where plain operations must do."""
    if x.device.type != "cpu" or x.dtype not in COMPILED_TYPES or not x.numel():
        return None
    for layout in (_MAPS, _PIXELS):
        if x.is_contiguous(memory_format=layout.memory_format):
            return layout
    return None


class _Calibration(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, offset: Tensor, slope: Tensor, width: Tensor) -> Tensor:
        ctx.save_for_backward(x, offset, slope, width)
        y, layout = torch.empty_like(x), _layout(x)
        if layout is None:
            for part, *factors, out in _portions(x, offset, slope, width, y):
                out.copy_(part * _factor(*factors))
        else:
            small = [layout.small(factor, x.dtype) for factor in (offset, slope, width)]
            kernels.run(layout.scale, (layout.large(x), *small, layout.large(y)))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, ...]:
        x, *factors = ctx.saved_tensors
        dx, layout = torch.empty_like(x), _layout(x)
        if layout is None:
            sums = [torch.empty_like(factor, memory_format=torch.contiguous_format) for factor in factors]
            for parts in _portions(x, g, *factors, dx, *sums):
                _scale_backward_plainly(*parts)
            return dx, *sums
        g = g.contiguous(memory_format=layout.memory_format)
        small = [layout.small(factor, x.dtype) for factor in factors]
        made = [layout.zeros(x, factor.shape[2]) for factor in factors]
        kernels.run(
            layout.scale_backward, (layout.large(x), layout.large(g), *small, layout.large(dx), *made)
        )
        return dx, *(layout.factor(array, x) for array in made)


class _AxisMeans(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        layout = _layout(x)
        if layout is None:
            return x.view_as(x), x.mean(3), x.mean(2)
        height, width = layout.zeros(x, x.shape[2]), layout.zeros(x, x.shape[3])
        kernels.run(layout.means, (layout.large(x), height, width))
        return x.view_as(x), layout.factor(height, x), layout.factor(width, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dx: Tensor, d_height: Tensor, d_width: Tensor) -> Tensor:
        layout = _layout(dx)
        d_height, d_width = d_height / dx.shape[3], d_width / dx.shape[2]
        if layout is None:
            return dx.add_(d_height.unsqueeze(3)).add_(d_width.unsqueeze(2))
        small = (layout.small(d_height, dx.dtype), layout.small(d_width, dx.dtype))
        kernels.run(layout.spread, (layout.large(dx), *small))
        return dx


def _portions(*tensors: Tensor) -> Iterator[list[Tensor]]:
    """An eighth of the batch at a time, so that what is made on the way stays small beside the features."""
    size = max(1, -(-len(tensors[0]) // 8))
    for begin in range(0, len(tensors[0]), size):
        yield [tensor[begin : begin + size] for tensor in tensors]


def _factor(offset: Tensor, slope: Tensor, width: Tensor) -> Tensor:
    """The factor (b, C, H, W), in float32 where the features have fewer digits."""
    return torch.addcmul(
        offset[..., None].float() if offset.dtype.itemsize < 4 else offset[..., None],
        slope[..., None],
        width[:, :, None, :],
    )


def _scale_backward_plainly(
    x: Tensor, g: Tensor, offset: Tensor, slope: Tensor, width: Tensor, dx: Tensor, *sums: Tensor
) -> None:
    """The gradients of a portion, written to ``dx`` and the sums for offset, slope and width."""
    dx.copy_(g * _factor(offset, slope, width))
    both = g.float() * x if x.dtype.itemsize < 4 else g * x
    d_offset, d_slope, d_width = sums
    d_offset.copy_(both.sum(3))
    d_slope.copy_((both * width[:, :, None, :]).sum(3))
    d_width.copy_((both * slope[..., None]).sum(2))
