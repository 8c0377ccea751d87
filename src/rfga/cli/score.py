"""``rfga score``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, WRITTEN, into
from rfga.cli.printing import print_metrics, print_some, say
from rfga.engine.evaluating.options import ScoreOptions

EXAMPLES = """
# maps of any tool, against the lists of the benchmark's validation split
rfga score maps --metadata metadata/CUB/val
# as numbers for a program, photographs without a map left out
rfga score maps --metadata metadata/CUB/val --policy skip --json metrics.json
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("maps", type=str, help="folder of .npy or .npz score maps, or one .npz")
    first("--metadata", type=str, required=True, help="folder with the lists of one split")
    first("--masks", type=str | None, default=None, help="folder that the lists' masks lie in")
    flags.add_options(command, ScoreOptions, without=("quiet",))
    flag = into(command, WRITTEN)
    flag("--curves", type=str | None, default=None, metavar="DIR", help="write the curves there as SVG")
    flags.add_json(command)
    flags.add_options(command, ScoreOptions, only=("quiet",), defaults={"quiet": False})


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.evaluating.score import score, write_curves

    file, options = flags.writable(values["json"]), flags.made(ScoreOptions, values)
    found = score(
        Path(values["maps"]), Path(values["metadata"]), flags.optional_path(values["masks"]), options
    )
    print_some([f"{options.policy} {name}: {reason}" for name, reason in found.problems], "more")
    print_metrics([found.result])
    flags.write_json_to(file, found.result)
    if values["curves"] is not None:
        for path in write_curves(found, Path(values["curves"])):
            say(values, f"curves: {path}")
