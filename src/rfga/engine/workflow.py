"""What each command does, from names and paths to files and numbers: the command line without its printing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.engine.config import Runtime, TrainConfig
from rfga.engine.evaluate import Evaluation, EvaluationOptions, evaluate
from rfga.engine.inputs import find_photographs
from rfga.engine.localize import LocalizeOptions, Summary, localize
from rfga.engine.localizer import Localizer
from rfga.engine.options import options_of, resolve
from rfga.engine.report import record_evaluation, write_run_report
from rfga.engine.run_folder import RunFolder
from rfga.engine.sources import threshold_sources
from rfga.engine.thresholds import parse_threshold
from rfga.engine.train import train
from rfga.methods import METHODS
from rfga.types import UserError

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


def no_progress(items: Iterable[Any], total: int) -> Iterable[Any]:
    """The items alone, without a bar."""
    return items


def train_and_report(
    data: str,
    out: Path,
    *,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    recipe: Path | None = None,
    truth: Path | None = None,
    runtime: Runtime | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any] | None:
    """``rfga train``: train, then evaluate on val where its truth or its class labels are known.

    Args:
        data: folder or name of a data set.
        out: the run folder.
        settings: those of ``TrainConfig`` that were given.
        options: of the method.
        recipe: YAML with further settings, which the given ones override.
        truth: boxes or masks of val.
        runtime: device, workers, output.
        resume: go on with the run's own settings.
        overwrite: start anew.
        progress: shows a bar.

    Returns:
        The numbers on val; None where there is no val split.

    Raises:
        UserError: anything in the input that cannot work.
    """
    run = RunFolder(out)
    if resume and (out / "config.yaml").is_file():
        config = _resumed_config(run, settings, options)
    else:
        config = TrainConfig.from_dict({**_recipe_settings(recipe, options), **settings})
    dataset = open_dataset(data, truth)
    source = {"source": data, "truth": None if truth is None else str(truth)}
    method = train(config, dataset, run, runtime=runtime, resume=resume, overwrite=overwrite, source=source)
    del method
    if not dataset.samples("val"):
        return None
    return _evaluate_and_record(run, dataset, EvaluateCommand(), runtime, progress).result


@dataclass(frozen=True)
class EvaluateCommand:
    """The flags of ``rfga evaluate``."""

    truth: Path | None = None
    split: str = "val"
    step: float = 0.001
    threshold: str = "auto"
    normalisation: str | None = None
    batch_size: int = 32


def evaluate_run(
    run: Path, data: str, command: EvaluateCommand, *, runtime: Runtime | None = None, progress: Progress = no_progress
) -> Evaluation:
    """``rfga evaluate``: every metric in one pass, kept in the run's metrics.json and report.html."""
    if not 0 < command.step <= 0.5:
        raise UserError(f"expected --step above 0 and at most 0.5, found {command.step}: give 0.001 or 0.01")
    folder = RunFolder(run)
    folder.read_config()
    dataset = open_dataset(data, command.truth, command.split)
    return _evaluate_and_record(folder, dataset, command, runtime, progress)


def _evaluate_and_record(
    run: RunFolder, dataset: Dataset, command: EvaluateCommand, runtime: Runtime | None, progress: Progress
) -> Evaluation:
    runtime = runtime or Runtime()
    localizer = Localizer.load(run.path, device=runtime.device, normalisation=command.normalisation)
    normalisation = localizer.config.normalisation
    sources = threshold_sources(run, command.split, normalisation, parse_threshold(command.threshold))
    options = EvaluationOptions(step=command.step, batch_size=command.batch_size, thresholds=sources)
    evaluation = evaluate(localizer, dataset, command.split, options, runtime, progress)
    record_evaluation(run, evaluation, normalisation)
    write_run_report(run, evaluation)
    return evaluation


def localize_paths(
    run: Path,
    paths: Sequence[Path],
    out: Path,
    options: LocalizeOptions,
    *,
    threshold: str = "auto",
    normalisation: str | None = None,
    runtime: Runtime | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Summary:
    """``rfga localize``: boxes for files, folders and lists."""
    runtime = runtime or Runtime()
    given = parse_threshold(threshold)
    if options.max_boxes < 1:
        raise UserError(f"expected --max-boxes of at least 1, found {options.max_boxes}: give 1 or more")
    localizer = Localizer.load(run, device=runtime.device, normalisation=normalisation)
    if given is not None:
        localizer = localizer.with_threshold(given, "fixed")
    photographs = find_photographs(paths, localizer.classes)
    return localize(
        localizer, photographs, out, options, runtime=runtime, resume=resume, overwrite=overwrite, progress=progress
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
    return [(o.name, o.type, str(o.default), o.meaning) for o in options_of(resolve(METHODS, name, "method"))]


def _recipe_settings(recipe: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a YAML file (flat, or under ``train`` as in a run's config.yaml), options joined."""
    if recipe is None:
        return {"options": dict(options)}
    try:
        held = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"expected a YAML file of settings, found {recipe} unreadable ({error}): check it") from error
    settings = held.get("train", held) if isinstance(held, dict) else None
    if not isinstance(settings, dict):
        raise UserError(f"expected settings by name in {recipe}, found none: write lines like 'epochs: 4'")
    return {**settings, "options": {**(settings.get("options") or {}), **options}}


def _resumed_config(run: RunFolder, settings: Mapping[str, Any], options: Mapping[str, Any]) -> TrainConfig:
    """The run's own settings; what is given again must agree with them."""
    config, _ = run.read_config()
    held = config.to_dict()
    given = TrainConfig.from_dict({**held, **settings}).to_dict()
    changed = [name for name in settings if given[name] != held[name]]
    changed += [key for key, value in options.items() if str(held["options"].get(key)) != str(value)]
    if changed:
        raise UserError(
            f"expected to resume {run.path} with its own settings, found other values for {', '.join(changed)}: "
            "leave them out, or start anew with --overwrite"
        )
    return config
