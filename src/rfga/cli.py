"""The command line: parsing and printing, nothing else."""

from __future__ import annotations

import io
import os
import sys
import textwrap
import traceback
from argparse import ArgumentError
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfga.types import UserError

if TYPE_CHECKING:
    from rfga.engine.config import RunPolicy, Runtime

LISTED = 10  # of photographs that were left out or failed


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; or 1 after one clear sentence on the standard error; or 2 after wrong usage.
    """
    argv = sys.argv[1:] if argv is None else argv
    values: dict[str, Any] = {}
    _print_any_name()
    try:
        command, values, explicit = _parsed(argv)
        RUNNERS[command](values, explicit)
    except ArgumentError as error:
        return _wrong_usage(error, argv)
    except UserError as error:
        return _failed(str(error), values)
    except BrokenPipeError:  # whoever read the output, as `head` does, wants no more of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        remedy = "go on with --resume" if "resume" in values else "start it again"
        return _failed(f"stopped by the keyboard before the end: {remedy}", values)
    except Exception as error:
        return _failed(f"unexpected {type(error).__name__}: {error} (--debug shows where)", values)
    return 0


def _parsed(argv: Sequence[str]) -> tuple[str, dict[str, Any], set[str]]:
    """The command, the values of its arguments, and the names of those that were given."""
    from rfga.cli_parser import build_parser

    parser = build_parser()
    arguments = parser.parse_args(argv).as_dict()
    given = parser.parse_args(argv, defaults=False).as_dict()
    command = arguments["command"]
    values = {name.replace("-", "_"): value for name, value in arguments[command].items()}
    return command, values, {name.replace("-", "_") for name in given[command]}


def _wrong_usage(error: ArgumentError, argv: Sequence[str]) -> int:
    from rfga.cli_parser import usage_sentence

    command = next((name for name in argv if name in RUNNERS), "")
    whole = f"rfga {command}".strip()
    print(f"rfga: wrong usage: {usage_sentence(error, command)} (see {whole} --help)", file=sys.stderr)
    return 2


def _failed(sentence: str, values: Mapping[str, Any]) -> int:
    if values.get("debug"):
        traceback.print_exc()
    print(f"rfga: error: {' '.join(sentence.split())}", file=sys.stderr)
    return 1


def _print_any_name() -> None:
    """File names may hold what a terminal has no letters for; a command must not fail by printing them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _train(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.cli_parser import setting_names
    from rfga.engine.workflow import TrainCommand, train_and_report

    command = TrainCommand(
        data=values["data"],
        out=Path(values["out"]),
        settings={name: values[name] for name in setting_names() if name in explicit},
        options=_options(values["set"]),
        recipe=_path(values["config"]),
        truth=_path(values["truth"]),
        policy=_policy(values),
    )
    result = train_and_report(command, _runtime(values))
    if result is not None:
        _print_metrics([result])
    _say(values, f"run folder: {values['out']}")


def _evaluate(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.report import evaluation_notes
    from rfga.engine.workflow import EvaluateCommand, evaluate_run

    file = _writable(values["json"])
    command = EvaluateCommand(
        truth=_path(values["truth"]),
        split=values["split"],
        step=values["step"],
        threshold=values["threshold"],
        normalisation=values["normalisation"],
        batch_size=values["batch_size"],
    )
    evaluation = evaluate_run(Path(values["run"]), values["data"], command, _runtime(values))
    for note in evaluation_notes(evaluation):
        _say(values, note)
    _print_metrics([evaluation.result])
    _write_json(file, evaluation.result)
    _say(values, f"report: {Path(values['run']) / 'report.html'}")


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
    )
    command = LocalizeCommand(
        run=Path(values["run"]),
        paths=[Path(path) for path in values["paths"]],
        out=Path(values["out"]),
        options=options,
        threshold=values["threshold"],
        normalisation=values["normalisation"],
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
    _print_comparison(results.evaluations, results.names)
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
    _print_metrics([found.result])
    _write_json(file, found.result)
    if values["curves"] is not None:
        for path in write_curves(found, Path(values["curves"])):
            _say(values, f"curves: {path}")


def _methods(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.workflow import method_rows, option_rows

    if values["name"] is None:
        _print_table(("method", "what it is"), method_rows())
    else:
        _print_table(("option", "type", "default", "meaning"), option_rows(values["name"]))


RUNNERS: dict[str, Callable[[dict[str, Any], set[str]], None]] = {
    "demo": _demo,
    "train": _train,
    "evaluate": _evaluate,
    "localize": _localize,
    "score": _score,
    "methods": _methods,
}


def _runtime(values: Mapping[str, Any]) -> Runtime:
    from rfga.engine.config import Runtime

    return Runtime(device=values["device"], workers=values["workers"], quiet=values["quiet"])


def _policy(values: Mapping[str, Any]) -> RunPolicy:
    from rfga.engine.config import RunPolicy

    return RunPolicy(resume=values["resume"], overwrite=values["overwrite"])


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


def _say(values: Mapping[str, Any], text: str) -> None:
    if not values.get("quiet"):
        print(text, flush=True)


def _print_metrics(evaluations: Sequence[Mapping[str, Any]]) -> None:
    from rfga.output.table import COLUMNS, metric_rows

    _print_table(COLUMNS, [row.cells() for evaluation in evaluations for row in metric_rows(evaluation)])


def _print_comparison(evaluations: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Methods side by side: of each metric the entries of the benchmark's own contour rule."""
    from rfga.output.table import NOTHING, benchmark_rows

    rows = [
        (
            row.metric,
            *(cell.row.with_interval if cell else NOTHING for cell in row.cells),
            row.source,
            row.contours,
        )
        for row in benchmark_rows(evaluations)
    ]
    columns = (f"{name} % (95 % interval)" for name in names)
    _print_table(("metric", *columns, "threshold from", "contours"), rows)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A table that is not on a terminal must not be cut to a terminal's width.
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
