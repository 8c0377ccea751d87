"""The settings of a training run, as the command line, recipes and a run's ``config.yaml`` hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import inf
from typing import Any, Literal, get_args

from rfga.engine.run.options import typed_options
from rfga.engine.runtime.machine import Precision
from rfga.methods import BY_PASSES, METHODS, POSTHOC, SHARES_OF_OBJECT, WITH_FOREGROUND
from rfga.types import UserError

METHOD_NAMES = tuple(METHODS)
POSTHOC_NAMES = tuple(POSTHOC)
SOLVED_METHODS = tuple(BY_PASSES)
MOST_SIDE_PIXELS = 4096  # of the square that the network sees: a batch of larger ones fits into no memory
OWN_MAPS = "own"  # those of the method itself, beside the names above
Normalisation = Literal["minmax", "max", "pas", "ivr", "none"]
ESTIMATED = tuple(name for name in get_args(Normalisation) if name != "none")  # "none": a level of its own
Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "step", "constant"]
CropKind = Literal["benchmark", "random-resized"]
Decoding = Literal["reduced", "full"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What decides the result of a training run, and little else.

    Args:
        method: name of the method (see: rfga methods).
        options: the method's own options.
        foreground: put the foreground of the collection on top of the method, its maps being the seeds.
        seeds_from: with the foreground, read its seeds from the method in this way instead of its own maps.
        backbone: a benchmark variant or the name of any timm network.
        weights: imagenet, none, or a local safetensors or pth file.
        image_size: side in pixels of the square that the network sees.
        output_stride: pixels of the image per pixel of the score map; by default 16, or a transformer's own.
        choose_size: a method that learns by passes chooses the side itself, once or twice
            image_size: twice where boxes shrink when photographs are seen larger.
        normalisation: of score maps; auto is minmax, or none where a method's maps are shares already.
        train_per_class: train on that many photographs of each class at most, chosen by name; else on all.
        batch_size: photographs per step and device.
        epochs: passes over the training photographs.
        lr: learning rate of the pretrained weights.
        new_lr_factor: how many times faster new layers learn.
        fast_layers: which weights these are, by the beginnings of their names; by default all new ones.
        optimizer: sgd (with momentum), or adamw, by which transformers are trained.
        momentum: of sgd.
        nesterov: look ahead with the momentum.
        weight_decay: of all weights.
        schedule: how the learning rate falls: cosine to zero, by ten at each milestone, or not.
        milestones: epochs after which the schedule step falls; by default at a third and two thirds.
        warmup_epochs: over how many epochs the learning rate rises from nothing.
        freeze_backbone: train new layers alone.
        crop: benchmark (square of 256/224 of the size, random crop) or random-resized.
        min_scale: smallest part of the photograph that a random-resized crop shows.
        flip: mirror half of the training photographs.
        compile: have torch.compile translate the backbone first; minutes more, and another last digit.
        seed: of everything random.
        decode: full, or reduced: large JPEGs to train on are read at a part of their size, which is faster.
        pad_type: padding of the network, empty (symmetric) or same; by default found out.
        mean: of the colours in [0, 1]; by default found out.
        std: of the colours in [0, 1]; by default found out.
        precision: of the arithmetic; auto is bf16 where the device has it.
    """

    method: str = field(default="rfga", metadata={"group": "network and method"})
    options: dict[str, Any] = field(default_factory=dict)
    foreground: bool = False
    seeds_from: str | None = None
    backbone: str = "resnet50"
    weights: str = "imagenet"
    image_size: int = 224
    output_stride: int | None = None
    choose_size: bool = False
    normalisation: Literal["auto", "minmax", "max", "pas", "ivr", "none"] = "auto"
    train_per_class: int | None = field(default=None, metadata={"group": "learning"})
    batch_size: int = 32
    epochs: int = field(default=10, metadata={"group": "learning by epochs"})
    lr: float = 0.001
    new_lr_factor: float = 10.0
    fast_layers: tuple[str, ...] | None = None
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] | None = None
    warmup_epochs: float = 0.5
    freeze_backbone: bool = False
    crop: CropKind = "benchmark"
    min_scale: float = 0.5
    flip: bool = True
    compile: bool = False
    seed: int = 0
    decode: Decoding = field(default="reduced", metadata={"group": "reading photographs"})
    pad_type: str | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    precision: Precision = field(default="auto", metadata={"group": "machine"})

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is written.

        Raises:
            UserError: a value out of its range.
        """
        _require(self, "method", self.method in METHOD_NAMES, f"out of {', '.join(METHOD_NAMES)}")
        if self.normalisation == "auto":
            own: Normalisation = "none" if self.foreground or self.method in SHARES_OF_OBJECT else "minmax"
            object.__setattr__(self, "normalisation", own)
        twice = self.foreground and self.method in WITH_FOREGROUND
        _require(self, "foreground", not twice, f"off for the method {self.method}, which has it already")
        known = self.seeds_from is None or (self.foreground and self.seeds_from in POSTHOC_NAMES)
        _require(self, "seeds_from", known, f"out of {', '.join(POSTHOC_NAMES)}, together with --foreground")
        for name in ("epochs", "image_size", "output_stride", "batch_size"):
            _require(self, name, getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
        _require(self, "image_size", self.image_size <= MOST_SIDE_PIXELS, f"at most {MOST_SIDE_PIXELS}")
        for name in ("lr", "new_lr_factor"):
            _require(self, name, 0 < getattr(self, name) < inf, "above 0 and finite")
        for name in ("weight_decay", "warmup_epochs", "seed"):
            _require(self, name, 0 <= getattr(self, name) < inf, "at least 0")
        _require(self, "momentum", 0 <= self.momentum < 1, "from 0 to below 1")
        _require(self, "min_scale", 0 < self.min_scale <= 1, "above 0 and at most 1")
        few = self.train_per_class
        _require(self, "train_per_class", few is None or few >= 1, "at least 1")
        _require(self, "std", self.std is None or all(0 < s < inf for s in self.std), "above 0 and finite")
        _require(self, "mean", self.mean is None or all(-inf < m < inf for m in self.mean), "finite")
        _require(self, "fast_layers", "" not in (self.fast_layers or ()), "of at least a letter each")
        if self.milestones is not None:
            rising = all(a < b for a, b in pairwise((0, *self.milestones)))
            _require(self, "milestones", rising, "rising, from 1")
            steps = self.schedule == "step" or not self.milestones
            _require(self, "schedule", steps, "step, to which milestones belong")

    def read_as(self, normalisation: str | None, maps: str) -> TrainConfig:
        """The same settings for the method's own maps or others, normalised as asked or as suits them."""
        if normalisation is None and maps != OWN_MAPS:
            other = "minmax" if self.normalisation == "none" else self.normalisation
            normalisation = "none" if maps in SHARES_OF_OBJECT else other
        return TrainConfig.from_dict({**self.to_dict(), "normalisation": normalisation or self.normalisation})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML."""
        plain = asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Settings from YAML or from what ``to_dict`` gave, each converted to its type.

        Raises:
            UserError: an unknown setting, or a value of another type or out of its range.

        Example:
            >>> TrainConfig.from_dict({"epochs": "3", "mean": [0.5, 0.5, 0.5]}).mean
            (0.5, 0.5, 0.5)
        """
        return cls(**typed_options(cls, values, kind="setting"))


@dataclass(frozen=True)
class RunPolicy:
    """What to do where the output folder holds an earlier run; with neither it is refused.

    Args:
        resume: go on where it stopped.
        overwrite: start anew in its place.

    Raises:
        UserError: both at once.
    """

    resume: bool = field(default=False, metadata={"group": "what is written"})
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise UserError("expected --resume or --overwrite, found both: leave one out")


def require_batch_size(batch_size: int) -> None:
    """Refuse a batch without photographs.

    Raises:
        UserError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise UserError(f"expected --batch-size of at least 1, found {batch_size}: give 1 or more")


def _require(config: TrainConfig, name: str, holds: bool, wanted: str) -> None:
    if not holds:
        flag = f"--{name.replace('_', '-')}"
        raise UserError(f"expected {name} {wanted}, found {getattr(config, name)}: give another {flag}")
