"""Finer maps from a network that offers no output stride of its own, without touching a weight.

Every convolution or pooling that would take the maps below the wanted resolution gets stride 1, and each
later convolution is dilated by the factor that was left out, so that it looks at the same pixels apart
as in training (the "a trous" rule of Chen et al., DeepLab, arXiv:1606.00915).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Strided = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d
PROBE_SIDE = 256  # pixels; a power of two, so that each stage's stride can be read off its map


@contextmanager
def _watch(network: nn.Module, seen: dict[Strided, int]) -> Iterator[None]:
    """Write down the stride of each module's input, in the order of execution."""

    def note(module: Strided, args: tuple[Tensor, ...]) -> None:
        seen[module] = _stride_of(args[0])

    handles = [m.register_forward_pre_hook(note) for m in network.modules() if isinstance(m, Strided)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _stride_of(maps: Tensor) -> int:
    """Image pixels per map pixel, to the nearest power of two: layers without padding lose the border."""
    return 1 << max(0, round(math.log2(PROBE_SIDE / maps.shape[-1])))


@torch.no_grad()
def limit_stride(network: nn.Module, output_stride: int) -> None:
    """Change strides and dilations of ``network`` in place so that no map is coarser than ``output_stride``.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1))
        >>> limit_stride(net, 2)
        >>> net(torch.zeros(1, 3, 32, 32)).shape, net[2].dilation
        (torch.Size([1, 4, 16, 16]), (2, 2))
    """
    seen: dict[Strided, int] = {}
    was_training = network.training
    network.eval()
    call = getattr(network, "forward_features", network)
    with _watch(network, seen):
        call(torch.zeros(1, 3, PROBE_SIDE, PROBE_SIDE))
    network.train(was_training)
    for module, before in seen.items():
        dilation = max(1, before // output_stride)
        after = before * _first(module.stride)
        refused = max(1, after // max(before, output_stride))  # the part of its stride that must go
        if isinstance(module, nn.Conv2d):
            _refine_convolution(module, refused, dilation)
        else:
            _refine_pool(module, refused)


def _refine_convolution(conv: nn.Conv2d, refused: int, dilation: int) -> None:
    if refused > 1:
        conv.stride = (conv.stride[0] // refused, conv.stride[1] // refused)
    if dilation > 1 and conv.kernel_size != (1, 1):
        conv.dilation = (conv.dilation[0] * dilation, conv.dilation[1] * dilation)
        if not isinstance(conv.padding, str):
            conv.padding = (conv.padding[0] * dilation, conv.padding[1] * dilation)
    if refused > 1 and conv.stride == (1, 1) and conv.kernel_size[0] % 2 == 0:
        conv.padding = "same"  # an even window that no longer skips would lose the last row and column


def _refine_pool(pool: nn.MaxPool2d | nn.AvgPool2d, refused: int) -> None:
    """Leave out a part of a pool's stride; its window stays, as torch pads no dilated window far enough."""
    if refused == 1:
        return
    pool.stride = _first(pool.stride) // refused
    if _first(pool.kernel_size) % 2 == 0:  # an even window has no centre: it is left out
        pool.kernel_size, pool.padding = 1, 0


def _first(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]
