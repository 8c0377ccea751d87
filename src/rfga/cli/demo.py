"""``rfga demo``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli import flags
from rfga.cli.printing import tell


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    flag = command.add_argument
    flag("--out", type=str, default="demo", help="folder for pictures, boxes and the report")
    flag("--overwrite", action="store_true", help="replace an earlier demo in that folder")
    flag("--seed", type=int, default=0, help="of the pictures and of training")
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
