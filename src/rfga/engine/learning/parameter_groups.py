"""Which weights learn, and which of them faster than the others."""

from __future__ import annotations

from typing import Any

from torch import nn

from rfga.engine.run.config import TrainConfig
from rfga.methods.base import Method
from rfga.types import UserError


def parameter_groups(method: Method, config: TrainConfig) -> list[dict[str, Any]]:
    """The weights that learn, with their learning rates, as the optimiser takes them.

    Those of ``fast_layers`` (by default all that are new) learn ``new_lr_factor`` times faster than the
    others; with ``freeze_backbone`` the pretrained ones do not learn at all.

    Returns:
        One or two groups, the faster one first; none of them is empty.

    Raises:
        UserError: no weight's name begins as ``fast_layers`` says, or nothing is left to learn.

    Example:
        >>> from rfga.engine.run.model import build_method
        >>> config = TrainConfig(method="cam", backbone="test_resnet", weights="none", lr=0.01)
        >>> groups = parameter_groups(build_method(config, num_classes=3), config)
        >>> [(len(group["params"]), group["lr"]) for group in groups]
        [(2, 0.1), (45, 0.01)]
    """
    fast = _fast_parameters(method, config.fast_layers)
    frozen = {id(p) for p in method.pretrained_parameters()} if config.freeze_backbone else set()
    learning = [p for p in method.parameters() if id(p) not in frozen]
    if not learning:
        raise UserError("expected weights that learn, found all frozen: leave out --freeze-backbone")
    groups = [
        {"params": [p for p in learning if id(p) in fast], "lr": config.lr * config.new_lr_factor},
        {"params": [p for p in learning if id(p) not in fast], "lr": config.lr},
    ]
    return [group for group in groups if group["params"]]


def _fast_parameters(method: Method, prefixes: tuple[str, ...] | None) -> set[int]:
    if prefixes is None:
        return {id(p) for p in method.new_parameters()}
    named: list[tuple[str, nn.Parameter]] = list(method.named_parameters())
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name, _ in named):
            layers = dict.fromkeys(".".join(name.split(".")[:3]) for name, _ in named)
            raise UserError(
                f"expected names of weights that begin with {prefix!r}, found none: correct --fast-layers "
                f"(there are {', '.join(layers)})"
            )
    return {id(p) for name, p in named if name.startswith(prefixes)}
