"""``rfga recipes``: all recipes with the literature's numbers, or one."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar.help import MOST_USED, into
from rfga.cli.printing import print_table

EXAMPLES = """
# all recipes with the numbers that their papers report
rfga recipes
# one, as YAML to change
rfga recipes cub-resnet50-adl
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("name", type=str, nargs="?", default=None, help="recipe to print")


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.run.recipes import RECIPE_COLUMNS, recipe_rows, recipe_text

    if values["name"] is None:
        print_table(RECIPE_COLUMNS, recipe_rows())
    else:
        print(recipe_text(values["name"]), end="")
