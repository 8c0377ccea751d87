"""``rfga attention``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, WRITTEN, into
from rfga.cli.printing import print_table, say, tell, warn

LISTED = 20  # of photographs in the printed table

EXAMPLES = """
# what the layer attends to in two photographs
rfga attention run first.jpg second.jpg --out attention
# where it would look for a sparrow, as drawings for a paper
rfga attention run first.jpg --out attention --label sparrow --format svg
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("run", type=str, help="run folder that rfga train made, of a method with an RFGA layer")
    first("images", type=str, nargs="+", metavar="image", help="photographs, folders, or .txt lists of paths")
    first("--out", type=str, required=True, help="folder for attention.json and pictures/")
    first(
        "--label",
        type=str | None,
        default=None,
        metavar="CLASS",
        help="class to look for, if not the folder's",
    )
    first("--threshold", type=str, default="auto", help="auto, or a fraction of the map's maximum")
    flag = into(command, WRITTEN)
    flag("--format", choices=("png", "svg"), default="png", help="of the pictures")
    flag("--overwrite", action="store_true", help="replace the output of an earlier call")
    flags.add_runtime(command, only=("device", "quiet"))


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.attention.command import AttentionCommand, picture_attention
    from rfga.output.attention.words import SUMMARY_COLUMNS, summary_row

    paths = [Path(path) for path in values["images"]]
    command = flags.made(AttentionCommand, values, paths=paths, picture_format=values["format"])
    result = picture_attention(command)
    for name, reason in result.failed.items():
        warn(f"failed {name}: {reason}")
    print_table(SUMMARY_COLUMNS, [summary_row(found) for found in result.found[:LISTED]])
    if len(result.found) > LISTED:
        tell(f"and {len(result.found) - LISTED} more; {result.numbers.name} has them all")
    say(values, f"pictures: {command.out / 'pictures'}; numbers: {result.numbers}")
