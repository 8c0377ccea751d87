"""``rfga train``: a run is trained, and measured where its data tell what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.folder import FolderDataset
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.learning.data import corrections_fingerprint
from rfga.engine.learning.train import train
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.options import groups_of
from rfga.engine.run.recipe_result import followed_recipe, measured, recipe_record
from rfga.engine.run.recipes import read_recipe
from rfga.engine.runtime.joining import joined
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.files import claimed
from rfga.methods import BY_PASSES, WITH_FOREGROUND
from rfga.types import BACKGROUND_FOLDERS, SPLITS, UserError

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
        background: name of the folder, beside the classes, of photographs without any object.
        corrected: boxes of any photographs, by a person, from which the foreground learns.
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
    background: str | None = None
    corrected: Path | None = None


def background_folders(config: TrainConfig, given: str | None) -> tuple[str, ...]:
    """The names of folders without any object, as far as the method can learn from these.

    Raises:
        UserError: a name is given, and the method cannot.

    Example:
        >>> background_folders(TrainConfig(method="foreground"), None)
        ('background', 'empty', 'negative')
        >>> background_folders(TrainConfig(method="cam"), None)
        ()
    """
    learns = config.method in BY_PASSES or config.foreground
    if given is None:
        return BACKGROUND_FOLDERS if learns else ()
    if not learns:
        raise UserError(
            f"expected --background with a method that is solved ({', '.join(BY_PASSES)}) or --foreground, "
            f"found {config.method}: leave it out"
        )
    return (given,)


def require_background(dataset: Dataset, given: str | None) -> None:
    """Refuse a name of which there is no folder with photographs.

    Raises:
        UserError: there is none.
    """
    if given is not None and not any(dataset.background(split) for split in SPLITS):
        raise UserError(
            f"expected photographs without any object in a folder {given!r} beside the class folders of "
            f"{dataset.name!r}, found none: check --background"
        )


def learns_from_boxes(config: TrainConfig) -> bool:
    """Whether boxes that a person gave teach the method where objects are."""
    return config.foreground or config.method in WITH_FOREGROUND


def take_corrections(dataset: Dataset, path: Path | None) -> None:
    """Give a data set what a person has said of its photographs.

    Raises:
        UserError: it says nothing of them, or the data set has no class folders.
    """
    if path is None:
        return
    if not isinstance(dataset, FolderDataset):
        raise UserError(
            f"expected class folders to learn from the boxes in {path}, found the data set {dataset.name!r}: "
            "leave --truth out"
        )
    dataset.correct(path)


def _other_corrections(run: RunFolder, dataset: Dataset) -> bool:
    now = corrections_fingerprint(dataset.corrections) if dataset.corrections else None
    return bool(run.read_config()[1].get("corrections") != now)


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
    settings = _over(recipe.train if recipe else {}, {**command.settings, "options": command.options})
    truth = command.truth
    followed: dict[str, Any] | None = None
    if goes_on:
        held, data = run.read_config()
        settings = _over(held.to_dict(), settings)  # a size that the collection has chosen stays
        truth = truth or (Path(data["truth"]) if data.get("truth") else None)
        followed = data.get("recipe")
    elif settings.get("method") in BY_PASSES and "image_size" not in settings:
        settings["choose_size"] = True
    config = TrainConfig.from_dict(settings)
    names = background_folders(config, command.background)
    dataset = open_dataset(command.data, truth, class_name=command.class_name, background=names)
    require_background(dataset, command.background)
    take_corrections(dataset, command.corrected)
    was_finished = goes_on and run.is_finished
    corrected = was_finished and learns_from_boxes(config) and _other_corrections(run, dataset)
    if corrected:
        runtime.processes.agree(run.reopen)
    source: dict[str, Any] = {"source": command.data, "truth": None if truth is None else str(truth)}
    if dataset.background("train"):
        source["background"] = list(names)
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
    # Of classes, which is all that is measured where no box is known, boxes by a person change nothing.
    known = [split for split in splits if was_finished and not (corrected and dataset.has_truth(split))]
    _measure(run, dataset, splits, [split for split in known if split in measured(run)], runtime)
    found: dict[str, Any] | None = measured(run).get("val")
    return found


def _measure(
    run: RunFolder, dataset: Dataset, splits: Sequence[str], done: Sequence[str], runtime: Runtime
) -> None:
    if splits and set(splits) == set(done):
        return
    # Metrics take seconds to be imported.
    from rfga.engine.evaluating.command import evaluate_and_record
    from rfga.engine.evaluating.report import write_run_report

    for split in splits:
        if split not in done:
            evaluate_and_record(run, dataset, EvaluateCommand(split=split), runtime)
    if not splits and runtime.processes.first:
        write_run_report(run, None)


def _splits_to_measure(run: RunFolder, dataset: Dataset) -> list[str]:
    recipe = followed_recipe(run)
    expected = recipe.expected if recipe is not None and recipe.dataset == dataset.name else None
    return ["val"] if expected is None else list(dict.fromkeys(["val", expected.split]))


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of which those ``above`` count; options are joined where the method is the same.

    Example:
        >>> _over({"epochs": 3, "options": {"light": True}}, {"epochs": 4, "options": {"gate": "softmax"}})
        {'epochs': 4, 'options': {'light': True, 'gate': 'softmax'}}
    """
    another = "method" in above and above["method"] != below.get("method", above["method"])
    inherited = {} if another else below.get("options") or {}
    return {**below, **above, "options": {**inherited, **(above.get("options") or {})}}
