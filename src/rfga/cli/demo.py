"""``rfga demo``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, into
from rfga.cli.printing import tell

EXAMPLES = """
# draw birds, find their boxes, write demo/report.html
rfga demo
# other birds, elsewhere
rfga demo --out birds --seed 1
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("--out", type=str, default="demo", help="folder for pictures, boxes and the report")
    first("--overwrite", action="store_true", help="replace an earlier demo in that folder")
    first("--seed", type=int, default=0, help="of the pictures and of training")
    flags.add_runtime(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.building.demo import run_demo

    found = run_demo(
        Path(values["out"]),
        seed=values["seed"],
        overwrite=values["overwrite"],
        runtime=flags.runtime_of(values),
    )
    tell(
        f"{found.right['foreground']} of {found.pictures} boxes are right (IoU 0.5 or more with the true box)"
    )
    tell(f"a plain class map of the same network: {found.right['ridge']} of {found.pictures}")
    tell(f"report: {found.report}")
    tell(f"review sheet: {found.review}; boxes: {found.coco}")
    tell("your own photographs, one folder a class: rfga build PHOTOGRAPHS --out boxes")
