"""What train, evaluate, localize and methods do, from names and paths to files, numbers and rows of text."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rfga.data import open_dataset
from rfga.data.base import Dataset, canonical_split
from rfga.engine.evaluating.evaluate import Evaluation, EvaluationOptions, evaluate
from rfga.engine.evaluating.report import record_evaluation, write_run_report
from rfga.engine.learning.train import train
from rfga.engine.localizing.confidence_fit import calibrate_run
from rfga.engine.localizing.estimate import ensure_estimate, estimated_for
from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.localize import Summary, localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.output import LocalizeOptions
from rfga.engine.run.config import RunPolicy, Runtime, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.options import options_of, resolve
from rfga.engine.run.recipe_result import compare, followed_recipe, recipe_record
from rfga.engine.run.recipes import Recipe, read_recipe
from rfga.engine.runtime.joining import joined
from rfga.engine.runtime.progress import announcer
from rfga.engine.thresholds.sources import threshold_sources
from rfga.engine.thresholds.threshold import FIXED, parse_threshold, threshold_sentence
from rfga.methods import METHODS
from rfga.types import UserError


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
    """

    data: str
    out: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | Path | None = None
    truth: Path | None = None
    policy: RunPolicy = field(default_factory=RunPolicy)
    loggers: Sequence[str] = ()


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
    recipe = None if command.recipe is None else read_recipe(command.recipe)
    settings, truth = _settings_of(command, recipe), command.truth
    followed: dict[str, Any] | None = None
    if goes_on:
        held, data = run.read_config()
        settings = _over(held.to_dict(), settings)
        truth = truth or (Path(data["truth"]) if data.get("truth") else None)
        followed = data.get("recipe")
    was_finished = goes_on and run.is_finished
    dataset = open_dataset(command.data, truth)
    source: dict[str, Any] = {"source": command.data, "truth": None if truth is None else str(truth)}
    config = TrainConfig.from_dict(settings)
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
        if not (was_finished and split in _measured(run)):
            _evaluate_and_record(run, dataset, EvaluateCommand(split=split), runtime)
    if not splits and runtime.processes.first:
        write_run_report(run, None)
    found: dict[str, Any] | None = _measured(run).get("val")
    return found


def recipe_line(run: Path, split: str | None = None) -> str | None:
    """How near a run came to its recipe's published number; None without one, or before its measurement.

    Args:
        run: folder that ``rfga train`` made.
        split: say so only where the number is of this split.
    """
    folder = RunFolder(run)
    recipe = followed_recipe(folder)
    if recipe is None or recipe.expected is None or split not in (None, recipe.expected.split):
        return None
    result = _measured(folder).get(recipe.expected.split)
    return None if result is None else compare(recipe, result)


def _splits_to_measure(run: RunFolder, dataset: Dataset) -> list[str]:
    recipe = followed_recipe(run)
    expected = recipe.expected if recipe is not None and recipe.dataset == dataset.name else None
    return ["val"] if expected is None else list(dict.fromkeys(["val", expected.split]))


def _measured(run: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = run.read_metrics().get("evaluations", {})
    return found


@dataclass(frozen=True)
class EvaluateCommand:
    """The flags of ``rfga evaluate``."""

    truth: Path | None = None
    split: str = "val"
    step: float = 0.001
    threshold: str = "auto"
    normalisation: str | None = None
    batch_size: int = 32
    maps_from: str | None = None  # a post-hoc way to read maps, instead of the method's own


def evaluate_run(
    run: Path, data: str, command: EvaluateCommand | None = None, runtime: Runtime | None = None
) -> Evaluation:
    """``rfga evaluate``: every metric in one pass, kept in the run's metrics.json and report.html.

    Raises:
        UserError: anything in the input that cannot work.
    """
    command, folder = command or EvaluateCommand(), RunFolder(run)
    command = replace(command, split=canonical_split(command.split))
    with joined(runtime or Runtime()) as shared:
        folder.read_model()  # tells what is wrong with the run before the data are looked through
        dataset = open_dataset(data, command.truth, command.split)
        return _evaluate_and_record(folder, dataset, command, shared)


def _evaluate_and_record(
    run: RunFolder, dataset: Dataset, command: EvaluateCommand, runtime: Runtime
) -> Evaluation:
    processes = runtime.processes
    given = parse_threshold(command.threshold)
    options = EvaluationOptions(step=command.step, batch_size=command.batch_size)
    localizer = Localizer.load(
        run.path, device=runtime.device, normalisation=command.normalisation, maps_from=command.maps_from
    )
    normalisation = localizer.config.normalisation

    def sources() -> dict[str, Any]:
        ensure_estimate(run, localizer, dataset, command.split, runtime)
        return threshold_sources(run, command.split, normalisation, given, maps=localizer.maps)

    options = replace(options, thresholds=processes.agree(sources))
    evaluation = evaluate(localizer, dataset, command.split, options, runtime)
    if not processes.first:
        return evaluation
    record_evaluation(run, evaluation, normalisation)
    if command.split == "val" and command.maps_from is None:
        # With the threshold that was chosen just now.
        chosen = Localizer.load(run.path, device=runtime.device, normalisation=normalisation)
        calibrate_run(run, dataset, chosen, quiet=runtime.quiet)
    write_run_report(run, evaluation)
    return evaluation


@dataclass(frozen=True)
class LocalizeCommand:
    """What ``rfga localize`` was asked for.

    Args:
        run: folder that ``rfga train`` made.
        paths: photographs, folders and lists.
        out: folder for everything that is written.
        options: what is written.
        threshold: auto, or a number as text.
        normalisation: of score maps, instead of the run's own.
        maps_from: a post-hoc way to read maps, instead of the method's own.
        policy: about earlier output in the folder.
    """

    run: Path
    paths: Sequence[Path]
    out: Path
    options: LocalizeOptions = field(default_factory=LocalizeOptions)
    threshold: str = "auto"
    normalisation: str | None = None
    maps_from: str | None = None
    policy: RunPolicy = field(default_factory=RunPolicy)


def localize_paths(command: LocalizeCommand, runtime: Runtime | None = None) -> Summary:
    """``rfga localize``: boxes for files, folders and lists.

    Raises:
        UserError: anything in the input that cannot work; a single bad photograph is recorded instead.
    """
    with joined(runtime or Runtime()) as shared:
        return _localize_paths(command, shared)


def _localize_paths(command: LocalizeCommand, runtime: Runtime) -> Summary:
    given = parse_threshold(command.threshold)
    localizer = Localizer.load(
        command.run,
        device=runtime.device,
        normalisation=command.normalisation,
        maps_from=command.maps_from,
    )
    photographs = find_photographs(command.paths, localizer.classes, outputs=command.out)
    if given is not None:
        localizer = localizer.with_threshold(given, FIXED)
    elif localizer.threshold.source == FIXED:  # the run knows none for these maps
        earlier, plain = command.out if command.policy.resume else None, localizer
        found = runtime.processes.agree(
            lambda: estimated_for(plain, photographs, command.options.labels, runtime, earlier).threshold
        )
        localizer = localizer.with_threshold(found.value, found.source)
    announcer(runtime.quiet)(threshold_sentence(localizer.threshold, given is not None))
    summary = localize(
        localizer, photographs, command.out, command.options, runtime=runtime, policy=command.policy
    )
    _require_still_there(command.paths, summary)
    return summary


def _require_still_there(paths: Sequence[Path], summary: Summary) -> None:
    """A bad photograph ends no run, but a folder that goes away in the middle of one is an error."""
    gone = [str(path) for path in paths if not path.exists()]
    if gone and summary.failed:
        raise UserError(
            f"expected {', '.join(gone)} to stay there, found it gone, and {len(summary.failed)} of "
            f"{summary.inputs} photographs failed: bring it back and go on with --resume"
        )


def method_rows() -> list[tuple[str, str]]:
    """Name and first sentence of every method."""
    rows = []
    for name in METHODS:
        said = inspect.getdoc(resolve(METHODS, name, "method")) or ""
        rows.append((name, " ".join(said.split("\n\n")[0].split())))
    return rows


def option_rows(name: str) -> list[tuple[str, str, str, str]]:
    """Option, type, default and meaning of one method.

    Raises:
        UserError: there is no such method.
    """
    method = resolve(METHODS, name, "method")
    return [(option.name, option.type, str(option.default), option.meaning) for option in options_of(method)]


def _settings_of(command: TrainCommand, recipe: Recipe | None) -> dict[str, Any]:
    """The recipe's settings, overridden by the flags."""
    return _over(recipe.train if recipe else {}, {**command.settings, "options": command.options})


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of which those ``above`` count; options are joined where the method is the same.

    Example:
        >>> _over({"epochs": 3, "options": {"light": True}}, {"epochs": 4, "options": {"gate": "softmax"}})
        {'epochs': 4, 'options': {'light': True, 'gate': 'softmax'}}
    """
    another = "method" in above and above["method"] != below.get("method", above["method"])
    inherited = {} if another else below.get("options") or {}
    return {**below, **above, "options": {**inherited, **(above.get("options") or {})}}
