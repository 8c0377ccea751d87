"""What each command does with its arguments: call the engine, print what comes back."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfga.cli_ablate import run_ablate
from rfga.cli_attention import run_attention
from rfga.cli_data import ACTIONS, run_data
from rfga.cli_print import print_benchmark, print_comparison, print_metrics, print_table, say
from rfga.types import UserError

if TYPE_CHECKING:
    from rfga.engine.config import RunPolicy, Runtime

LISTED = 10  # of photographs that were left out or failed


def _train(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.cli_parser import setting_names
    from rfga.engine.workflow import TrainCommand, recipe_line, train_and_report

    command = TrainCommand(
        data=values["data"],
        out=Path(values["out"]),
        settings={name: values[name] for name in setting_names() if name in explicit},
        options=_options(values["set"]),
        recipe=values["config"],
        truth=_path(values["truth"]),
        policy=_policy(values),
    )
    result = train_and_report(command, _runtime(values))
    if result is not None:
        print_metrics([result])
    _print_line(recipe_line(command.out))
    say(values, f"run folder: {values['out']}")


def _evaluate(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.report import evaluation_notes
    from rfga.engine.workflow import EvaluateCommand, evaluate_run, recipe_line

    file = _writable(values["json"])
    command = EvaluateCommand(
        truth=_path(values["truth"]),
        split=values["split"],
        step=values["step"],
        threshold=values["threshold"],
        normalisation=values["normalisation"],
        batch_size=values["batch_size"],
        maps_from=values["maps_from"],
    )
    evaluation = evaluate_run(Path(values["run"]), values["data"], command, _runtime(values))
    for note in evaluation_notes(evaluation):
        say(values, note)
    print_metrics([evaluation.result])
    if values["maps_from"] is None:  # a recipe's number is of the method's own maps
        _print_line(recipe_line(Path(values["run"]), evaluation.result["split"]))
    _write_json(file, evaluation.result)
    say(values, f"report: {Path(values['run']) / 'report.html'}")


def _localize(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.localize_output import LocalizeOptions
    from rfga.engine.workflow import LocalizeCommand, localize_paths

    file = _writable(values["json"])
    options = LocalizeOptions(
        formats=tuple(name.strip() for name in values["format"].split(",")),
        labels=values["labels"],
        max_boxes=values["max_boxes"],
        pictures=not values["no_pictures"],
        maps=values["maps"],
        masks=values["masks"],
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
        policy=_policy(values),
    )
    summary = localize_paths(command, _runtime(values))
    for name, reason in list(summary.failed.items())[:LISTED]:
        print(f"failed {name}: {reason}", file=sys.stderr)
    if len(summary.failed) > LISTED:
        print(f"and {len(summary.failed) - LISTED} more failed; summary.json lists them all", file=sys.stderr)
    print(
        f"{summary.inputs} photographs: {summary.done} done, {summary.skipped} skipped (done before), "
        f"{len(summary.failed)} failed; {summary.without_box} without a box; in {values['out']}"
    )
    _write_json(file, asdict(summary))


def _demo(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.demo import run_demo

    results = run_demo(
        Path(values["out"]), seed=values["seed"], overwrite=values["overwrite"], runtime=_runtime(values)
    )
    print_comparison(results.evaluations, results.names)
    for note in results.notes:
        print(textwrap.fill(note, 100))
    print(f"all numbers, curves and pictures: {results.report}")
    print(f"boxes on the test pictures: {results.boxes}")


def _score(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.score import ScoreOptions, score, write_curves

    file = _writable(values["json"])
    options = ScoreOptions(
        step=values["step"],
        normalisation=values["normalisation"],
        policy=values["policy"],
        threshold=values["threshold"],
        quiet=values["quiet"],
    )
    found = score(Path(values["maps"]), Path(values["metadata"]), _path(values["masks"]), options)
    for name, reason in found.problems[:LISTED]:
        print(f"{values['policy']} {name}: {reason}", file=sys.stderr)
    if len(found.problems) > LISTED:
        print(f"and {len(found.problems) - LISTED} more", file=sys.stderr)
    print_metrics([found.result])
    _write_json(file, found.result)
    if values["curves"] is not None:
        for path in write_curves(found, Path(values["curves"])):
            say(values, f"curves: {path}")


def _benchmark(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.cli_parser import setting_names
    from rfga.engine.benchmark import require_all_done, run_benchmark
    from rfga.engine.benchmark_plan import BenchmarkCommand
    from rfga.output.benchmark_table import make_table

    file = _writable(values["json"])
    axes = ("methods", "backbones", "seeds", "normalisations")
    command = BenchmarkCommand(
        data=values["data"],
        out=Path(values["out"]),
        **{name: values[name].split(",") for name in axes if name in explicit},
        settings={name: values[name] for name in setting_names() if name in explicit & values.keys()},
        options=_options(values["set"]),
        recipe=values["config"],
        split=values["split"],
        truth=_path(values["truth"]),
        val_truth=_path(values["val_truth"]),
        few_shot=not values["no_few_shot"],
        few_shot_epochs=values["few_shot_epochs"],
        policy=_policy(values),
    )
    found = run_benchmark(command, _runtime(values))
    print_benchmark(make_table(found))
    _write_json(file, found)
    say(values, f"tables: {command.out / 'benchmark.html'}, table.md and table.csv beside it")
    require_all_done(found, str(command.out))


def _methods(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.workflow import method_rows, option_rows

    if values["name"] is None:
        print_table(("method", "what it is"), method_rows())
    else:
        print_table(("option", "type", "default", "meaning"), option_rows(values["name"]))


def _recipes(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.recipes import RECIPE_COLUMNS, recipe_rows, recipe_text

    if values["name"] is None:
        print_table(RECIPE_COLUMNS, recipe_rows())
    else:
        print(recipe_text(values["name"]), end="")


RUNNERS: dict[str, Callable[[dict[str, Any], set[str]], None]] = {
    "demo": _demo,
    "train": _train,
    "evaluate": _evaluate,
    "localize": _localize,
    "benchmark": _benchmark,
    "ablate": run_ablate,
    "attention": run_attention,
    "score": _score,
    "methods": _methods,
    "recipes": _recipes,
    "data": run_data,
}
"""Command -> what carries it out, given its arguments' values and the names of those that were given."""

SUBCOMMANDS = {"data": tuple(ACTIONS)}
"""Command -> the names of its subcommands, where it has any."""


def _runtime(values: Mapping[str, Any]) -> Runtime:
    from rfga.engine.config import Runtime

    return Runtime(device=values["device"], workers=values["workers"], quiet=values["quiet"])


def _policy(values: Mapping[str, Any]) -> RunPolicy:
    from rfga.engine.config import RunPolicy

    return RunPolicy(resume=values["resume"], overwrite=values["overwrite"])


def _print_line(line: str | None) -> None:
    if line is not None:
        print(line)


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


def _writable(value: str | None) -> Path | None:
    """A file to write at the end of long work, seen to be possible before it."""
    from rfga.files import require_writable

    path = _path(value)
    if path is not None:
        require_writable(path)
    return path


def _write_json(file: Path | None, value: Mapping[str, Any]) -> None:
    from rfga.files import write_json

    if file is not None:
        write_json(file, value)


def _options(pairs: Sequence[str]) -> dict[str, str]:
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"expected --set KEY=VALUE, found {pair}: see rfga methods NAME for the options")
        options[key.strip().replace("-", "_")] = value.strip()
    return options
