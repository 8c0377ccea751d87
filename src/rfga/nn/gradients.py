"""Gradients of a network's logits at one of its places, without a trace on the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def released(network: nn.Module, place: nn.Module, logits_of: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """What a place gives, and the logits that gradients lead from back to it.

    Behind the place gradients are switched on, whatever ``logits_of`` says, and no parameter gets one.

    Args:
        network: whose parameters are left alone.
        place: a part of it.
        logits_of: asks the network for logits (B, K), of which the place is on the way.

    Raises:
        ValueError: the logits do not follow from what the place gives.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
        >>> features, logits = released(network, network[0], lambda: network(torch.ones(1, 2)))
        >>> (gradients,) = torch.autograd.grad(logits[:, 1].sum(), features)
        >>> torch.equal(gradients[0], network[1].weight[1])
        True
    """
    seen: list[Tensor] = []

    def release(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        del module, args
        torch.set_grad_enabled(True)
        seen.append(out.detach().requires_grad_())
        return seen[-1]

    needed = {parameter: parameter.requires_grad for parameter in network.parameters()}
    handle = place.register_forward_hook(release)
    try:
        network.requires_grad_(False)
        with torch.set_grad_enabled(False):  # at its end the mode is as before, whatever was switched within
            logits = logits_of()
    finally:
        handle.remove()
        for parameter, wish in needed.items():
            parameter.requires_grad_(wish)
    if not (seen and logits.requires_grad):
        raise ValueError(
            "expected logits that follow from the backbone's features, found that those of "
            f"{type(network).__name__} do not: take its own maps"
        )
    return seen[-1], logits
