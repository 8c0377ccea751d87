"""Finer maps from a network that offers no output stride of its own, without touching a weight.

Every convolution or pooling that would take the maps below the wanted resolution gets stride 1, and each
later convolution is dilated by the factor that was left out, so that it looks at the same pixels apart
as in training (the "a trous" rule of Chen et al., DeepLab, arXiv:1606.00915).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Strided = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d
PROBE_SIDE = 256  # pixels; a power of two, so that each stage's stride can be read off its map


@contextmanager
def _watch(network: nn.Module, seen: list[tuple[nn.Module, int, int]]) -> Iterator[None]:
    """Write down (module, stride of its input, stride of its output) in the order of execution."""

    def note(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        before, after = (max(1, round(PROBE_SIDE / max(1, t.shape[-1]))) for t in (args[0], out))
        seen.append((module, before, after))

    handles = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, Strided)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def limit_stride(network: nn.Module, output_stride: int) -> None:
    """Change strides and dilations of ``network`` in place so that no map is coarser than ``output_stride``.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1))
        >>> limit_stride(net, 2)
        >>> net(torch.zeros(1, 3, 32, 32)).shape, net[2].dilation
        (torch.Size([1, 4, 16, 16]), (2, 2))
    """
    seen: list[tuple[nn.Module, int, int]] = []
    was_training = network.training
    network.eval()
    call = getattr(network, "forward_features", network)
    with _watch(network, seen):
        call(torch.zeros(1, 3, PROBE_SIDE, PROBE_SIDE))
    network.train(was_training)
    for module, before, after in seen:
        dilation = max(1, before // output_stride)
        refused = max(1, after // max(before, output_stride))  # the part of its stride that must go
        if isinstance(module, nn.Conv2d):
            _refine_convolution(module, refused, dilation)
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d) and refused > 1:
            _refine_pool(module)


def _refine_convolution(conv: nn.Conv2d, refused: int, dilation: int) -> None:
    if refused > 1:
        conv.stride = (conv.stride[0] // refused, conv.stride[1] // refused)
    if dilation > 1 and conv.kernel_size != (1, 1):
        conv.dilation = (conv.dilation[0] * dilation, conv.dilation[1] * dilation)
        if not isinstance(conv.padding, str):
            conv.padding = (conv.padding[0] * dilation, conv.padding[1] * dilation)


def _refine_pool(pool: nn.MaxPool2d | nn.AvgPool2d) -> None:
    side = pool.kernel_size if isinstance(pool.kernel_size, int) else pool.kernel_size[0]
    pool.stride = 1
    if side % 2 == 0:  # an even window has no centre: with stride 1 it is left out
        pool.kernel_size = 1
        pool.padding = 0
