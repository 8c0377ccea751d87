"""``rfga train``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli import flags
from rfga.cli.printing import print_metrics, say, tell
from rfga.engine.learning.loggers import LOGGERS


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    flag = command.add_argument
    flag("data", type=str, help=flags.DATA_HELP)
    flag("--out", type=str, required=True, help="run folder to make")
    flags.add_truth(command, "boxes or masks of val")
    flags.add_background(command)
    flag("--config", type=str | None, default=None, help="a recipe: its name or YAML file")
    flag("--set", action="append", type=str, default=[], metavar="KEY=VALUE", help="an option of the method")
    flags.add_settings(command)
    loggers = f"log each epoch with example maps, joined by commas: {', '.join(LOGGERS)}"
    flag("--logger", type=str | None, default=None, metavar="NAMES", help=loggers)
    flags.add_policy(command, "go on after the last whole epoch", "start anew in a folder that holds a run")
    flags.add_runtime(command)
    flags.add_processes(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.building.train import TrainCommand, train_and_report
    from rfga.engine.evaluating.command import recipe_line
    from rfga.engine.learning.loggers import logger_names

    command = TrainCommand(
        data=values["data"],
        out=Path(values["out"]),
        settings=flags.given_settings(values, explicit),
        options=flags.option_pairs(values["set"]),
        recipe=values["config"],
        truth=flags.optional_path(values["truth"]),
        policy=flags.policy_of(values),
        loggers=logger_names(values["logger"]),
        background=values["background"],
    )
    result = train_and_report(command, flags.runtime_of(values))
    if result is not None:
        print_metrics([result])
    if (line := recipe_line(command.out)) is not None:
        tell(line)
    say(values, f"run folder: {values['out']}")
