"""The contract of a backbone: images (B, 3, H, W) to features (B, C, h, w), with layers attached between.

What methods need to know of a network's structure is asked here and answered by each network: where to
erase features (``erasing_places``), where to tap it (``open_taps``), whether new layers prepare the
features (the neck) and how heads start (``start_heads``). So no network knows a method, and no method a
network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from threading import get_ident
from typing import Any, cast

import torch
from torch import Tensor, nn

from rfga.backbones.chance import Dropout, drawing_from
from rfga.backbones.layout import KEYS, Attention, Layout, Watch, quarters
from rfga.backbones.starts import Layers, start_xavier

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NECK = "neck"  # name of the stage that new layers after the network form
MAX_BRANCH_WIDTH = 512


@dataclass(frozen=True)
class Taps:
    """Two places before the last features where side branches see the network."""

    early: tuple[str, int]  # place, channels
    middle: tuple[str, int]
    width: int  # channels of the branches


class Backbone(nn.Module):
    """A network cut before its classifier, with named stages.

    Layers are attached by forward hooks, so the weights of ``network`` keep their names, and a file of
    pretrained weights fits before and after. A place is a stage, or any sub-module of ``network`` that
    runs once and gives maps.

    Args:
        network: any module whose sub-modules are the stages.
        features: calls ``network`` on images and returns its last maps, in its own layout.
        stages: stage name -> (name of the sub-module of ``network`` it ends with, channels). An empty
            sub-module name stands for the result of ``features`` itself.
        mean: of each colour in [0, 1], subtracted from the input by whoever feeds the network.
        std: of each colour, by which the input is divided.
        pad_type: the padding that was asked for; None is the network's own.
        layout: of what the network and its stages give; all others see maps.
    """

    attention: Attention | None = None  # where a transformer makes queries, keys and values, if it tells

    def __init__(
        self,
        network: nn.Module,
        features: Callable[[Tensor], Tensor],
        stages: dict[str, tuple[str, int]],
        *,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        pad_type: str | None = None,
        layout: Layout | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._features = features
        self.neck: nn.Module = nn.Identity()
        self.channels = {name: channels for name, (_, channels) in stages.items()}
        self.mean, self.std, self.pad_type = mean, std, pad_type
        self.layout = layout or Layout()
        self.attached = nn.ModuleDict()
        self._watches: dict[int, Watch] = {}  # by thread: several may ask at once
        self._without_module = [name for name, (module, _) in stages.items() if not module]
        self._watched = set(self._without_module)
        for name, (module, _) in stages.items():
            if module:
                self._watch(name, network.get_submodule(module))

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages' names, from the input to the output."""
        return tuple(self.channels)

    @property
    def out_channels(self) -> int:
        """Channels of the last stage, which ``forward`` returns."""
        return self.channels[self.stages[-1]]

    def stage_name(self, stage: str | int) -> str:
        """The name of a stage given by its name or by its number (-1 is the last), or a ``ValueError``."""
        if isinstance(stage, int) and -len(self.stages) <= stage < len(self.stages):
            return self.stages[stage]
        if stage not in self.channels:
            raise ValueError(
                f"expected a stage out of {', '.join(self.stages)}, found {stage!r}: give one of these"
            )
        return str(stage)

    def attach(self, place: str | int, layer: nn.Module) -> None:
        """Let ``layer`` (B, C, h, w) -> (B, C, h, w) follow a place; several follow in the order given.

        Args:
            place: a stage by its name or number (-1 is the last), or the name of a sub-module of the network.
            layer: what is to follow.

        Raises:
            ValueError: there is no such place.
        """
        key = _module_key(self._place(place))
        if key not in self.attached:
            self.attached[key] = nn.ModuleList()
        cast("nn.ModuleList", self.attached[key]).append(layer)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The last features (B, C, h, w) of normalised ``images``; ``generator`` is for layers that draw."""
        watch = self._watches.get(get_ident()) if self._watches else None
        if watch and watch.images is images and watch.maps is not None:
            return watch.maps
        image_hw, tokens = (images.shape[-2], images.shape[-1]), self.layout.prefix is not None
        self.layout.require_sides(image_hw)
        with drawing_from(self, generator), self._watched_here(remembers=False) if tokens else nullcontext():
            if tokens:  # their grid follows from the image alone
                self._watches[get_ident()].image_hw = image_hw
            out = self._features(images)
            for name in self._without_module:
                out = self._after(name, self.network, (images,), out)
            maps: Tensor = self.neck(self.layout.maps(out, image_hw))
        if watch and watch.remembers:
            watch.images, watch.maps = images, maps
        return maps

    @contextmanager
    def remembering(self) -> Iterator[Watch]:
        """Within, images that are asked for several times in a row are sent through the network once."""
        with self._watched_here(remembers=True) as memory:
            yield memory

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        """The features of every stage, by its name, as the following stage receives them."""
        last, earlier = self.forward_places(images, self.stages[:-1])
        return {**dict(zip(self.stages, earlier, strict=False)), self.stages[-1]: last}

    def forward_places(
        self, images: Tensor, places: Sequence[str], generator: torch.Generator | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """What ``forward`` gives, and the features at some places, what is attached there included."""
        last, seen = self._seen(images, places, generator)
        return last, [maps for maps, _ in seen]

    def forward_tokens(self, images: Tensor, places: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        """The features at some places, each with its prefix tokens (B, P, C); P is 0 where there are none."""
        return self._seen(images, places, None)[1]

    def _seen(
        self, images: Tensor, places: Sequence[str], generator: torch.Generator | None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        names = [place if place == KEYS == self.key_place else self._place(place) for place in places]
        with self._watched_here(remembers=False) as watch:
            watch.asked.update(names)
            if not watch.seen.keys() >= set(names):
                watch.images = None  # what is remembered does not tell of these places
            known = watch.maps if watch.images is images else None
            last = self(images, generator) if known is None else known
            return last, [watch.seen[name] for name in names]

    @contextmanager
    def _watched_here(self, *, remembers: bool) -> Iterator[Watch]:
        """Keep in this thread what passes the places, unless somebody around does so already."""
        thread = get_ident()
        if thread in self._watches:
            yield self._watches[thread]
            return
        self._watches[thread] = Watch(remembers)
        try:
            yield self._watches[thread]
        finally:
            del self._watches[thread]

    # Structure: what methods ask of a network. The benchmark's variants answer differently.

    @property
    def erasing_places(self) -> tuple[str, ...]:
        """After which places features are to be erased in training: each of the last three stages."""
        return self.stages[-3:]

    @property
    def middle_places(self) -> tuple[str, ...]:
        """Where features tell the parts of one thing alike: all but the last of the network's own stages.

        Backwards, for later features are of what things are and earlier ones of edges and colours; the very
        last, of what names the class, are left out.
        """
        own = tuple(n for n in self.stages if n != NECK and n not in self._without_module)
        if self.layout.prefix is not None:  # blocks that are all alike, on one grid
            own = quarters(own)
        return tuple(reversed(own[:-1])) or self.stages[:1]

    @property
    def key_place(self) -> str:
        """Where places are told apart best by what a network attends to: keys, else the last stage."""
        return KEYS if KEYS in self._watched else self.stages[-1]

    def open_taps(self) -> Taps:
        """Make ready for side branches and tell where they begin: after the two stages before the last.

        To be called before layers are attached, for a network may take another form with branches; a
        ``ValueError`` where the network has too few stages.
        """
        if len(self.stages) < 3:
            raise ValueError(
                f"expected a network of at least three stages for side branches, found {len(self.stages)} "
                f"({', '.join(self.stages)}): choose another network"
            )
        early, middle = ((name, self.channels[name]) for name in self.stages[-3:-1])
        return Taps(early, middle, width=min(MAX_BRANCH_WIDTH, middle[1]))

    def leave_out_neck(self) -> None:
        """Give the network's own features, for a method that brings convolutional heads to put on them.

        To be called before layers are attached, for a network may take another form without its neck.
        """
        self._remove_neck()

    def leave_out_dropout(self) -> None:
        """Let the neck pass on every element, for a method that leaves out features in its own way."""
        for module in self.neck.modules():
            if isinstance(module, Dropout):
                module.rate = 0.0

    def start_heads(self, heads: Layers) -> Layers:
        """Give the convolutions of a method's heads their first values, by the rule of this network."""
        return start_xavier(heads)

    def _set_neck(self, neck: nn.Module, channels: int, end: str = "") -> None:
        """Let new layers follow the network as its last stage.

        Args:
            neck: (B, C, h, w) -> (B, channels, h, w).
            channels: of what it gives.
            end: its sub-module with which the stage ends; layers attached to the stage come before the rest.
        """
        self._remove_neck()
        self.neck = neck
        self.channels[NECK] = channels
        self._watch(NECK, neck.get_submodule(end))

    def _remove_neck(self) -> None:
        self.neck = nn.Identity()
        self.channels.pop(NECK, None)
        self._watched.discard(NECK)

    def _place(self, place: str | int) -> str:
        """The name of a place, which is watched from now on."""
        named = isinstance(place, str) and place not in self.channels
        if named and place and str(place) in dict(self.network.named_modules()):
            if place not in self._watched:
                self._watch(str(place), self.network.get_submodule(str(place)))
            return str(place)
        return self.stage_name(place)

    def _watch(self, place: str, module: nn.Module) -> None:
        module.register_forward_hook(partial(self._after, place))
        self._watched.add(place)

    def _after(self, place: str, module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """The hook at the end of a place: run what is attached there, keep the result if asked to."""
        del module, args
        key, watch = _module_key(place), self._watches.get(get_ident()) if self._watches else None
        if key not in self.attached and watch is None:
            return out
        layout = Layout() if place == NECK else self.layout
        maps = layout.maps(out, watch.image_hw if watch else (0, 0))
        if key in self.attached:
            for layer in self.attached[key].children():
                maps = layer(maps)
            out = layout.own(maps, out)
        if watch is not None:
            watch.seen[place] = maps, layout.prefix_of(out)
        return out

    def watch_keys(self, module: str, channels: slice) -> None:
        """Let the keys of the last block, a part of what ``module`` gives, be read at the place ``KEYS``."""
        self.network.get_submodule(module).register_forward_hook(partial(self._after_keys, channels))
        self._watched.add(KEYS)

    def _after_keys(self, channels: slice, *of_hook: Any) -> None:
        module, args, out = of_hook
        self._after(KEYS, module, args, out[..., channels])


def _module_key(stage: str) -> str:  # a ModuleDict takes no dots
    return stage.replace(".", "_")
