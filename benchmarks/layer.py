"""Speed and memory of the RFGA layer's calibration beside the plain composition; prints a Markdown table.

``python benchmarks/layer.py [--rounds 15] [--threads N]``: one process, the ways in turn, medians of wall
time. The bound is one copy of X (what forward must do) and one addition of two such tensors (what backward
must do), each a new tensor, as the results of a step are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rfga.nn.calibration import calibrate
from rfga.nn.rfga import RFGA

SHAPES = ((16, 2048, 28, 28), (16, 1280, 14, 14))
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
Step = Callable[[], object]


def plain_calibration(x: Tensor, c: Tensor, h: Tensor, w: Tensor) -> Tensor:
    """The sum of four terms formed first, then one product."""
    return x * (1 + c[..., None, None] + h[..., None] + w[:, :, None, :])


def fused_calibration(x: Tensor, c: Tensor, h: Tensor, w: Tensor) -> Tensor:
    return calibrate(x, 1 + c[..., None] + h, torch.ones((), dtype=x.dtype).expand_as(h), w)


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


def medians_ms(ways: dict[str, Step], rounds: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 2):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if turn >= 2:
                taken[name].append(time.perf_counter() - begin)
    return {name: 1000 * float(np.median(times)) for name, times in taken.items()}


def rows(shape: tuple[int, int, int, int], name: str, rounds: int) -> Iterator[tuple[str, ...]]:
    torch.manual_seed(0)
    batch, channels, height, width = shape
    x, g = (torch.randn(shape).contiguous(memory_format=FORMATS[name]) for _ in range(2))
    other = torch.empty_like(x)
    x.requires_grad_()
    small = [torch.rand(batch, channels, *n).requires_grad_() for n in ((), (height,), (width,))]
    ways: dict[str, Step] = {
        "bound": lambda: (x.detach().clone(), x.detach() + g),
        "bound, into memory that is there": lambda: (
            other.copy_(x.detach()),
            torch.add(x.detach(), g, out=other),
        ),
        "calibration, plain": step(lambda: plain_calibration(x, *small), [x, *small], g),
        "calibration, fused": step(lambda: fused_calibration(x, *small), [x, *small], g),
    }
    times = medians_ms(ways, rounds)
    for way, taken in times.items():
        yield (
            f"{shape} {name}",
            way,
            f"{taken:.2f}",
            f"{taken / times['calibration, plain']:.2f}",
            f"{taken / times['bound']:.2f}",
        )
    for kind, groups in (("without dense convolutions (groups=C)", channels), ("dense", 1)):
        layer = RFGA(channels, groups=groups).train()
        leaves = [x, *layer.parameters()]
        ways = {
            f"layer {kind}, plain": step(partial(plain_layer, layer, x), leaves, g),
            f"layer {kind}, fused": step(partial(layer, x), leaves, g),
        }
        found = medians_ms(ways, max(3, rounds // 3))
        plain = next(iter(found.values()))
        for way, taken in found.items():
            yield (
                f"{shape} {name}",
                way,
                f"{taken:.2f}",
                f"{taken / plain:.2f}",
                f"{taken / times['bound']:.2f}",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("| features | step, forward and backward | ms | of plain | of bound |\n|---|---|---|---|---|")
    for shape in SHAPES:
        for name in FORMATS:
            for row in rows(shape, name, arguments.rounds):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
