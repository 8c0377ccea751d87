"""``rfga methods``: all methods, or the options of one."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar.help import MOST_USED, into
from rfga.cli.printing import print_table
from rfga.engine.run.config import METHOD_NAMES

EXAMPLES = """
# all methods, a line each
rfga methods
# the options of one, for --set
rfga methods rfga
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    explained = f"method to explain: {', '.join(METHOD_NAMES)}"
    into(command, MOST_USED)("name", type=str, nargs="?", default=None, help=explained)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.run.options import method_rows, option_rows

    if values["name"] is None:
        print_table(("method", "what it is"), method_rows())
    else:
        print_table(("option", "type", "default", "meaning"), option_rows(values["name"]))
