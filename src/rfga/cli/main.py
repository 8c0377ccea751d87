"""The command line: parsing and printing, nothing else."""

from __future__ import annotations

import io
import os
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from typing import Any

from rfga.cli.commands import RUNNERS, SUBCOMMANDS
from rfga.cli.processes import run_in_processes
from rfga.engine.runtime.processes import ElsewhereError
from rfga.output.letters import legible
from rfga.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; or 1 after one clear sentence on the standard error; or 2 after wrong usage.
    """
    argv = sys.argv[1:] if argv is None else argv
    values: dict[str, Any] = {}
    _print_any_name()
    try:
        command, values, explicit = _parsed(argv)
        return run_in_processes(command, values, argv, lambda: RUNNERS[command](values, explicit))
    except ArgumentError as error:
        return _wrong_usage(error, argv)
    except (UserError, ElsewhereError) as error:
        return _failed(str(error), values) if isinstance(error, UserError) else 1  # else another has told
    except BrokenPipeError:  # whoever read the output, as `head` does, wants no more of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        remedy = "go on with --resume" if "resume" in values else "start it again"
        return _failed(f"stopped by the keyboard before the end: {remedy}", values)
    except Exception as error:
        return _failed(f"unexpected {type(error).__name__}: {error} (--debug shows where)", values)


def _parsed(argv: Sequence[str]) -> tuple[str, dict[str, Any], set[str]]:
    """The command, the values of its arguments, and the names of those that were given."""
    from rfga.cli.parser import build_parser

    parser = build_parser()
    arguments = parser.parse_args(argv).as_dict()
    given = parser.parse_args(argv, defaults=False).as_dict()
    command = arguments["command"]
    own, given = _flat(arguments[command]), _flat(given[command])
    values = {name.replace("-", "_"): value for name, value in own.items()}
    return command, values, {name.replace("-", "_") for name in given}


def _flat(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a command and of its subcommand (``action``) side by side."""
    inner = arguments.get(arguments.get("action", ""), {})
    return {**inner, **{name: value for name, value in arguments.items() if value or name not in inner}}


def _wrong_usage(error: ArgumentError, argv: Sequence[str]) -> int:
    from rfga.cli.parser import usage_sentence

    command = next((name for name in argv if name in RUNNERS), "")
    actions = [name for name in argv if name in SUBCOMMANDS.get(command, ())]
    command = " ".join([command, *actions[:1]])
    whole = f"rfga {command}".strip()
    print(f"rfga: wrong usage: {usage_sentence(error, command)} (see {whole} --help)", file=sys.stderr)
    return 2


def _failed(sentence: str, values: Mapping[str, Any]) -> int:
    if values.get("debug"):
        traceback.print_exc()
    print(f"rfga: error: {legible(' '.join(sentence.split()))}", file=sys.stderr)
    return 1


def _print_any_name() -> None:
    """File names may hold what a terminal has no letters for; a command must not fail by printing them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
