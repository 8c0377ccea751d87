"""``rfga evaluate``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli import flags
from rfga.cli.printing import print_metrics, say, tell
from rfga.engine.evaluating.options import EvaluateCommand


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    command.add_argument("run", type=str, help="run folder that rfga train made")
    command.add_argument("data", type=str, help=flags.DATA_HELP)
    said = {"truth": f"boxes or masks of the split: {flags.TRUTH_HELP}"}
    flags.add_options(command, EvaluateCommand, only=("truth", "split", "step", "threshold"), said=said)
    flags.add_json(command)
    flags.add_reading(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.evaluating.command import evaluate_run, recipe_line
    from rfga.engine.evaluating.report import evaluation_notes

    file, run_folder = flags.writable(values["json"]), Path(values["run"])
    command = flags.made(EvaluateCommand, values)
    evaluation = evaluate_run(run_folder, values["data"], command, flags.runtime_of(values))
    for note in evaluation_notes(evaluation):
        say(values, note)
    print_metrics([evaluation.result])
    if command.maps_from is None:  # a recipe's number is of the method's own maps
        line = recipe_line(run_folder, evaluation.result["split"])
        if line is not None:
            tell(line)
    flags.write_json_to(file, evaluation.result)
    say(values, f"report: {run_folder / 'report.html'}")
