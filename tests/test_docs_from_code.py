"""What the documentation takes from the code: tables, the reference of commands, names, docstrings."""

from __future__ import annotations

import doctest
import logging
import re
import subprocess
import sys
from types import SimpleNamespace

import griffe
import pytest

from rfga.cli.data import ACTIONS
from rfga.cli.parser import COMMANDS
from tests.conftest import REPOSITORY
from tests.test_docs import DOCS, flags, hook

LIGHT = "[make() for make in made.MAKERS.values()]; assert 'torch' not in sys.modules"


def test_the_hook_says_of_itself_what_is_true() -> None:
    found = doctest.testmod(hook())
    assert found.attempted > 3
    assert not found.failed


def test_every_command_and_flag_stands_in_the_reference() -> None:
    page = hook().commands()
    sections = dict(re.findall(r"^## rfga (.+)\n((?:(?!## ).*\n?)*)", page, re.MULTILINE))
    assert set(sections) == {*COMMANDS, *(f"data {name}" for name in ACTIONS)} - {"data"}
    for name, text in sections.items():
        lacking = {flag for flag in flags(name) - {"--help", "--debug"} if f"`{flag}" not in text}
        assert not lacking, f"rfga {name}"


def test_what_is_made_needs_no_torch() -> None:
    program = f"import sys; sys.path.insert(0, {str(DOCS / 'hooks')!r}); import from_code as made; "
    done = subprocess.run(
        [sys.executable, "-c", program + LIGHT],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_every_public_name_stands_on_the_api_page() -> None:
    import rfga
    from rfga import metrics

    asked = set(re.findall(r"^::: (\S+)", hook().api(), re.MULTILINE))
    assert {f"rfga.{name}" for name in rfga.__all__ if name != "__version__"} <= asked
    assert {at.replace(":", ".") for at in metrics.METRICS.values()} <= asked


def test_the_methods_page_says_what_the_command_says() -> None:
    from rfga.engine.run.options import method_rows, option_rows
    from rfga.methods import METHODS

    page = hook().methods()
    for name, sentence in method_rows():
        assert hook().options(METHODS[name]) == option_rows(name)
        section = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert all(f"| `{option}` |" in section for option, *_ in option_rows(name)), name
        assert f"[`{name}`](#{name}) | {sentence} |" in page


def test_a_page_that_asks_another_machine_is_told(caplog: pytest.LogCaptureFixture) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))
    with caplog.at_level(logging.WARNING):
        hook().on_post_page('<script src="assets/a.js"></script><a href="https://x.org">x</a>', page, None)
        assert not caplog.records
        hook().on_post_page('<script defer src="https://x.org/a.js"></script>', page, None)
        hook().on_post_page('<link rel="stylesheet" href="//x.org/a.css">', page, None)
    assert len(caplog.records) == 2


def test_an_unknown_mark_ends_the_build() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))
    with pytest.raises(KeyError):
        hook().on_page_markdown("<!-- from the code: weather -->", page, None, None)


@pytest.fixture(scope="module")
def package() -> griffe.Module:
    """The package as the API page reads it."""
    extensions = griffe.load_extensions(str(DOCS / "hooks" / "docstrings.py"))
    found = griffe.load("rfga", search_paths=[REPOSITORY / "src"], extensions=extensions, submodules=True)
    assert isinstance(found, griffe.Module)
    return found


def test_fields_say_what_the_comments_beside_them_say(package: griffe.Module) -> None:
    mask = package["types.Truth.mask"]
    assert mask.docstring.value == "(H, W) uint8: 255 object, 0 background, 128 ignored."
    assert package["types.Truth"].docstring.value.startswith("What is known about where the object is")


def test_doctests_are_examples_and_products_no_emphasis(package: griffe.Module) -> None:
    layer = package["nn.rfga.RFGA"].docstring
    assert "\nExamples:\n    >>> layer = RFGA(16).eval()" in layer.value
    assert r"X + X\*M" in layer.value
    assert "Example" not in [section.title for section in layer.parse("google")]


def test_a_warning_ends_the_build() -> None:
    recipe = (
        (REPOSITORY / "Makefile").read_text(encoding="utf-8").partition("\ndocs:")[2].partition("\n\n")[0]
    )
    assert "mkdocs build --strict" in recipe
    assert "quiet" not in recipe  # MkDocs does not count what it does not say
    assert "\ntest: check docs\n" in (REPOSITORY / "Makefile").read_text(encoding="utf-8")
