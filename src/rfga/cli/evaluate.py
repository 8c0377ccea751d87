"""``rfga evaluate``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, into
from rfga.cli.printing import print_metrics, say, tell
from rfga.engine.evaluating.options import EvaluateCommand

EXAMPLES = """
# every metric of a run on photographs/val, whose boxes are known
rfga evaluate run photographs --truth val_boxes.json
# on the test photographs of a benchmark, as numbers for a program
rfga evaluate run cub --split test --json metrics.json
# maps of Grad-CAM from the same network
rfga evaluate run photographs --truth val_boxes.json --maps-from gradcam
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("run", type=str, help="run folder that rfga train made")
    first("data", type=str, help=flags.DATA_HELP)
    said = {"truth": f"boxes or masks of the split: {flags.TRUTH_HELP}"}
    most = ("truth", "split")
    flags.add_options(command, EvaluateCommand, only=most, said=said, group=MOST_USED)
    flags.add_options(command, EvaluateCommand, only=("step", "threshold"))
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
