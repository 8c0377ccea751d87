"""Speed of the RFGA layer's calibration beside the plain composition; prints a Markdown table.

``python benchmarks/layer.py [--rounds 15] [--threads N] [--clock cpu]``: one process, the ways in turn,
medians. The bound is one copy of X (what forward must do) and one addition of two such tensors (what backward
must do), each a new tensor, as the results of a step are.

Most of the time of a new large tensor is the system's, which hands out memory in pages of 4 kB unless asked
for larger ones. The layer asks; PyTorch does where THP_MEM_ALLOC_ENABLE=1 is set. Run it with and without:
with it, all ways have memory alike, and what remains is the work itself.
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

from rfga.nn.calibration import calibrate
from rfga.nn.rfga import RFGA

SHAPES = ((16, 2048, 28, 28), (16, 1280, 14, 14))
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
Step = Callable[[], object]


def plain_calibration(x: Tensor, c: Tensor, h: Tensor, w: Tensor) -> Tensor:
    """The sum of four terms formed first, then one product."""
    return x * (1 + c[..., None, None] + h[..., None] + w[:, :, None, :])


def fused_calibration(x: Tensor, c: Tensor, h: Tensor, w: Tensor) -> Tensor:
    return calibrate(x, h, None, w, 1 + c)


def plain_layer(layer: Any, x: Tensor) -> Tensor:
    """The whole layer from plain operations: three means, the gates, the sum of four terms, the product."""
    c = layer.channel_conv(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2)
    h, w = layer.height_conv(x.mean(3)), layer.width_conv(x.mean(2))
    c, h, w = layer.channel_norm(c), layer.height_norm(h), layer.width_norm(w)
    return plain_calibration(x, c.sigmoid().squeeze(2), h.sigmoid(), w.sigmoid())


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


def calibration_ways(x: Tensor, g: Tensor) -> dict[str, Step]:
    batch, channels, height, width = x.shape
    small = [torch.rand(batch, channels, *n).requires_grad_() for n in ((), (height,), (width,))]
    held = x.detach()
    there = torch.empty_like(held)
    return {
        "bound": lambda: (held.clone(), held + g),
        "bound, into memory that is there": lambda: (there.copy_(held), torch.add(held, g, out=there)),
        "calibration, plain": step(lambda: plain_calibration(x, *small), [x, *small], g),
        "calibration, fused": step(lambda: fused_calibration(x, *small), [x, *small], g),
    }


def layer_ways(x: Tensor, g: Tensor, dense: bool) -> dict[str, Step]:
    layer = RFGA(x.shape[1], groups=1 if dense else x.shape[1]).train()
    if not dense:
        layer.height_conv = layer.width_conv = nn.Identity()
    leaves = [x, *layer.parameters()]
    name = "layer with its dense convolutions" if dense else "layer without them"
    return {
        f"{name}, plain": step(partial(plain_layer, layer, x), leaves, g),
        f"{name}, fused": step(partial(layer, x), leaves, g),
    }


def rows(
    shape: tuple[int, int, int, int], name: str, rounds: int, clock: Callable[[], float]
) -> Iterator[tuple[str, ...]]:
    torch.manual_seed(0)
    x, g = (torch.randn(shape).contiguous(memory_format=FORMATS[name]) for _ in range(2))
    x.requires_grad_()
    bound = 0.0
    for ways in (calibration_ways(x, g), layer_ways(x, g, False), layer_ways(x, g, True)):
        times = medians_ms(ways, rounds, clock)
        bound = bound or times["bound"]
        plain = next(taken for way, taken in times.items() if way.endswith("plain"))
        for way, taken in times.items():
            yield f"{shape} {name}", way, f"{taken:.2f}", f"{taken / plain:.2f}", f"{taken / bound:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for one thread")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    large_pages = os.environ.get("THP_MEM_ALLOC_ENABLE", "0")
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.clock} clock, "
        f"THP_MEM_ALLOC_ENABLE={large_pages}, load {os.getloadavg()[0]:.1f}\n"
    )
    print("| features | step, forward and backward | ms | of plain | of bound |\n|---|---|---|---|---|")
    for shape in SHAPES:
        for name in FORMATS:
            for row in rows(shape, name, arguments.rounds, clock):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
