"""README and documentation: their Python runs, their commands are understood, their links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
from argparse import ArgumentError
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from jsonargparse import ArgumentParser
from PIL import Image

from rfga.cli.data import ACTIONS
from rfga.cli.grammar.help import command_parser
from rfga.cli.parser import COMMANDS, build_parser, module_of
from rfga.types import Truth
from tests.conftest import REPOSITORY
from tests.engine import tiny

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXPORTED = "model.pt2"  # takes long to make
PICTURES_BYTES = 420_000  # of everything in docs/ that is no text


def named(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def with_blocks(language: str, *words: str) -> list[Path]:
    return [page for page in PAGES if any(all(w in text for w in words) for text in blocks(page, language))]


@cache
def hook() -> ModuleType:
    """What MkDocs runs while it builds."""
    spec = importlib.util.spec_from_file_location("from_code", DOCS / "hooks" / "from_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Python


def prepare(folder: Path, run: Path) -> dict[str, Any]:
    """What the pages take for given: a run, photographs, a repository's folder, batches of maps."""
    for name in ("run", "model", "USER/NAME"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(run)
    for name in ("photo.jpg", "a.jpg", "b.jpg"):
        Image.linear_gradient("L").convert("RGB").resize((80, 60)).save(folder / name)
    truth = Truth((60, 80), boxes=np.array([[40.0, 15.0, 60.0, 30.0]]))
    batch = SimpleNamespace(
        ids=["a.jpg"], maps=np.zeros((1, 224, 224)), truths=[truth], labels=[1], logits=np.eye(1, 10)
    )
    return {"batches": [batch]}


def run_blocks(page: Path, names: dict[str, Any], *, slow: bool = False) -> int:
    """Run a page's blocks in one namespace; gives how many there were."""
    wanted = [text for text in blocks(page, "python") if (EXPORTED in text) == slow]
    for text in wanted:
        exec(compile(text, named(page), "exec"), names)
    return len(wanted)


@pytest.mark.parametrize("page", with_blocks("python"), ids=named)
def test_python_of_a_page_runs(
    page: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_blocks(page, prepare(tmp_path, tiny_run)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks("python", EXPORTED), ids=named)
def test_python_on_an_exported_program_runs(
    page: Path, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rfga.cli import main

    run = tiny.train(birds, tmp_path / "trained", image_size=224, epochs=1)
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), "--format", "torch", "--out", EXPORTED]) == 0
    assert run_blocks(page, {}, slow=True) > 0


def test_there_are_pages_with_python() -> None:
    assert {"README.md", "docs/export.md", "docs/quick-start.md", "docs/paper.md"} <= {
        named(page) for page in with_blocks("python")
    }


# Commands


@cache
def parser(command: str) -> ArgumentParser:
    return build_parser(command)


@cache
def flags(command: str) -> set[str]:
    """The flags of ``train`` or ``data check``."""
    made = command_parser(command)
    first, _, second = command.partition(" ")
    (ACTIONS[second].add if second else module_of(first).add)(made)
    return {*re.findall(r"--[a-z][a-z-]*", made.format_help()), "--debug"}


def shell_lines(page: Path) -> Iterator[list[str]]:
    """The words of every command in the page's shell blocks, without comments and settings before it."""
    for text in blocks(page, "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(re.sub(r"\$method\b|\bMETHOD\b", "cam", line), comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield words


def problem_of(words: list[str]) -> str | None:
    """What is wrong with a command, if anything."""
    first, rest = Path(words[0]).name, words[1:]
    if first == "rfga":
        try:
            parser(rest[0]).parse_args(rest)
        except ArgumentError as error:
            return str(error)
    elif first == "make":
        targets = re.findall(r"^(\w[\w-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        return None if set(rest) <= set(targets) else f"make has no {rest}"
    elif first == "python" and rest[0].endswith(".py"):
        script = REPOSITORY / rest[0]
        if not script.is_file():
            return f"there is no {rest[0]}"
        lacking = [
            w for w in rest if w.startswith("--") and f'"{w}"' not in script.read_text(encoding="utf-8")
        ]
        return f"{rest[0]} has no {lacking}" if lacking else None
    return None


@pytest.mark.parametrize("page", with_blocks("sh"), ids=named)
def test_commands_are_understood(page: Path) -> None:
    lines = list(shell_lines(page))
    assert lines
    assert not [f"{shlex.join(words)}: {said}" for words in lines if (said := problem_of(words))]


@pytest.mark.parametrize(
    "line",
    ["rfga trian x --out y", "rfga train x --out y --epoch-count 3", "make coffee", "python benchmarks/no.py",
     "rfga localize run --out y", "python benchmarks/layer.py --no-such-flag"],
)  # fmt: skip
def test_a_wrong_command_is_found(line: str) -> None:
    assert problem_of(line.split())


def test_the_main_commands_are_shown() -> None:
    lines = [words for page in PAGES for words in shell_lines(page)]
    shown = {words[1] for words in lines if Path(words[0]).name == "rfga"}
    assert {"build", "train", "localize", "evaluate", "benchmark", "export", "serve", "score"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_within_sentences_exist(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    problems = []
    for said in re.findall(r"`((?:\.venv/bin/)?rfga [^`]+)`", text):
        words = said.split()[1:]
        command = " ".join(words[: 2 if words[0] == "data" else 1])
        if not re.fullmatch(r"[a-z ]+", command):
            continue  # `rfga COMMAND --help`
        known = command in COMMANDS or command.removeprefix("data ") in ACTIONS
        wrong = set(re.findall(r"--[a-z][a-z-]*", said)) - flags(command) if known else {command}
        problems += [f"{said}: {wrong}"] if wrong else []
    assert not problems


# Links


def anchors(page: Path) -> set[str]:
    """What can be jumped to on a page: its headings, and those that the code makes."""
    text = hook().MARK.sub(lambda found: hook().MAKERS[found[1]](), page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^::: (\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    problems = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            problems.append(target)
    assert not problems


def test_pictures_stay_small() -> None:
    pictures = [path for path in DOCS.rglob("*") if path.suffix in (".jpg", ".png", ".svg")]
    assert 0 < sum(path.stat().st_size for path in pictures) < PICTURES_BYTES
