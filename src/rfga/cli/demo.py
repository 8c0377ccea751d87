"""``rfga demo``: its flags, and what carries it out."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli import flags
from rfga.cli.printing import print_comparison, tell


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    flag = command.add_argument
    flag("--out", type=str, default="demo", help="folder for runs, pictures and the report")
    flag("--overwrite", action="store_true", help="replace an earlier demo in that folder")
    flag("--seed", type=int, default=0, help="of the pictures and of training")
    flags.add_runtime(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.building.demo import run_demo

    results = run_demo(
        Path(values["out"]),
        seed=values["seed"],
        overwrite=values["overwrite"],
        runtime=flags.runtime_of(values),
    )
    print_comparison(results.evaluations, results.names)
    for note in results.notes:
        tell(textwrap.fill(note, 100))
    tell(f"all numbers, curves and pictures: {results.report}")
    tell(f"boxes on the test pictures: {results.boxes}")
