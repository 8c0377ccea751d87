"""``rfga benchmark``: its flags, and what carries it out."""

from __future__ import annotations

from typing import Any, get_args

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MEASURED, METHOD, MOST_USED, into
from rfga.cli.printing import print_benchmark, say
from rfga.engine.run.config import METHOD_NAMES, Normalisation

METHODS_HELP = (
    "joined by commas; NAME+foreground is a row of its own, with the foreground of the collection on top"
)
EXAMPLES = """
# two methods beside each other on photographs whose boxes are known
rfga benchmark photographs --out grid --methods cam,rfga --truth val_boxes.json
# does the paper's layer seed the collection's foreground better than a plain classifier?
rfga benchmark photographs --out grid --methods cam,cam+foreground,rfga,rfga+foreground --truth val_boxes.json
# a benchmark with two networks and three seeds, measured on test
rfga benchmark cub --out grid --backbones resnet50,wsol_vgg16 --seeds 0,1,2 --split test
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("data", type=str, help=flags.DATA_HELP)
    first("--out", type=str, required=True, help="folder for runs, numbers and tables")
    first("--methods", type=str, default=",".join(METHOD_NAMES), help=METHODS_HELP)
    first("--backbones", type=str, default="resnet50", help="joined by commas")
    seeds = "joined by commas; the table has their mean and deviation"
    first("--seeds", type=str, default="0", help=seeds)
    first("--config", type=str | None, default=None, help="a recipe or other YAML with any of these settings")
    flags.add_truth(command)
    flag = into(command, MEASURED)
    splits = ("val", "test", "train-fullsup")
    flag("--split", choices=splits, default="val", help="which photographs are measured")
    flag("--val-truth", type=str | None, default=None, help="those of val, where the split is test")
    flag(
        "--normalisations",
        type=str,
        default="minmax",
        help=f"of score maps, joined by commas: {', '.join(get_args(Normalisation))}",
    )
    flag("--no-few-shot", action="store_true", help="leave out the baseline that learns from boxes or masks")
    flag("--few-shot-epochs", type=int | None, default=None, help="of that baseline, if not as the methods")
    flag = into(command, METHOD)
    flag(
        "--set",
        action="append",
        default=[],
        metavar="[METHOD.]KEY=VALUE",
        help="an option of one method, or of all that have it",
    )
    flags.add_settings(command, without=("method", "backbone", "seed", "normalisation"))
    again, anew = (
        "go on with a grid that was stopped, or add to it",
        "start anew in a folder that holds a benchmark",
    )
    flags.add_policy(command, again, anew)
    flags.add_json(command)
    flags.add_runtime(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.benchmark.grid import require_all_done, run_benchmark
    from rfga.engine.benchmark.plan import BenchmarkCommand
    from rfga.output.benchmark.table import make_table

    file = flags.writable(values["json"])
    axes = ("methods", "backbones", "seeds", "normalisations")
    command = flags.made(
        BenchmarkCommand,
        values,
        **{name: values[name].split(",") if name in explicit else () for name in axes},
        settings=flags.given_settings(values, explicit),
        options=flags.option_pairs(values["set"]),
        recipe=values["config"],
        policy=flags.policy_of(values),
    )
    found = run_benchmark(command, flags.runtime_of(values))
    print_benchmark(make_table(found))
    flags.write_json_to(file, found)
    say(values, f"tables: {command.out / 'benchmark.html'}, table.md and table.csv beside it")
    require_all_done(found, str(command.out))
