"""The command line's grammar: commands, flags and their help, without importing anything heavy."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType

from jsonargparse import ArgumentParser

from rfga.cli.grammar.help import Help, command_parser, shown
from rfga.version import __version__

COMMANDS = {
    "demo": "boxes on drawn birds, beside those of a plain class map",
    "build": "from class folders to a checked set of boxes, in one go",
    "review": "correct boxes on a local page, the least sure first",
    "localize": "boxes for photographs",
    "train": "train on class folders of photographs",
    "evaluate": "measure a run on photographs whose boxes or masks are known",
    "export": "write a run as ONNX, as a torch program, or as a folder for a hub",
    "serve": "open a local page to drop photographs on",
    "data": "set up benchmarks, and check photographs with their truth",
    "methods": "list the methods, or explain the options of one",
    "recipes": "list the literature's recipes with their numbers, or print one",
    "benchmark": "compare methods x backbones x seeds, beside the literature",
    "ablate": "change every mechanism of RFGA by itself, beside the full layer",
    "attention": "picture what the attention layer of a run does with photographs",
    "score": "measure score maps of any tool against the benchmark's lists",
}
"""Name of a command, and of its file here -> what it does."""


EXAMPLES = """
# see it work, without photographs of one's own
rfga demo
# boxes for photographs/CLASS/*.jpg
rfga build photographs --out boxes
# all that a command can do
rfga build --help
"""


def module_of(command: str) -> ModuleType:
    """The file of a command: ``add`` adds its flags, ``EXAMPLES`` shows them, ``run`` carries it out."""
    return import_module(f"rfga.cli.{command}")


def build_parser(command: str | None = None) -> ArgumentParser:
    """The parser of a command, beside the names of all others; wrong usage raises ``ArgumentError``."""
    parser = ArgumentParser(
        prog="rfga",
        exit_on_error=False,
        formatter_class=Help,
        version=__version__,
        description="From class labels to boxes: weakly supervised object localization.",
        epilog=shown(EXAMPLES),
    )
    commands = parser.add_subcommands(dest="command", required=True, metavar="COMMAND")
    for name, describe in COMMANDS.items():
        asked = name == command
        its_own = command_parser(describe, module_of(name).EXAMPLES if asked else "")
        commands.add_subcommand(name, its_own, help=describe)  # first, as its own subcommands need it
        if asked:
            module_of(name).add(its_own)
        its_own.prog = f"rfga {name}"
    return parser


def usage_sentence(error: Exception, command: str) -> str:
    """What is wrong with the usage, in the words of the command line instead of the parser's.

    Example:
        >>> usage_sentence(ValueError('Parser key "max_boxes": Expected int.'), "localize")
        '--max-boxes: Expected int.'
    """
    said = re.sub(r'Parser key "(\w+)"', lambda key: f"--{key[1].replace('_', '-')}", str(error))
    said = re.sub(r"(a )?<class '(\w+)'>", r"\2", said).replace(f"{command.replace(' ', '.')}.", "")
    return " ".join(said.split())
