"""The command line: parsing and printing, nothing else."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rfga.cli_parser import build_parser, setting_names
from rfga.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; or 1 after one clear sentence on the standard error. Wrong usage ends with status 2.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv).as_dict()
    given = parser.parse_args(argv, defaults=False).as_dict()
    command = arguments["command"]
    values = {name.replace("-", "_"): value for name, value in arguments[command].items()}
    explicit = {name.replace("-", "_") for name in given[command]}
    try:
        RUNNERS[command](values, explicit)
    except UserError as error:
        return _failed(str(error), values)
    except KeyboardInterrupt:
        return _failed("stopped by the keyboard; commands with --resume go on where they were", values)
    except Exception as error:
        return _failed(f"unexpected {type(error).__name__}: {error} (--debug shows where)", values)
    return 0


def _failed(sentence: str, values: Mapping[str, Any]) -> int:
    if values.get("debug"):
        traceback.print_exc()
    print(f"rfga: error: {' '.join(sentence.split())}", file=sys.stderr)
    return 1


def _train(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.workflow import train_and_report

    settings = {name: values[name] for name in setting_names() if name in explicit}
    result = train_and_report(
        values["data"],
        Path(values["out"]),
        settings=settings,
        options=_options(values["set"]),
        recipe=None if values["config"] is None else Path(values["config"]),
        truth=None if values["truth"] is None else Path(values["truth"]),
        runtime=_runtime(values),
        resume=values["resume"],
        overwrite=values["overwrite"],
        progress=_progress(values),
    )
    if result is not None:
        _print_metrics([result])
    _say(values, f"run folder: {values['out']}")


def _evaluate(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.workflow import EvaluateCommand, evaluate_run
    from rfga.files import write_json

    result = evaluate_run(
        Path(values["run"]),
        values["data"],
        EvaluateCommand(
            truth=None if values["truth"] is None else Path(values["truth"]),
            split=values["split"],
            step=values["step"],
            threshold=values["threshold"],
            normalisation=values["normalisation"],
            batch_size=values["batch_size"],
        ),
        runtime=_runtime(values),
        progress=_progress(values),
    )
    for name, reason in result.left_out[:10]:
        _say(values, f"left out {name}: {reason}")
    if len(result.left_out) > 10:
        _say(values, f"and {len(result.left_out) - 10} more were left out")
    _print_metrics([result.result])
    if values["json"] is not None:
        write_json(Path(values["json"]), result.result)
    _say(values, f"report: {Path(values['run']) / 'report.html'}")


def _localize(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.localize import LocalizeOptions
    from rfga.engine.workflow import localize_paths
    from rfga.files import write_json

    options = LocalizeOptions(
        formats=tuple(name.strip() for name in values["format"].split(",")),
        labels=values["labels"],
        max_boxes=values["max_boxes"],
        pictures=not values["no_pictures"],
        maps=values["maps"],
        masks=values["masks"],
        batch_size=values["batch_size"],
    )
    summary = localize_paths(
        Path(values["run"]),
        [Path(path) for path in values["paths"]],
        Path(values["out"]),
        options,
        threshold=values["threshold"],
        normalisation=values["normalisation"],
        runtime=_runtime(values),
        resume=values["resume"],
        overwrite=values["overwrite"],
        progress=_progress(values),
    )
    for name, reason in list(summary.failed.items())[:10]:
        print(f"failed {name}: {reason}", file=sys.stderr)
    print(
        f"{summary.inputs} photographs: {summary.done} done, {summary.skipped} skipped (done before), "
        f"{len(summary.failed)} failed; {summary.without_box} without a box; in {values['out']}"
    )
    if values["json"] is not None:
        write_json(Path(values["json"]), summary.__dict__)


def _demo(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.demo import run_demo

    results = run_demo(
        Path(values["out"]),
        seed=values["seed"],
        overwrite=values["overwrite"],
        runtime=_runtime(values),
        progress=_progress(values),
    )
    _print_metrics(results.evaluations, names=results.names)
    print(f"report: {results.report}")
    print(f"boxes and pictures: {results.boxes}")


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
    "methods": _methods,
}


def _runtime(values: Mapping[str, Any]) -> Any:
    from rfga.engine.config import Runtime

    return Runtime(device=values["device"], workers=values["workers"], quiet=values["quiet"])


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


def _progress(values: Mapping[str, Any]) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """A bar on a terminal, nothing elsewhere."""
    if values.get("quiet") or not sys.stderr.isatty():
        return lambda items, total: items
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return lambda items, total: track(items, total=total, description="photographs", console=console)


def _print_metrics(evaluations: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> None:
    from rfga.output.table import COLUMNS, metric_rows

    titles = names or [""] * len(evaluations)
    columns = ("method", *COLUMNS) if names else COLUMNS
    rows: list[Sequence[str]] = []
    for name, evaluation in zip(titles, evaluations, strict=True):
        rows += [(name, *row.cells()) if names else row.cells() for row in metric_rows(evaluation)]
    _print_table(columns, rows)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # A table that is not on a terminal must not be cut to a terminal's width.
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    console.print(table)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")  # rich would take brackets for markup
