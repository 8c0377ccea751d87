"""Layers inside a network that draw random numbers, from the generator of whoever calls the backbone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RandomLayer(nn.Module):
    """A layer that draws in training; ``Backbone.forward`` lends it the caller's generator for one call.

    Without a generator it draws from torch's global one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.generator: torch.Generator | None = None

    def uniform(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Random numbers in [0, 1) on ``device``, decided by the generator's state wherever it lives."""
        lent = self.generator
        seed = torch.randint(2**62, (), generator=lent, device=lent.device if lent is not None else "cpu")
        own = torch.Generator(device).manual_seed(int(seed))
        return torch.rand(shape, generator=own, device=device)


class Dropout(RandomLayer):
    """In training each element is zeroed with probability ``rate``, and the others divided by 1 - rate.

    Example:
        >>> layer = Dropout(0.5)
        >>> sorted(set(layer(torch.ones(1, 8, 4, 6)).flatten().tolist()))
        [0.0, 2.0]
        >>> bool((layer.eval()(torch.ones(2)) == 1).all())
        True
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, C, h, w) with elements left out in training, as it is otherwise."""
        if not self.training or self.rate == 0:
            return x
        kept = self.uniform(tuple(x.shape), x.device) >= self.rate
        return x * kept.to(x.dtype) / (1 - self.rate)

    def extra_repr(self) -> str:
        """The rate, for print(layer)."""
        return f"rate={self.rate}"


@contextmanager
def drawing_from(network: nn.Module, generator: torch.Generator | None) -> Iterator[None]:
    """Lend ``generator`` to every random layer of ``network`` that trains, and take it back at the end."""
    layers = [module for module in network.modules() if isinstance(module, RandomLayer) and module.training]
    before = [layer.generator for layer in layers]
    for layer in layers:
        layer.generator = generator
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.generator = own
