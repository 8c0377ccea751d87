"""``rfga serve``: its flags, and what carries it out."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MACHINE, MOST_USED, into
from rfga.cli.printing import tell, warn
from rfga.engine.evaluating.options import EvaluateCommand

EXAMPLES = """
# a page at http://127.0.0.1:7860 to drop photographs on
rfga serve run
# at any free port, for photographs of up to 50 MB
rfga serve run --port 0 --max-upload-mb 50
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("run", type=str, help="run folder that rfga train made")
    first("--port", type=int, default=7860, help="to listen at; 0 takes any that is free")
    host = "address to listen at; by default this machine's own"
    first("--host", type=str, default="127.0.0.1", help=host)
    flags.add_options(command, EvaluateCommand, only=("normalisation", "maps_from"))
    flag = into(command, MACHINE)
    flag("--max-upload-mb", type=float, default=20.0, help="of one file, in megabytes")
    flag("--max-pixels", type=int, default=50_000_000, help="of one photograph; larger ones are not decoded")
    flags.add_runtime(command, only=("device",))


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.serve.limits import Limits
    from rfga.engine.serve.server import ServeCommand, serve

    serve(flags.made(ServeCommand, values, limits=flags.made(Limits, values)), _announce)


def _announce(sentence: str) -> None:
    warning = sentence.startswith("warning")
    (warn if warning else tell)(sentence)
