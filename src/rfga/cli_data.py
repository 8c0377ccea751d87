"""``rfga data ACTION``: flags and runners of each action; a new one is one line in ``ACTIONS``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from rfga.cli_print import say
from rfga.data.prepare import PREPARERS


class Action(NamedTuple):
    """One action: its description, what adds its flags, and what carries it out."""

    describe: str
    add: Callable[[ArgumentParser], None]
    run: Callable[[dict[str, Any], set[str]], None]


def add_data(command: ArgumentParser) -> None:
    """Put the actions below the command ``data``."""
    actions = command.add_subcommands(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        parser = ArgumentParser(description=action.describe, exit_on_error=False)
        action.add(parser)
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        actions.add_subcommand(name, parser, help=action.describe)
        parser.prog = f"rfga data {name}"


def run_data(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the action that was chosen."""
    ACTIONS[values["action"]].run(values, explicit)


def _add_prepare(command: ArgumentParser) -> None:
    add = command.add_argument
    add("name", choices=tuple(PREPARERS), help="which set")
    add("--out", type=str, required=True, help="folder of the prepared set")
    add(
        "--archives",
        type=str,
        nargs="+",
        default=[],
        metavar="PATH",
        help="local archives, or folders of them; others are downloaded where they can be",
    )
    add(
        "--metadata",
        type=str | None,
        default=None,
        metavar="DIR",
        help="the benchmark's lists: its folder metadata/, or that of the set",
    )
    add("--overwrite", action="store_true", help="replace a set prepared there of other archives or lists")
    add("--json", type=str | None, default=None, metavar="FILE", help="write the counts there too")
    add("--quiet", action="store_true", help="print nothing but errors and results")


def _prepare(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.data.prepare.run import Request, prepare
    from rfga.data.prepare.watch import Watch
    from rfga.engine.progress import Meter, announcer
    from rfga.files import require_writable, write_json

    file = None if values["json"] is None else Path(values["json"])
    if file is not None:
        require_writable(file)
    request = Request(
        name=values["name"],
        out=Path(values["out"]),
        archives=[Path(path) for path in values["archives"]],
        metadata=None if values["metadata"] is None else Path(values["metadata"]),
        overwrite=values["overwrite"],
    )
    prepared = prepare(request, Watch(announcer(values["quiet"]), partial(Meter, quiet=values["quiet"])))
    for note in prepared.notes:
        say(values, f"note: {note}")
    counts = ", ".join(f"{count} {split}" for split, count in prepared.counts.items())
    before = " (prepared before)" if prepared.was_there else ""
    print(f"{values['name']}: {counts} photographs in {values['out']}{before}")
    if file is not None:
        write_json(file, {"dataset": values["name"], "photographs": prepared.counts, "notes": prepared.notes})


ACTIONS = {
    "prepare": Action(
        "set up a benchmark from its archives, downloaded or local; goes on where it stopped",
        _add_prepare,
        _prepare,
    ),
}
"""Actions of ``rfga data``."""
