"""``rfga review``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, into
from rfga.cli.printing import tell
from rfga.output.export.formats import FORMATS

EXAMPLES = """
# a page at http://127.0.0.1:7861; Ctrl-C ends it and writes boxes/boxes/corrected.json
rfga review boxes
# the corrected boxes as YOLO alone, without a page
rfga review boxes --export --format yolo
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    flag = into(command, MOST_USED)
    flag("boxes", type=str, help="folder that rfga build or rfga localize wrote, or its coco.json")
    formats = ",".join(FORMATS)
    flag("--format", type=str, default=formats, help="of corrected boxes, joined by commas")
    flag("--export", action="store_true", help="write the corrected boxes and end, without a page")
    data = "folder of the photographs, where they no longer lie where they did"
    flag("--data", type=str | None, default=None, metavar="DIR", help=data)
    flag("--port", type=int, default=7861, help="to listen at; 0 takes any that is free")


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.reviewing.command import review_boxes
    from rfga.engine.reviewing.sitting import ReviewCommand

    command = flags.made(ReviewCommand, values, boxes=Path(values["boxes"]))
    review_boxes(command, tell)
