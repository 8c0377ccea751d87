"""``rfga train``: a run is trained, and measured where its data tell what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.engine.evaluating.command import evaluate_and_record, measured
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.evaluating.report import write_run_report
from rfga.engine.learning.train import train
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.options import groups_of
from rfga.engine.run.recipe_result import followed_recipe, recipe_record
from rfga.engine.run.recipes import Recipe, read_recipe
from rfga.engine.runtime.joining import joined
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.files import claimed
from rfga.methods import BY_PASSES

OF_EPOCHS = {name for name, group in groups_of(TrainConfig).items() if group == "learning by epochs"}
"""Settings of learning by steps, without meaning for a method that is solved."""


@dataclass(frozen=True)
class TrainCommand:
    """What ``rfga train`` was asked for.

    Args:
        data: folder or name of a data set.
        out: the run folder.
        settings: those of ``TrainConfig`` that were given.
        options: of the method.
        recipe: name or file of one whose settings the given ones override.
        truth: boxes or masks of val.
        policy: about an earlier run in the folder.
        loggers: names of those that get every epoch.
        class_name: of the one class of photographs without class folders.
    """

    data: str
    out: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | Path | None = None
    truth: Path | None = None
    policy: RunPolicy = field(default_factory=RunPolicy)
    loggers: Sequence[str] = ()
    class_name: str | None = None


def train_and_report(command: TrainCommand, runtime: Runtime | None = None) -> dict[str, Any] | None:
    """``rfga train``: train, then evaluate on val where its truth or its class labels are known.

    A recipe's published number has its own split: that is evaluated too, where the data set is the recipe's.

    Returns:
        The numbers on val; None where there is no val split.

    Raises:
        UserError: anything in the input that cannot work.
    """
    with joined(runtime or Runtime()) as shared:
        return _train_and_report(command, shared)


def _train_and_report(command: TrainCommand, runtime: Runtime) -> dict[str, Any] | None:
    run = RunFolder(command.out)
    goes_on = runtime.processes.agree(lambda: run.goes_on(command.policy))
    with ExitStack() as claims:  # before the data are looked at: the run may lie among the photographs
        runtime.processes.agree(lambda: claims.enter_context(claimed(run.path, "rfga train")))
        return _train_in(run, goes_on, command, runtime)


def _train_in(
    run: RunFolder, goes_on: bool, command: TrainCommand, runtime: Runtime
) -> dict[str, Any] | None:
    recipe = None if command.recipe is None else read_recipe(command.recipe)
    settings, truth = _settings_of(command, recipe), command.truth
    followed: dict[str, Any] | None = None
    if goes_on:
        held, data = run.read_config()
        settings = _over(held.to_dict(), settings)
        truth = truth or (Path(data["truth"]) if data.get("truth") else None)
        followed = data.get("recipe")
    was_finished = goes_on and run.is_finished
    dataset = open_dataset(command.data, truth, class_name=command.class_name)
    source: dict[str, Any] = {"source": command.data, "truth": None if truth is None else str(truth)}
    config = TrainConfig.from_dict(settings)
    ignored = sorted(OF_EPOCHS & {*command.settings}) if config.method in BY_PASSES else []
    if ignored:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in ignored)
        announcer(runtime.quiet)(f"{flags}: of no effect, for {config.method} is solved, without epochs")
    if recipe is not None and not goes_on:
        followed = recipe_record(recipe, config)
    if followed:
        source["recipe"] = followed
    train(
        config,
        dataset,
        run,
        runtime=runtime,
        policy=command.policy,
        source=source,
        loggers=command.loggers,
    )
    splits = [split for split in _splits_to_measure(run, dataset) if dataset.samples(split)]
    for split in splits:
        if not (was_finished and split in measured(run)):
            evaluate_and_record(run, dataset, EvaluateCommand(split=split), runtime)
    if not splits and runtime.processes.first:
        write_run_report(run, None)
    found: dict[str, Any] | None = measured(run).get("val")
    return found


def _splits_to_measure(run: RunFolder, dataset: Dataset) -> list[str]:
    recipe = followed_recipe(run)
    expected = recipe.expected if recipe is not None and recipe.dataset == dataset.name else None
    return ["val"] if expected is None else list(dict.fromkeys(["val", expected.split]))


def _settings_of(command: TrainCommand, recipe: Recipe | None) -> dict[str, Any]:
    """The recipe's settings, overridden by the flags; passes choose an image size that is not given."""
    found = _over(recipe.train if recipe else {}, {**command.settings, "options": command.options})
    chooses = found.get("method") in BY_PASSES and "image_size" not in found
    return {"choose_size": True, **found} if chooses else found


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of which those ``above`` count; options are joined where the method is the same.

    Example:
        >>> _over({"epochs": 3, "options": {"light": True}}, {"epochs": 4, "options": {"gate": "softmax"}})
        {'epochs': 4, 'options': {'light': True, 'gate': 'softmax'}}
    """
    another = "method" in above and above["method"] != below.get("method", above["method"])
    inherited = {} if another else below.get("options") or {}
    return {**below, **above, "options": {**inherited, **(above.get("options") or {})}}
