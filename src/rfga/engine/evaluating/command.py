"""``rfga evaluate``: a trained run, measured, its threshold and confidence fitted, its report written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rfga.data import open_dataset
from rfga.data.base import Dataset, canonical_split
from rfga.engine.evaluating.evaluate import Evaluation, EvaluationOptions, evaluate
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.evaluating.report import record_evaluation, write_run_report
from rfga.engine.localizing.confidence_fit import calibrate_run
from rfga.engine.localizing.estimate import ensure_estimate
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.recipe_result import compare, followed_recipe, measured
from rfga.engine.runtime.joining import joined
from rfga.engine.runtime.machine import Runtime
from rfga.engine.thresholds.threshold import parse_threshold, threshold_sources


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
        names = folder.background_folders()
        dataset = open_dataset(data, command.truth, command.split, background=names)
        return evaluate_and_record(folder, dataset, command, shared)


def evaluate_and_record(
    run: RunFolder, dataset: Dataset, command: EvaluateCommand, runtime: Runtime
) -> Evaluation:
    """As ``evaluate_run``, of a data set that is open, in processes that are joined."""
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
    result = measured(folder).get(recipe.expected.split)
    return None if result is None else compare(recipe, result)
