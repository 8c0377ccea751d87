"""Where the stages of a network end, how wide they are, and what it never uses: found by one trial image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rfga.backbones.layout import Layout
from rfga.backbones.stride import PROBE_SIDE


@dataclass(frozen=True)
class Trace:
    """What a trial image met on its way."""

    out: Tensor  # the last features
    calls: Counter[nn.Module]  # how often each module ran
    ends: dict[str, tuple[nn.Module, Tensor]]  # where timm says a stage ends, and what was sent on from there
    side: int = PROBE_SIDE  # pixels of the image


@torch.no_grad()
def watch_trial(network: nn.Module, features: Callable[[Tensor], Tensor], side: int = PROBE_SIDE) -> Trace:
    """Send an image through the network and watch, with noise sent on from the end of each stage.

    Noise that arrives unchanged as the last features shows that nothing follows the stage.
    """
    calls: Counter[nn.Module] = Counter()
    ends: dict[str, tuple[nn.Module, Tensor]] = {}
    generator = torch.Generator().manual_seed(0)

    def send_noise(name: str, module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        if isinstance(out, Tensor):
            ends[name] = (module, torch.randn(out.shape, generator=generator))
            return ends[name][1].clone()  # what follows may work in place
        return out

    handles = [m.register_forward_pre_hook(lambda m, _: calls.update([m])) for m in network.modules()]
    for info in getattr(network, "feature_info", ()):
        end = network.get_submodule(info["module"])
        handles.append(end.register_forward_hook(partial(send_noise, info["module"])))
    network.eval()
    try:
        out = features(torch.zeros(1, 3, side, side))
    finally:
        network.train()
        for handle in handles:
            handle.remove()
    return Trace(out, calls, ends, side)


def drop_unused(network: nn.Module, trace: Trace) -> None:
    """Take out classifiers and what else the features never pass, so that every weight gets a gradient."""
    for name, child in network.named_children():
        if any(True for _ in child.parameters()) and not any(m in trace.calls for m in child.modules()):
            setattr(network, name, nn.Identity())


def named_stages(trace: Trace, layout: Layout | None = None) -> dict[str, tuple[str, int]]:
    """Stage name -> (sub-module, channels), as measured: those that end with maps, and in a single call."""
    layout, hw = layout or Layout(), (trace.side, trace.side)
    ends = {
        name: sent
        for name, (module, sent) in trace.ends.items()
        if layout.has_maps(sent, hw) and trace.calls[module] == 1
    }
    stages = {name: (name, layout.maps(sent, hw).shape[1]) for name, sent in ends.items()}
    if not ends or not torch.equal(list(ends.values())[-1], trace.out):
        # Maps that timm forms after its last stage.
        stages["features"] = ("", layout.maps(trace.out, hw).shape[1])
    return stages
