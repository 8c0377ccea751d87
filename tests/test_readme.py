"""The README's Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)


def test_python_blocks_run(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").symlink_to(tiny_run)
    monkeypatch.chdir(tmp_path)
    found = blocks("python")
    assert len(found) == 2
    for block in found:
        names: dict[str, object] = {}
        exec(block, names)
        assert "layer" in names or "localizer" in names


def test_commands_are_commands_of_the_package() -> None:
    from rfga.cli_parser import COMMANDS

    text = "\n".join(blocks("sh"))
    named = set(re.findall(r"rfga (\w+) ", text))
    assert {"train", "localize", "evaluate"} <= named <= set(COMMANDS)
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
