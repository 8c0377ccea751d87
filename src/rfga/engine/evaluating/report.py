"""From what was measured to the report page of a run, or of several side by side."""

from __future__ import annotations

from pathlib import Path

from rfga.engine.evaluating.evaluate import Evaluation
from rfga.engine.run.config import OWN_MAPS
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.recipe_result import compare, followed_recipe
from rfga.engine.thresholds.threshold import POSTHOC_KEY, measured_of
from rfga.output.report.page import MethodReport, write_report

LEFT_OUT_SHOWN = 20


def method_report(run: RunFolder, evaluation: Evaluation | None) -> MethodReport:
    """One run's column of the report; without an evaluation it holds the history of training alone."""
    config, data = run.read_config()
    settings = {name: str(value) for name, value in config.to_dict().items()}
    maps = OWN_MAPS if evaluation is None else maps_of(evaluation)
    recipe = followed_recipe(run)
    if recipe is not None:
        settings["recipe"] = recipe.name
    trained_on = {
        "dataset": data.get("name", ""),
        "split": "train",
        "images": data.get("train_photographs", 0),
    }
    return MethodReport(
        name=config.method if maps == OWN_MAPS else f"{config.method}, maps from {maps}",
        evaluation={**trained_on, "metrics": {}} if evaluation is None else evaluation.result,
        curves={} if evaluation is None else evaluation.curves,
        history=run.read_metrics().get("history", []),
        gallery={} if evaluation is None else evaluation.gallery,
        settings={**settings, "data": str(data.get("name", ""))},
    )


def write_run_report(run: RunFolder, evaluation: Evaluation | None) -> Path:
    """``report.html`` of one run, with what was left out of training and of the evaluation as notes."""
    report = method_report(run, evaluation)
    _, data = run.read_config()
    notes = [f"skipped in training: {item['image']}: {item['reason']}" for item in data.get("skipped", [])]
    notes = shortened(notes, "photographs were skipped in training")
    if evaluation is None:
        title = f"{report.name} on {data.get('name', '')}: training"
        notes.append("Nothing was measured: there is no val split to validate on.")
    else:
        title = f"{report.name} on {evaluation.result['dataset']}, {evaluation.result['split']}"
        notes += evaluation_notes(evaluation)
        recipe = followed_recipe(run)
        # A recipe's number is of the method's own maps.
        followed = recipe is not None and maps_of(evaluation) == OWN_MAPS
        line = compare(recipe, evaluation.result) if recipe and followed else None
        notes += [line] if line else []
    path = run.path / "report.html"
    write_report(path, title, [report], notes=notes)
    return path


def evaluation_notes(evaluation: Evaluation) -> list[str]:
    """A sentence for each photograph not scored and each oddity of the truth, twenty of each at most."""
    left_out = [f"left out {name}: {reason}" for name, reason in evaluation.left_out]
    return [
        *shortened(left_out, "photographs were left out"),
        *shortened(list(evaluation.notes), "remarks on the truth"),
    ]


def shortened(lines: list[str], what: str) -> list[str]:
    """The first lines, and how many there are besides.

    Example:
        >>> shortened(["a"] * 22, "photographs were left out")[-1]
        'and 2 more photographs were left out'
    """
    more = len(lines) - LEFT_OUT_SHOWN
    return lines[:LEFT_OUT_SHOWN] + ([f"and {more} more {what}"] if more > 0 else [])


def record_evaluation(run: RunFolder, evaluation: Evaluation, normalisation: str) -> None:
    """Keep the numbers in metrics.json and, from the validation split, the thresholds.

    Those of maps that are not the method's own are kept apart, under ``posthoc`` and their name.
    """
    metrics, maps = run.read_metrics(), maps_of(evaluation)
    held, split = measured_of(metrics, maps), evaluation.result["split"]
    entries = {"evaluations": {**held.get("evaluations", {}), split: evaluation.result}}
    if split == "val" and evaluation.best_thresholds:
        entries["thresholds"] = {**held.get("thresholds", {}), normalisation: evaluation.best_thresholds}
    if maps != OWN_MAPS:
        entries = {POSTHOC_KEY: {**metrics.get(POSTHOC_KEY, {}), maps: {**held, **entries}}}
    run.update_metrics(**entries)


def maps_of(evaluation: Evaluation) -> str:
    """Which maps were scored: the method's own, or the name of another kind."""
    return str(evaluation.result.get("maps", OWN_MAPS))
