"""``rfga data ACTION``: flags and runners of each action; a new one is one line in ``ACTIONS``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MACHINE, MOST_USED, WRITTEN, command_parser, into
from rfga.cli.printing import print_table, say, tell
from rfga.data.prepare import PREPARERS
from rfga.types import SPLIT_ALIASES, SPLITS

SHOWN = 3  # findings of a kind that the terminal names

_CHECK_EXAMPLES = """
# what is wrong with one's own photographs, and a page that shows it
rfga data check photographs --out check
# with the boxes of photographs/val; warnings, too, end with the status 1
rfga data check photographs --truth val_boxes.json --strict
"""
_PREPARE_EXAMPLES = """
# download the pets, and lay them out as folders with boxes
rfga data prepare pets --out pets
# a benchmark whose archives lie here, with its lists
rfga data prepare cub --out cub --archives CUB_200_2011.tgz --metadata metadata
"""
_LINK_EXAMPLES = """
# photographs with one or several labels each, as lines image,label: class folders for rfga build
rfga data link labels.csv photographs --out classes
"""


class Action(NamedTuple):
    """One action: its description, examples, what adds its flags, and what carries it out."""

    describe: str
    examples: str
    add: Callable[[ArgumentParser], None]
    run: Callable[[dict[str, Any], set[str]], None]


def add(command: ArgumentParser) -> None:
    """Put the actions below the command ``data``."""
    actions = command.add_subcommands(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        parser = command_parser(action.describe, action.examples)
        action.add(parser)
        actions.add_subcommand(name, parser, help=action.describe)
        parser.prog = f"rfga data {name}"


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the action that was chosen."""
    ACTIONS[values["action"]].run(values, explicit)


def _add_prepare(command: ArgumentParser) -> None:
    flag = into(command, MOST_USED)
    flag("name", choices=tuple(PREPARERS), help="which set")
    flag("--out", type=str, required=True, help="folder of the prepared set")
    flag(
        "--archives",
        type=str,
        nargs="+",
        default=[],
        metavar="PATH",
        help="local archives, or folders of them; others are downloaded where they can be",
    )
    flag(
        "--metadata",
        type=str | None,
        default=None,
        metavar="DIR",
        help="the benchmark's lists: its folder metadata/, or that of the set",
    )
    flag("--overwrite", action="store_true", help="replace a set prepared there of other archives or lists")
    flags.add_json(command, "write the counts there too")
    flags.add_quiet(command)


def _prepare(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.data.prepare.run import Request, prepare
    from rfga.data.prepare.watch import Watch
    from rfga.engine.runtime.progress import Meter, announcer

    file = flags.writable(values["json"])
    request = flags.made(Request, values, archives=[Path(path) for path in values["archives"]])
    prepared = prepare(request, Watch(announcer(values["quiet"]), partial(Meter, quiet=values["quiet"])))
    for note in prepared.notes:
        say(values, f"note: {note}")
    counts = ", ".join(f"{count} {split}" for split, count in prepared.counts.items())
    before = " (prepared before)" if prepared.was_there else ""
    tell(f"{values['name']}: {counts} photographs in {values['out']}{before}")
    flags.write_json_to(
        file, {"dataset": values["name"], "photographs": prepared.counts, "notes": prepared.notes}
    )


def _add_check(command: ArgumentParser) -> None:
    flag = into(command, MOST_USED)
    flag("data", type=str, help="folder with train/CLASS/*.jpg, prepared folder, NAME:FOLDER or NAME")
    flag("--truth", type=str | None, default=None, help="boxes or masks of the split, as for rfga evaluate")
    flag(
        "--split", choices=(*SPLITS, *SPLIT_ALIASES), default="val", help="which photographs the truth is of"
    )
    flag("--out", type=str | None, default=None, metavar="DIR", help="write check.html and check.json there")
    flag("--strict", action="store_true", help="warnings, too, give the exit status 1")
    flag = into(command, WRITTEN)
    flag("--html", type=str | None, default=None, metavar="FILE", help="write the page with pictures there")
    flags.add_json(command, "write all that was found there")
    flag = into(command, MACHINE)
    flag("--workers", type=int, default=-1, help="threads that read photographs; -1 takes one a core")
    flags.add_quiet(command)


def _check(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.building.data_check import (
        FOUND_COLUMNS,
        CheckCommand,
        check_data,
        found_lines,
        found_rows,
        write_check,
    )
    from rfga.files import held_in, mark_output, require_writable, write_json

    out = flags.optional_path(values["out"])
    pages = [Path(values["html"])] if values["html"] else []
    files = [Path(values["json"])] if values["json"] else []
    if out is not None:
        pages, files = [*pages, out / "check.html"], [*files, out / "check.json"]
    for path in (*pages, *files):
        require_writable(path)
    if out is not None and not held_in(out):
        mark_output(out)  # a folder of its own, which may lie among the photographs
    workers = values["workers"] if values["workers"] > 0 else None
    check = check_data(flags.made(CheckCommand, values, workers=workers))
    if check.findings:
        print_table(FOUND_COLUMNS, found_rows(check, SHOWN))
    for line in found_lines(check, SHOWN):
        say(values, line)
    tell(check.verdict)
    for page in pages:
        write_check(check, page)
        say(values, f"pictures: {page}")
    for file in files:
        write_json(file, check.as_json())
    check.require_right(strict=values["strict"])


def _add_link(command: ArgumentParser) -> None:
    flag = into(command, MOST_USED)
    flag("labels", type=str, help="lines image,label, several for an image; or COCO JSON, boxes or none")
    flag("photographs", type=str, help="folder that the names are relative to")
    flag("--out", type=str, required=True, help="new folder of class folders")
    flags.add_quiet(command)


def _link(values: dict[str, Any], explicit: set[str]) -> None:
    from rfga.engine.building.labelled import link_photographs, linked_lines

    out = Path(values["out"])
    linked = link_photographs(Path(values["labels"]), Path(values["photographs"]), out)
    for line in linked_lines(linked, out):
        tell(line)


ACTIONS = {
    "prepare": Action(
        "set up a benchmark from its archives, downloaded or local; goes on where it stopped",
        _PREPARE_EXAMPLES,
        _add_prepare,
        _prepare,
    ),
    "check": Action(
        "find what is wrong with photographs, classes, boxes and masks", _CHECK_EXAMPLES, _add_check, _check
    ),
    "link": Action(
        "make class folders of links from labels, one or several for a photograph",
        _LINK_EXAMPLES,
        _add_link,
        _link,
    ),
}
"""Actions of ``rfga data``."""

EXAMPLES = _CHECK_EXAMPLES + _PREPARE_EXAMPLES.lstrip() + _LINK_EXAMPLES.lstrip()
