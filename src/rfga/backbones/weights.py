"""Weights of a network from a local file, never by running code that the file holds."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


def read_weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of a ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file.

    Raises:
        ValueError: the file is missing, damaged, of another kind, or holds more than tensors.
    """
    if not path.is_file():
        raise ValueError(f"expected a file of weights, found nothing at {path}: check the path")
    try:
        held = (
            load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        )
    except UnpicklingError as error:  # more than tensors, which torch refuses to make without running code
        raise ValueError(
            f"expected a file that holds tensors alone, found something else in {path}: "
            "save the state dict with safetensors"
        ) from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"expected a readable file of weights, found {path} damaged ({error}): copy or download it again"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not held or not all(isinstance(v, Tensor) for v in held.values()):
        raise ValueError(f"expected named tensors, found none in {path}: give a state dict")
    return {name.removeprefix("module."): value for name, value in held.items()}


def load_weights(network: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Fill every weight of ``network`` from ``weights``; a classifier in the file is left aside.

    Raises:
        ValueError: a weight is absent from the file or has another shape, or the file holds more than the
            network in a part that both have (a deeper network of the same family).
    """
    wanted = network.state_dict()
    absent = [n for n in wanted if n not in weights and not n.endswith("num_batches_tracked")]
    unlike = [n for n in wanted if n in weights and weights[n].shape != wanted[n].shape]
    parts = {n.partition(".")[0] for n in wanted}
    surplus = [n for n in weights if n not in wanted and n.partition(".")[0] in parts]
    if absent or unlike or surplus:
        if absent:
            first = f"{absent[0]} is absent"
        else:
            first = _shapes(unlike[0], weights, wanted) if unlike else f"{surplus[0]} has no place"
        raise ValueError(
            f"expected the {len(wanted)} weights of this network, found another architecture in {source} "
            f"({len(absent)} absent, {len(unlike)} of another shape, {len(surplus)} too many; {first}): "
            "name the backbone they are of"
        )
    network.load_state_dict({n: weights.get(n, wanted[n]) for n in wanted})


def _shapes(name: str, weights: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    return f"{name} is {tuple(weights[name].shape)} instead of {tuple(wanted[name].shape)}"
