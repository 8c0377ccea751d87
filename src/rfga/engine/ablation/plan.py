"""What ``rfga ablate`` was asked for, turned into the trainings and measurements that it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfga.data.base import canonical_split
from rfga.engine.ablation.variants import FULL, Variant, all_variants, chosen_variants
from rfga.engine.benchmark.plan import AXES, RUNS, DataSource, Plan, Task, parse_seeds
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.model import all_options
from rfga.engine.run.recipes import read_recipe
from rfga.engine.runtime.machine import Runtime
from rfga.types import UserError

REPLICATES = "replicates"
OF_A_VARIANT = ("method", "options", "seed", "freeze_backbone")  # the other settings are the grid's


@dataclass(frozen=True)
class AblationCommand:
    """The flags of ``rfga ablate``.

    Args:
        data: folder or name of a data set.
        out: folder for features or runs, numbers and tables.
        seeds: of training.
        only: mechanisms; by default all.
        settings: those of ``TrainConfig`` that were given.
        recipe: name or YAML file of settings, which the given ones override.
        fine_tune: train the whole network, instead of the layer and the head on a frozen one.
        half_features: keep the frozen network's features with half the digits, in half the room.
        split: val or test, which is measured.
        truth: boxes or masks of that split.
        policy: about an earlier ablation in the folder.
    """

    data: str
    out: Path
    seeds: Sequence[int | str] = (0,)
    only: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | Path | None = None
    fine_tune: bool = False
    half_features: bool = False
    split: str = "val"
    truth: Path | None = None
    policy: RunPolicy = field(default_factory=RunPolicy)


@dataclass(frozen=True)
class AblationTask(Task):
    """One variant with one seed."""

    variant: Variant

    @property
    def name(self) -> str:
        """Of its record and its files."""
        return re.sub(r"[^\w.+=-]", "_", f"{self.variant.name}-seed{self.seed}")

    @property
    def trains_network(self) -> bool:
        """Whether all weights learn, not the layer and the head alone."""
        return not self.settings["freeze_backbone"]

    @property
    def folder(self) -> str | None:
        """Of its run; none is kept of what is trained on features in a minute."""
        return f"{RUNS}/{self.name}" if self.trains_network else None

    @property
    def replicates(self) -> str:
        """The file of its bootstrap replicates, below the grid's folder."""
        return f"{REPLICATES}/{self.name}.safetensors"

    @property
    def products(self) -> tuple[str, ...]:
        """Files below the grid's folder without which the task is not done."""
        return (*super().products, self.replicates)

    @property
    def identity(self) -> dict[str, Any]:
        """What its record says of it, whatever comes of it."""
        return {**super().identity, "variant": self.variant.name}

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.variant.name}, seed {self.seed}"


@dataclass(frozen=True)
class AblationPlan(Plan):
    """The whole grid."""

    variant_tasks: tuple[AblationTask, ...]  # the tasks, with their variants
    config: TrainConfig  # shared by all


def make_ablation_plan(command: AblationCommand, runtime: Runtime | None = None) -> AblationPlan:
    """Every training of the ablation with its settings checked, seed by seed.

    Raises:
        UserError: an unknown name or setting, a value out of its range, or settings that do not go together.

    Example:
        >>> asked = AblationCommand("birds", Path("out"), seeds=[0, 1], only=["gate"])
        >>> [task.name for task in make_ablation_plan(asked).tasks]
        ['full_layer-seed0', 'gate=softmax-seed0', 'full_layer-seed1', 'gate=softmax-seed1']
    """
    recipe = {} if command.recipe is None else dict(read_recipe(command.recipe).train)
    given = {**recipe, **command.settings}
    settings = {name: value for name, value in given.items() if name not in (*OF_A_VARIANT, *AXES)}
    config = TrainConfig.from_dict({**settings, "freeze_backbone": not command.fine_tune})
    if config.foreground and not command.fine_tune:
        raise UserError(
            "expected --fine-tune with --foreground, which reads places of the whole network, found features "
            "of the last stage alone: add --fine-tune"
        )
    complete = config.to_dict()
    shared = {name: complete[name] for name in complete if name not in ("method", "options", "seed")}
    variants = chosen_variants(command.only, config.normalisation)
    trained = [variant for variant in variants if variant.trained_as == variant.name]
    options = {v.name: all_options(TrainConfig(method=v.method, options=dict(v.options))) for v in trained}
    split = canonical_split(command.split)
    seeds = parse_seeds(command.seeds)
    # The full layer's maps cost a moment to read in other ways, and its training may not be there any more.
    readings = [variant.normalisation for variant in all_variants(config.normalisation)]
    others = tuple(how for how in readings if how is not None)
    tasks = tuple(
        AblationTask(
            kind="method",
            method=variant.method,
            backbone=config.backbone,
            seed=seed,
            settings={**shared, "method": variant.method, "options": options[variant.name], "seed": seed},
            normalisations=(config.normalisation, *(others if variant.name == FULL else ())),
            source=DataSource(command.data, split, command.truth, command.truth if split == "val" else None),
            out=command.out,
            runtime=runtime or Runtime(),
            variant=variant,
        )
        for seed in seeds
        for variant in trained
    )
    return AblationPlan(
        methods=tuple(dict.fromkeys(variant.method for variant in trained)),
        backbones=(config.backbone,),
        seeds=seeds,
        normalisations=(config.normalisation, *others),
        split=split,
        settings={**shared, "half_features": command.half_features},
        options=options,
        few_shot_epochs=None,
        tasks=tasks,
        variant_tasks=tasks,
        config=config,
    )
