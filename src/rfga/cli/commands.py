"""What each command does with its arguments: call the engine, print what comes back."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rfga.cli.ablate import run_ablate
from rfga.cli.attention import run_attention
from rfga.cli.build import run_build
from rfga.cli.data import ACTIONS, run_data
from rfga.cli.export import run_export
from rfga.cli.printing import (
    print_benchmark,
    print_comparison,
    print_metrics,
    print_summary,
    print_table,
    say,
    tell,
    warn,
)
from rfga.cli.serve import run_serve
from rfga.cli.values import (
    given_settings,
    option_pairs,
    optional_path,
    policy_of,
    runtime_of,
    writable,
    write_json_to,
)

LISTED = 10  # of photographs that were left out or failed


def _train(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.building.train import TrainCommand, train_and_report
    from rfga.engine.evaluating.command import recipe_line
    from rfga.engine.learning.loggers import logger_names

    command = TrainCommand(
        data=values["data"],
        out=Path(values["out"]),
        settings=given_settings(values, explicit),
        options=option_pairs(values["set"]),
        recipe=values["config"],
        truth=optional_path(values["truth"]),
        policy=policy_of(values),
        loggers=logger_names(values["logger"]),
    )
    result = train_and_report(command, runtime_of(values))
    if result is not None:
        print_metrics([result])
    _print_line(recipe_line(command.out))
    say(values, f"run folder: {values['out']}")


def _evaluate(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.evaluating.command import EvaluateCommand, evaluate_run, recipe_line
    from rfga.engine.evaluating.report import evaluation_notes

    file = writable(values["json"])
    command = EvaluateCommand(
        truth=optional_path(values["truth"]),
        split=values["split"],
        step=values["step"],
        threshold=values["threshold"],
        normalisation=values["normalisation"],
        batch_size=values["batch_size"],
        maps_from=values["maps_from"],
    )
    evaluation = evaluate_run(Path(values["run"]), values["data"], command, runtime_of(values))
    for note in evaluation_notes(evaluation):
        say(values, note)
    print_metrics([evaluation.result])
    if values["maps_from"] is None:  # a recipe's number is of the method's own maps
        _print_line(recipe_line(Path(values["run"]), evaluation.result["split"]))
    write_json_to(file, evaluation.result)
    say(values, f"report: {Path(values['run']) / 'report.html'}")


def _localize(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.localizing.localize import LocalizeCommand, localize_paths
    from rfga.engine.localizing.output import LocalizeOptions

    file = writable(values["json"])
    options = LocalizeOptions(
        formats=tuple(name.strip() for name in values["format"].split(",")),
        labels=values["labels"],
        max_boxes=values["max_boxes"],
        second_look=values["second_look"],
        review=values["review"],
        pictures=not values["no_pictures"],
        maps=values["maps"],
        masks=values["masks"],
        refine=values["refine"],
        sam_weights=optional_path(values["sam_weights"]),
        batch_size=values["batch_size"],
        photographs=values["photographs"],
    )
    command = LocalizeCommand(
        run=Path(values["run"]),
        paths=[Path(path) for path in values["paths"]],
        out=Path(values["out"]),
        options=options,
        threshold=values["threshold"],
        normalisation=values["normalisation"],
        maps_from=values["maps_from"],
        policy=policy_of(values),
    )
    summary = localize_paths(command, runtime_of(values))
    for name, reason in list(summary.failed.items())[:LISTED]:
        warn(f"failed {name}: {reason}")
    if len(summary.failed) > LISTED:
        warn(f"and {len(summary.failed) - LISTED} more failed; summary.json lists them all")
    print_summary(summary, values["out"])
    for warning, count in summary.warnings.items():
        say(values, f"{count} with the warning: {warning}")
    if options.review:
        say(values, f"look at the worst first: {command.out / 'review.html'}")
    write_json_to(file, asdict(summary))


def _demo(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.building.demo import run_demo

    results = run_demo(
        Path(values["out"]), seed=values["seed"], overwrite=values["overwrite"], runtime=runtime_of(values)
    )
    print_comparison(results.evaluations, results.names)
    for note in results.notes:
        tell(textwrap.fill(note, 100))
    tell(f"all numbers, curves and pictures: {results.report}")
    tell(f"boxes on the test pictures: {results.boxes}")


def _score(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.evaluating.score import ScoreOptions, score, write_curves

    file = writable(values["json"])
    options = ScoreOptions(
        step=values["step"],
        normalisation=values["normalisation"],
        policy=values["policy"],
        threshold=values["threshold"],
        quiet=values["quiet"],
    )
    found = score(Path(values["maps"]), Path(values["metadata"]), optional_path(values["masks"]), options)
    for name, reason in found.problems[:LISTED]:
        warn(f"{values['policy']} {name}: {reason}")
    if len(found.problems) > LISTED:
        warn(f"and {len(found.problems) - LISTED} more")
    print_metrics([found.result])
    write_json_to(file, found.result)
    if values["curves"] is not None:
        for path in write_curves(found, Path(values["curves"])):
            say(values, f"curves: {path}")


def _benchmark(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.benchmark.grid import require_all_done, run_benchmark
    from rfga.engine.benchmark.plan import BenchmarkCommand
    from rfga.output.benchmark.table import make_table

    file = writable(values["json"])
    axes = ("methods", "backbones", "seeds", "normalisations")
    command = BenchmarkCommand(
        data=values["data"],
        out=Path(values["out"]),
        **{name: values[name].split(",") for name in axes if name in explicit},
        settings=given_settings(values, explicit),
        options=option_pairs(values["set"]),
        recipe=values["config"],
        split=values["split"],
        truth=optional_path(values["truth"]),
        val_truth=optional_path(values["val_truth"]),
        few_shot=not values["no_few_shot"],
        few_shot_epochs=values["few_shot_epochs"],
        policy=policy_of(values),
    )
    found = run_benchmark(command, runtime_of(values))
    print_benchmark(make_table(found))
    write_json_to(file, found)
    say(values, f"tables: {command.out / 'benchmark.html'}, table.md and table.csv beside it")
    require_all_done(found, str(command.out))


def _methods(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.run.options import method_rows, option_rows

    if values["name"] is None:
        print_table(("method", "what it is"), method_rows())
    else:
        print_table(("option", "type", "default", "meaning"), option_rows(values["name"]))


def _recipes(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.run.recipes import RECIPE_COLUMNS, recipe_rows, recipe_text

    if values["name"] is None:
        print_table(RECIPE_COLUMNS, recipe_rows())
    else:
        print(recipe_text(values["name"]), end="")


RUNNERS: dict[str, Callable[[dict[str, Any], set[str]], None]] = {
    "demo": _demo,
    "train": _train,
    "evaluate": _evaluate,
    "build": run_build,
    "localize": _localize,
    "benchmark": _benchmark,
    "ablate": run_ablate,
    "export": run_export,
    "attention": run_attention,
    "serve": run_serve,
    "score": _score,
    "methods": _methods,
    "recipes": _recipes,
    "data": run_data,
}
"""Command -> what carries it out, given its arguments' values and the names of those that were given."""

SUBCOMMANDS = {"data": tuple(ACTIONS)}
"""Command -> the names of its subcommands, where it has any."""


def _print_line(line: str | None) -> None:
    if line is not None:
        tell(line)
