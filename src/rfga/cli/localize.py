"""``rfga localize``: its flags, and what carries it out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, into
from rfga.cli.printing import print_some, print_summary, say
from rfga.engine.localizing.options import LocalizeCommand, LocalizeOptions
from rfga.output.export.formats import FORMATS

EXAMPLES = """
# boxes for new photographs, of the class that is most probable
rfga localize run new/*.jpg --out boxes
# photographs/CLASS/*.jpg: boxes of the folder's class, for YOLO and Label Studio
rfga localize run photographs --out boxes --format yolo,labelstudio
# go on where it was stopped
rfga localize run photographs --out boxes --format yolo,labelstudio --resume
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("run", type=str, help="run folder that rfga train made")
    first("paths", type=str, nargs="+", help="photographs, folders, or .txt lists of paths")
    first("--out", type=str, required=True, help="folder for boxes and pictures")
    said = {"formats": f"joined by commas: {', '.join(FORMATS)}"}
    most = ("labels", "max_boxes", "formats", "masks")
    flags.add_options(command, LocalizeOptions, only=most, said=said, group=MOST_USED)
    flags.add_options(command, LocalizeCommand, only=("threshold",))
    flags.add_options(command, LocalizeOptions, without=(*most, "batch_size"))
    flags.add_policy(command, "go on with a run that was stopped", "replace the output of an earlier run")
    flags.add_json(command, "write the summary there too")
    flags.add_reading(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.localizing.localize import localize_paths

    file = flags.writable(values["json"])
    paths = [Path(path) for path in values["paths"]]
    options, policy = flags.made(LocalizeOptions, values), flags.policy_of(values)
    command = flags.made(LocalizeCommand, values, paths=paths, options=options, policy=policy)
    summary = localize_paths(command, flags.runtime_of(values))
    failed = [f"failed {name}: {reason}" for name, reason in summary.failed.items()]
    print_some(failed, "more failed; summary.json lists them all")
    print_summary(summary, values["out"])
    for warning, count in summary.warnings.items():
        say(values, f"{count} with the warning: {warning}")
    if options.review:
        say(values, f"look at the worst first: {command.out / 'review.html'}")
    flags.write_json_to(file, asdict(summary))
