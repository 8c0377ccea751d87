from __future__ import annotations

import shlex

import pytest

from rfga.cli import main
from rfga.cli.data import ACTIONS
from rfga.cli.grammar.help import MOST_USED, command_parser
from rfga.cli.parser import COMMANDS, EXAMPLES, build_parser, module_of
from rfga.engine.run.recipes import recipe_text

EVERYTHING = {
    **{name: (module_of(name).EXAMPLES, module_of(name).add) for name in COMMANDS},
    **{f"data {name}": (action.examples, action.add) for name, action in ACTIONS.items()},
}


def typed(examples: str) -> list[list[str]]:
    """The words of each line that is no comment, after the program's name."""
    lines = [line for line in examples.strip().splitlines() if not line.startswith("#")]
    assert all(line.startswith("rfga ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_parser_of_a_command_understands_its_examples(name: str) -> None:
    examples = typed(EVERYTHING[name][0])
    assert examples
    for words in examples:
        assert " ".join(words).startswith(name)
        values = build_parser(words[0]).parse_args(words)[words[0]]
        recipe = values.get("name") if name == "recipes" else values.get("config")
        assert recipe is None or recipe_text(recipe)


def test_the_examples_of_the_first_help_are_real() -> None:
    assert {words[0] for words in typed(EXAMPLES)} <= set(COMMANDS)


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "data"])
def test_a_handful_of_arguments_comes_first_and_each_has_a_group(name: str) -> None:
    parser = command_parser("")
    EVERYTHING[name][1](parser)
    groups = parser.groups or {}
    assert 1 <= len(groups[MOST_USED]._group_actions) <= 8
    assert len(parser._actions) == sum(len(group._group_actions) for group in groups.values())


def test_a_help_says_what_must_be_given_and_shows_examples_as_they_are_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["build", "--help"])
    usage, _, rest = capsys.readouterr().out.partition("\n")
    assert usage == "usage: rfga build --out OUT data [option ...]"
    assert rest.index("--out OUT") < rest.index(" folder for the check") < rest.index("--momentum")
    assert "\n  rfga build photographs --out boxes\n" in rest
    assert "(default: 0)" in rest  # a seed of nothing is a default, too
    assert "default: False" not in rest


def test_groups_of_which_a_command_has_nothing_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["recipes", "--help"])
    said = capsys.readouterr().out
    titles = [line for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["most used:", "messages:", "examples:"]
