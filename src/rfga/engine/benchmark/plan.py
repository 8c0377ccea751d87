"""What ``rfga benchmark`` was asked for, turned into the list of trainings and measurements that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rfga.data.base import canonical_split
from rfga.engine.evaluating.baselines import BASELINES
from rfga.engine.run.config import METHOD_NAMES, Normalisation, RunPolicy, TrainConfig
from rfga.engine.run.model import all_options
from rfga.engine.run.options import options_of, resolve
from rfga.engine.run.recipes import read_recipe
from rfga.engine.runtime.machine import Runtime
from rfga.methods import METHODS
from rfga.types import UserError

FEW_SHOT = "few-shot learning baseline"
ON_TOP = "+foreground"
"""Behind a method's name: a row of its own, with the collection's foreground on the method's maps."""
RUNS = "runs"
AXES = ("methods", "backbones", "seeds", "normalisations")
OF_A_CELL = ("method", "backbone", "seed", "options", "normalisation")  # the other settings are the grid's
Kind = Literal["method", "few-shot", "baseline"]


@dataclass(frozen=True)
class BenchmarkCommand:
    """The flags of ``rfga benchmark``; what is not given comes from the recipe, then from the defaults.

    Args:
        data: folder or name of a data set.
        out: folder for runs, numbers and tables.
        methods: names, each perhaps with ``ON_TOP``; by default all there are.
        backbones: names.
        seeds: of training.
        normalisations: of score maps, each measured on the same weights.
        settings: those of ``TrainConfig`` that were given, the same for all.
        options: KEY of every method that has it, or METHOD.KEY of one.
        recipe: name or YAML file of settings, of which method, backbone and seed are one-element lists.
        split: val or test, which is reported.
        truth: boxes or masks of that split.
        val_truth: those of val, where test is reported.
        few_shot: train the few-shot baseline too, where that is possible.
        few_shot_epochs: of its training; by default those of the methods.
        policy: about an earlier grid in the folder.
    """

    data: str
    out: Path
    methods: Sequence[str] = ()
    backbones: Sequence[str] = ()
    seeds: Sequence[int | str] = ()
    normalisations: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | Path | None = None
    split: str = "val"
    truth: Path | None = None
    val_truth: Path | None = None
    few_shot: bool = True
    few_shot_epochs: int | None = None
    policy: RunPolicy = field(default_factory=RunPolicy)


@dataclass(frozen=True)
class DataSource:
    """Where photographs and truth are."""

    data: str
    split: str  # that is reported
    truth: Path | None  # of that split
    val_truth: Path | None  # of val, whichever split is reported

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        truths = {"truth": self.truth, "val_truth": self.val_truth}
        texts = {name: None if path is None else str(path) for name, path in truths.items()}
        return {"data": self.data, "split": self.split, **texts}


@dataclass(frozen=True)
class Task:
    """One cell of the grid, or one baseline: everything that a process needs to do it."""

    kind: Kind
    method: str
    backbone: str | None
    seed: int | None
    settings: Mapping[str, Any]  # of TrainConfig, all but the normalisation
    normalisations: tuple[str, ...]
    source: DataSource
    out: Path  # of the grid
    runtime: Runtime

    @property
    def name(self) -> str:
        """Of its record and its folder.

        Example:
            >>> source = DataSource("birds", "val", None, None)
            >>> Task("method", "cam", "a/b", 3, {}, ("minmax",), source, Path("out"), Runtime()).name
            'cam-a_b-seed3'
        """
        if self.kind == "baseline":
            return self.method
        first = "few-shot" if self.kind == "few-shot" else self.method
        return re.sub(r"[^\w.+-]", "_", f"{first}-{self.backbone}-seed{self.seed}")

    @property
    def folder(self) -> str | None:
        """Of its run, below the grid's; None for a baseline without training."""
        return None if self.kind == "baseline" else f"{RUNS}/{self.name}"

    @property
    def products(self) -> tuple[str, ...]:
        """Files below the grid's folder without which the task is not done."""
        return () if self.folder is None else (f"{self.folder}/model.safetensors",)

    @property
    def identity(self) -> dict[str, Any]:
        """What its record says of it, whatever comes of it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "method": self.method,
            "backbone": self.backbone,
            "seed": self.seed,
            "run": self.folder,
        }

    @property
    def title(self) -> str:
        """For people."""
        on = "" if self.backbone is None else f" on {self.backbone}, seed {self.seed}"
        return f"{self.method}{on}"


@dataclass(frozen=True)
class Plan:
    """The whole grid."""

    methods: tuple[str, ...]
    backbones: tuple[str, ...]
    seeds: tuple[int, ...]
    normalisations: tuple[str, ...]
    split: str
    settings: dict[str, Any]  # shared by all
    options: dict[str, dict[str, Any]]  # of each method, complete
    few_shot_epochs: int | None  # None where there is no such baseline
    tasks: tuple[Task, ...]


def make_plan(command: BenchmarkCommand, runtime: Runtime | None = None) -> Plan:
    """Every cell of the grid with its settings checked, the cheap baselines first.

    Raises:
        UserError: an unknown name, setting or option, or a value out of its range.

    Example:
        >>> asked = BenchmarkCommand("birds", Path("out"), methods=["cam"], seeds=[0, 1])
        >>> [task.name for task in make_plan(asked).tasks if task.kind == "method"]
        ['cam-resnet50-seed0', 'cam-resnet50-seed1']
    """
    recipe = {} if command.recipe is None else dict(read_recipe(command.recipe).train)
    axes = {axis: recipe.pop(axis, None) for axis in AXES}
    methods = _names(command.methods or axes["methods"] or METHOD_NAMES)
    _names(map(_method_of, methods), METHOD_NAMES, "methods")
    backbones = _names(command.backbones or axes["backbones"] or [recipe.get("backbone", "resnet50")])
    seeds = parse_seeds(command.seeds or axes["seeds"] or [recipe.get("seed", 0)])
    given = command.normalisations or axes["normalisations"] or [recipe.get("normalisation", "minmax")]
    normalisations = _names(given, get_args(Normalisation), "normalisations")
    options = _options(methods, recipe, command.options)
    shared = _shared({**recipe, **command.settings})
    own = {row: {**_of_row(row, shared), "options": options[row]} for row in methods}
    of_method = {row: all_options(TrainConfig.from_dict(settings)) for row, settings in own.items()}
    epochs = shared["epochs"] if command.few_shot_epochs is None else command.few_shot_epochs
    TrainConfig.from_dict({**shared, "epochs": epochs})
    split = canonical_split(command.split)
    val_truth = command.truth if split == "val" else command.val_truth
    source = DataSource(command.data, split, command.truth, val_truth)

    def cells(kind: Kind, method: str, own: Mapping[str, Any]) -> list[Task]:
        return [
            Task(
                kind=kind,
                method=method,
                backbone=backbone,
                seed=seed,
                settings={**shared, "backbone": backbone, "seed": seed, **own},
                **everywhere,
            )
            for backbone in backbones
            for seed in seeds
        ]

    everywhere: dict[str, Any] = {
        "normalisations": normalisations,
        "source": source,
        "out": command.out,
        "runtime": runtime or Runtime(),
    }
    tasks = [Task("baseline", name, None, None, {}, **everywhere) for name in BASELINES]
    grid = [cells("method", row, {**own[row], "options": of_method[row]}) for row in methods]
    # All methods on one backbone with one seed come before the next seed: a grid that is stopped compares.
    tasks += [task for place in zip(*grid, strict=True) for task in place]
    if command.few_shot:
        tasks += cells("few-shot", FEW_SHOT, {"epochs": epochs})
    return Plan(methods, backbones, seeds, normalisations, split, shared, of_method, epochs, tuple(tasks))


def _method_of(row: str) -> str:
    return row.removesuffix(ON_TOP)


def _of_row(row: str, shared: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a row that are its own."""
    return {"method": _method_of(row), "foreground": shared["foreground"] or row.endswith(ON_TOP)}


def _shared(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that all cells share, complete and checked."""
    settings = {name: value for name, value in given.items() if name not in OF_A_CELL}
    complete = TrainConfig.from_dict(settings).to_dict()
    return {name: value for name, value in complete.items() if name not in OF_A_CELL}


def _names(given: Iterable[Any], known: Sequence[str] = (), what: str = "") -> tuple[str, ...]:
    names = tuple(dict.fromkeys(str(name).strip() for name in given))
    if unknown := [name for name in names if known and name not in known]:
        raise UserError(f"expected --{what} out of {', '.join(known)}, found {unknown[0]!r}: correct it")
    return names


def parse_seeds(given: Iterable[Any]) -> tuple[int, ...]:
    """Whole numbers, each once.

    Raises:
        UserError: one is none.

    Example:
        >>> parse_seeds(["1", 0, 1])
        (1, 0)
    """
    seeds: dict[int, None] = {}
    for seed in given:
        try:
            seeds[int(seed)] = None
        except ValueError as error:
            raise UserError(
                f"expected --seeds as whole numbers joined by commas, found {seed!r}: give, say, 0,1,2"
            ) from error
    return tuple(seeds)


def _options(
    methods: Sequence[str], recipe: dict[str, Any], given: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The options of each method: those of the recipe's own one, then KEY, then METHOD.KEY.

    Example:
        >>> _options(["cam", "rfga"], {}, {"light": "true", "rfga.gate": "softmax"})
        {'cam': {}, 'rfga': {'light': 'true', 'gate': 'softmax'}}
    """
    owner = recipe.get("method")
    held = {} if owner is not None and owner not in methods else recipe.get("options") or {}
    below = {key if owner is None else f"{owner}.{key}": value for key, value in held.items()}
    ordered = [item for keys in (below, given) for item in sorted(keys.items(), key=lambda i: "." in i[0])]
    valid = {method: _option_names(method) for method in methods}
    found: dict[str, dict[str, Any]] = {method: {} for method in methods}
    for key, value in ordered:
        named, _, option = key.rpartition(".")
        those = [row for row in methods if option in valid[row] and (not named or _named(row, named))]
        if not those:
            by_method = {_method_of(row): names for row, names in valid.items()}
            raise UserError(_no_such_option(key, named, by_method))
        for method in those:
            found[method][option] = value
    return found


def _option_names(method: str) -> list[str]:
    return [option.name for option in options_of(resolve(METHODS, _method_of(method), "method"))]


def _no_such_option(key: str, named: str, valid: Mapping[str, Sequence[str]]) -> str:
    if named and not any(_named(method, named) for method in valid):
        return f"expected --set METHOD.KEY of a method out of {', '.join(valid)}, found {key}: correct it"
    there = [f"{method}.{name}" for method, names in valid.items() for name in names]
    listed = f"one of {', '.join(there)}" if there else "none, since these methods have no option"
    return f"expected as --set {listed}, found {key}: correct or remove it"


def _named(row: str, name: str) -> bool:
    """Whether a row is of that method, which the command line may have spelled with underscores."""
    return _method_of(row).replace("-", "_") == name.replace("-", "_")
