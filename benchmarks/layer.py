"""Speed of the RFGA layer beside plain operations around the same convolutions; prints a Markdown table.

``python benchmarks/layer.py [--rounds 15] [--threads N] [--clock cpu]``: forward and backward, both forms in
turn in one process, medians.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rfga.nn.rfga import RFGA

SHAPES = ((16, 2048, 28, 28), (16, 1280, 14, 14))
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
Step = Callable[[], object]


def plain_layer(layer: Any, x: Tensor) -> Tensor:
    """The whole layer from plain operations: three means, the gates, the sum of four terms, the product."""
    c = layer.channel_conv(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2)
    h, w = layer.height_conv(x.mean(3)), layer.width_conv(x.mean(2))
    c, h, w = layer.channel_norm(c), layer.height_norm(h), layer.width_norm(w)
    y: Tensor = x * (1 + c.sigmoid()[..., None] + h.sigmoid()[..., None] + w.sigmoid()[:, :, None, :])
    return y


def step(forward: Callable[[], Tensor], leaves: list[Tensor], g: Tensor) -> Step:
    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        torch.autograd.backward(forward(), g)

    return run


def medians_ms(ways: dict[str, Step], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 2):
        for name, way in ways.items():
            begin = clock()
            way()
            if turn >= 2:
                taken[name].append(clock() - begin)
    return {name: 1000 * float(np.median(times)) for name, times in taken.items()}


def layer_ways(x: Tensor, g: Tensor, dense: bool) -> dict[str, Step]:
    layer = RFGA(x.shape[1], groups=1 if dense else x.shape[1]).train()
    if not dense:
        layer.height_conv = layer.width_conv = nn.Identity()
    leaves = [x, *layer.parameters()]
    return {
        "plain": step(partial(plain_layer, layer, x), leaves, g),
        "layer": step(partial(layer, x), leaves, g),
    }


def rows(
    shape: tuple[int, int, int, int], name: str, rounds: int, clock: Callable[[], float]
) -> Iterator[tuple[str, ...]]:
    torch.manual_seed(0)
    x, g = (torch.randn(shape).contiguous(memory_format=FORMATS[name]) for _ in range(2))
    x.requires_grad_()
    for what, dense in (("without its dense convolutions", False), ("whole", True)):
        times = medians_ms(layer_ways(x, g, dense), rounds, clock)
        plain, ours = times["plain"], times["layer"]
        yield f"{shape} {name}", what, f"{plain:.1f}", f"{ours:.1f}", f"{ours / plain:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for one thread")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.clock} clock, "
        f"load {os.getloadavg()[0]:.1f}\n"
    )
    print("| features | layer | plain, ms | layer, ms | of plain |\n|---|---|---|---|---|")
    for shape in SHAPES:
        for name in FORMATS:
            for row in rows(shape, name, arguments.rounds, clock):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
