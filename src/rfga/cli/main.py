"""The command line: parsing and printing, nothing else."""

from __future__ import annotations

import io
import os
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from rfga.cli.parser import COMMANDS, module_of, usage_sentence
from rfga.engine.runtime.processes import ElsewhereError, started_processes
from rfga.output.letters import legible
from rfga.types import UserError

SHARED = ("train", "evaluate", "localize")
"""Commands whose work several processes can share."""


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
        return run_in_processes(command, values, argv, lambda: module_of(command).run(values, explicit))
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

    parser = build_parser(next((name for name in argv if name in COMMANDS), None))
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
    command = next((name for name in argv if name in COMMANDS), "")
    actions = getattr(module_of(command), "ACTIONS", ()) if command else ()
    command = " ".join([command, *[name for name in argv if name in actions][:1]])
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


def run_in_processes(
    command: str, values: Mapping[str, Any], argv: Sequence[str], run: Callable[[], None]
) -> int:
    """Call ``run`` in this process, as one of several, or in several that are started first.

    Args:
        command: its name.
        values: of its arguments.
        argv: the whole command line.
        run: carries the command out; of several processes, all but the first print nothing.

    Returns:
        The exit status.

    Raises:
        UserError: another command than those of ``SHARED`` in several processes, or machines without torchrun
            or srun.
    """
    started = started_processes()
    devices, nodes = values.get("devices") or 1, values.get("nodes") or 1
    if started is None and nodes > 1:
        raise UserError(
            f"expected torchrun or srun to start the command on each of {nodes} machines, found this process "
            "alone: see docs/scaling.md"
        )
    if started is not None or devices > 1:
        # Before PyTorch is imported: it would tell of each process that another has left.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if started is None and devices > 1:
        from rfga.engine.runtime.launch import start_processes

        return start_processes(argv, devices)
    if started is None or started.alone or (started.first and command in SHARED):
        run()
    elif command in SHARED:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            run()
    elif started.first:
        raise UserError(
            f"expected one process for rfga {command}, found {started.world}: start it without torchrun, "
            f"which is for {', '.join(SHARED)}"
        )
    return 0
