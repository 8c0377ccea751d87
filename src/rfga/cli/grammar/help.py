"""What ``--help`` prints of a command: first what most people need, then groups, then examples."""

from __future__ import annotations

from argparse import PARSER, SUPPRESS, Action, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from textwrap import indent
from typing import Any

from jsonargparse import ArgumentParser

from rfga.engine.run.config import SOLVED_METHODS

GROUPS = (
    MOST_USED := "most used",
    WRITTEN := "what is written",
    "maps and boxes",
    MEASURED := "how it is measured",
    METHOD := "network and method",
    LEARNING := "learning",
    EPOCHS := "learning by epochs",
    "reading photographs",
    MACHINE := "machine",
    MESSAGES := "messages",
)
"""Titles in their order. A field of a dataclass names its group in its metadata, the next have the same."""

HEADINGS = {EPOCHS: f"{EPOCHS} (not of {', '.join(SOLVED_METHODS)}, which are solved)"}
"""Of groups whose title does not say enough."""


def command_parser(describe: str, examples: str = "") -> ArgumentParser:
    """A parser with empty ``groups``, for a command or an action.

    Args:
        describe: what the command does.
        examples: lines to type, each below a comment.
    """
    parser = ArgumentParser(
        add_help=False,
        exit_on_error=False,
        description=describe,
        epilog=shown(examples),
        formatter_class=Help,
    )
    for title in GROUPS:
        parser.add_argument_group(HEADINGS.get(title, title), name=title)
    flag = into(parser, MESSAGES)
    flag("-h", "--help", action="help", help="show this help message and exit")
    flag("--debug", action="store_true", help="show the traceback of an error")
    return parser


def into(parser: ArgumentParser, title: str) -> Callable[..., Action]:
    """What adds an argument to a group of the parser."""
    adder: Callable[..., Action] = (parser.groups or {})[title].add_argument
    return adder


def shown(examples: str) -> str:
    """Lines to type as the end of a help, or nothing."""
    return f"examples:\n{indent(examples.strip(), '  ')}" if examples else ""


class Help(RawDescriptionHelpFormatter):
    """Of the usage what must be given, and defaults where there are some."""

    def add_usage(self, usage: str | None, actions: Iterable[Action], *more: Any, **named: Any) -> None:
        """Leave out of the usage what can be left out of the command."""
        must = [action for action in actions if action.required or not action.option_strings]
        if all(action.nargs != PARSER for action in must):
            must.append(Action([], "rest", metavar="[option ...]"))
        super().add_usage(usage, must, *more, **named)

    def _get_help_string(self, action: Action) -> str:
        none = action.required or action.default is None or action.default is False
        unsaid = none or action.default in ([], SUPPRESS)
        return f"{action.help}{'' if unsaid else ' (default: %(default)s)'}"
