"""``rfga train``: its flags, and what carries it out."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, WRITTEN, into
from rfga.cli.printing import print_metrics, say, tell
from rfga.engine.learning.loggers import LOGGERS

EXAMPLES = """
# the method of this package on photographs/train/CLASS/*.jpg
rfga train photographs --out run
# a small network, measured on boxes of photographs/val
rfga train photographs --out run --backbone mobilenetv2_100 --truth val_boxes.json
# as a paper did it (names: rfga recipes), and with an option of the method (rfga methods rfga)
rfga train ilsvrc --out run --config ilsvrc-resnet50-rfga --set kernel_size=5
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("data", type=str, help=flags.DATA_HELP)
    first("--out", type=str, required=True, help="run folder to make")
    flags.add_settings(command, first=("method", "backbone", "epochs"))
    flags.add_truth(command, "boxes or masks of val")
    first("--config", type=str | None, default=None, help="a recipe: its name or YAML file")
    flags.add_set(command)
    flags.add_background(command)
    loggers = f"log each epoch with example maps, joined by commas: {', '.join(LOGGERS)}"
    flag = into(command, WRITTEN)
    flag("--logger", type=str | None, default=None, metavar="NAMES", help=loggers)
    flags.add_policy(command, "go on after the last whole epoch", "start anew in a folder that holds a run")
    flags.add_runtime(command, only=("device", "workers", "devices", "nodes", "quiet"))


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.building.train import TrainCommand, train_and_report
    from rfga.engine.evaluating.command import recipe_line
    from rfga.engine.learning.loggers import logger_names

    command = flags.made(
        TrainCommand,
        values,
        settings=flags.given_settings(values, explicit),
        options=flags.option_pairs(values["set"]),
        recipe=values["config"],
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
