"""The contract of a backbone: images (B, 3, H, W) to features (B, C, h, w), with layers attached between."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A network cut before its classifier, with named stages.

    Layers are attached by forward hooks, so the weights of ``network`` keep their names, and a file of
    pretrained weights fits before and after.

    Args:
        network: any module whose sub-modules are the stages.
        features: calls ``network`` on images and returns its last maps (B, C, h, w).
        stages: stage name -> (name of the sub-module of ``network`` it ends with, channels). An empty
            sub-module name stands for the result of ``features`` itself.
        mean: of each colour in [0, 1], subtracted from the input by whoever feeds the network.
        std: of each colour, by which the input is divided.
        pad_type: the padding that was asked for; None is the network's own.
    """

    def __init__(
        self,
        network: nn.Module,
        features: Callable[[Tensor], Tensor],
        stages: dict[str, tuple[str, int]],
        *,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        pad_type: str | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._features = features
        self.channels = {name: channels for name, (_, channels) in stages.items()}
        self.mean, self.std, self.pad_type = mean, std, pad_type
        self.attached = nn.ModuleDict()
        self._seen: dict[str, Tensor] | None = None
        self._ends_alone = [name for name, (module, _) in stages.items() if not module]
        for name, (module, _) in stages.items():
            if module:
                network.get_submodule(module).register_forward_hook(partial(self._after, name))

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages' names, from the input to the output."""
        return tuple(self.channels)

    @property
    def out_channels(self) -> int:
        """Channels of the last stage, which ``forward`` returns."""
        return self.channels[self.stages[-1]]

    def stage_name(self, stage: str | int) -> str:
        """The name of a stage given by its name or by its place (-1 is the last).

        Raises:
            ValueError: there is no such stage; the message names those there are.
        """
        if isinstance(stage, int) and -len(self.stages) <= stage < len(self.stages):
            return self.stages[stage]
        if stage not in self.channels:
            raise ValueError(f"expected a stage out of {', '.join(self.stages)}, found {stage!r}")
        return str(stage)

    def attach(self, stage: str | int, layer: nn.Module) -> None:
        """Let ``layer`` (B, C, h, w) -> (B, C, h, w) follow ``stage``; several follow in the order given."""
        key = _module_key(self.stage_name(stage))
        if key not in self.attached:
            self.attached[key] = nn.ModuleList()
        held = self.attached[key]
        if not isinstance(held, nn.ModuleList):
            raise TypeError(f"expected a list of layers after {stage}, found {type(held).__name__}")
        held.append(layer)

    def forward(self, images: Tensor) -> Tensor:
        """The last stage's features (B, C, h, w) of normalised ``images`` (B, 3, H, W)."""
        out = self._features(images)
        for name in self._ends_alone:
            out = self._after(name, self.network, (images,), out)
        return out

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        """The features of every stage, by its name, as the following stage receives them."""
        self._seen = {}
        try:
            last = self(images)
            return {**self._seen, self.stages[-1]: last}
        finally:
            self._seen = None

    def _after(self, stage: str, module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """The hook at the end of a stage: run what is attached there, keep the result if asked to."""
        del module, args
        key = _module_key(stage)
        if key in self.attached:
            for layer in self.attached[key].children():
                out = layer(out)
        if self._seen is not None:
            self._seen[stage] = out
        return out


def _module_key(stage: str) -> str:
    return stage.replace(".", "_")  # a ModuleDict takes no dots
