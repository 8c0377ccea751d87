"""What the documentation takes from the code while it is built: tables, flags, names, and other files.

A page says ``<!-- from the code: methods -->`` where a table of ``MAKERS`` is to stand. Some files outside
``docs/`` become pages (``PAGES``); links to them are turned, so that they lead somewhere in the repository
and on the site.
MkDocs calls ``on_files``, ``on_page_markdown`` and ``on_post_page``.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "src/rfga/recipes/README.md": "recipes.md",
}
"""File of the repository -> the page that it becomes."""

MARK = re.compile(r"<!-- from the code: ([a-z-]+) -->")
_LINK = re.compile(r"\]\(((?:\.\./)*)([^):#]+)")
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|link rel=\"(?:stylesheet|preconnect)\")[^>]+\"(?:https?:)?//[^>]+>"
)
_log = logging.getLogger("mkdocs.hooks.from_code")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside ``docs/`` that are pages, too."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith("recipes/README.md"):
            text += "\n## All recipes\n\n<!-- from the code: recipes -->\n"
        files.append(File.generated(config, page, content=_links_of(text, source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put tables where the page asks for them, and turn links that lead out of ``docs/``."""
    text = MARK.sub(lambda found: MAKERS[found[1]](), markdown)
    return turned_links(text, page.file.src_uri.count("/"))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Say where a page would fetch something from another machine."""
    for found in _FETCHED.findall(output):
        _log.warning("%s asks another machine for something: %s", page.file.src_uri, found)
    return output


def turned_links(text: str, depth: int) -> str:
    """Links of a page ``depth`` folders below ``docs/`` to files of the root, led to the pages they became.

    Example:
        >>> turned_links("[c](../../CHANGELOG.md#new) [a](../x.md)", depth=1)
        '[c](../changelog.md#new) [a](../x.md)'
    """

    def turn(found: re.Match[str]) -> str:
        up, place = found[1], found[2]
        out = len(up) // len("../") == depth + 1 and place in PAGES
        return f"]({'../' * depth}{PAGES[place]}" if out else found[0]

    return _LINK.sub(turn, text)


def _links_of(text: str, source: str) -> str:
    """The text of a file of the root as a page: ``docs/x.md`` is beside it, other files are named only."""
    text = re.sub(r"\]\(docs/([^)]+)\)", r"](\1)", text)
    return turned_links(re.sub(r"\]\((?=[A-Z]+\.md)", "](../", text), depth=0)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A Markdown table.

    Example:
        >>> print(table(["a", "b"], [["`1|2`", "x|y"]]))
        | a | b |
        |---|---|
        | `1|2` | x\|y |
    """
    lines = [head, ["---"] * len(head), *([_escaped(cell, r"\|") for cell in row] for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return text.replace("| --- |", "|---|").replace(" --- |", "---|")


def plain(text: str) -> str:
    r"""Text in which Markdown sees no emphasis.

    Example:
        >>> print(plain("X*(M-m), train/CLASS/*.jpg, a_b"))
        X\*(M-m), train/CLASS/\*.jpg, a\_b
    """
    return _escaped(text, "[*_]")


def _escaped(text: str, letters: str) -> str:
    """With a backslash before each of these letters, but for those in code."""
    return re.sub(rf"(`[^`]*`)|({letters})", lambda found: found[1] or f"\\{found[2]}", text)


def methods() -> str:
    """All methods with their sentence, then the options of each; read from the files, without torch."""
    from rfga.methods import METHODS

    lines = ((f"[`{name}`](#{name})", _summary(address)) for name, address in METHODS.items())
    parts = [table(("`--method`", "what it is"), lines)]
    for name, address in METHODS.items():
        rows = [
            (f"`{o}`", f"`{kind}`", f"`{default}`", plain(said))
            for o, kind, default, said in options(address)
        ]
        told = table(("option", "type", "default", "meaning"), rows) if rows else "No options."
        parts.append(f"### {name}\n\n{_told(address)}\n\n{told}")
    return "\n\n".join(parts)


def options(address: str) -> list[tuple[str, str, str, str]]:
    """Option, type, default and meaning of a method "module:Class", as ``rfga methods NAME`` has them."""
    from docstring_parser import parse

    said = {p.arg_name: " ".join((p.description or "").split()) for p in parse(_docstring(address)).params}
    rows = []
    for node in _definition(address).body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                assert argument.annotation is not None
                assert default is not None
                kind, value = _type_name(argument.annotation), str(ast.literal_eval(default))
                rows.append((argument.arg, kind, value, said.get(argument.arg, "")))
    return rows


def _type_name(hint: ast.expr) -> str:
    choice = hint.slice if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "Literal" else None
    return f"one of {', '.join(map(str, ast.literal_eval(choice)))}" if choice else ast.unparse(hint)


def listed(head: str, address: str) -> str:
    """The names of a registry "module:REGISTRY", with the first sentence of each."""
    module, _, registry = address.partition(":")
    names: Mapping[str, str] = getattr(import_module(module), registry)
    return table((head, "what it is"), ((f"`{name}`", _summary(at)) for name, at in names.items()))


def recipes() -> str:
    """Every recipe with its number."""
    from rfga.engine.run.recipes import RECIPE_COLUMNS, recipe_rows

    return table(RECIPE_COLUMNS, ([f"`{first}`", *rest] for first, *rest in recipe_rows()))


def published() -> str:
    """The literature's numbers, a table for each data set and metric."""
    from rfga.output.benchmark.published import read_published

    parts = []
    for data, metric in dict.fromkeys((row.dataset, row.metric) for row in read_published()):
        rows = [row for row in read_published() if (row.dataset, row.metric) == (data, metric)]
        networks = list(dict.fromkeys(row.backbone for row in rows))
        cells: dict[tuple[str, ...], dict[str, str]] = {}
        for row in rows:
            cells.setdefault((row.method, row.normalisation, row.source), {})[row.backbone] = str(row.percent)
        body = [
            [method, maps, *(of.get(network, "") for network in networks), source]
            for (method, maps, source), of in sorted(cells.items(), key=lambda cell: cell[0][2])
        ]
        head = ["method", "maps", *networks, "source"]
        parts.append(f"### {data}, {metric}\n\n{table(head, body)}")
    return "\n\n".join(parts)


def commands() -> str:
    """Every command with its arguments, from the parser that reads them; no torch is needed for it."""
    from jsonargparse import ArgumentParser

    from rfga.cli.data import ACTIONS
    from rfga.cli.grammar.help import command_parser
    from rfga.cli.parser import COMMANDS, module_of

    described: dict[str, tuple[str, str, Callable[[ArgumentParser], None]]] = {
        name: (describe, module_of(name).EXAMPLES, module_of(name).add)
        for name, describe in COMMANDS.items()
        if name != "data"
    }
    described |= {f"data {name}": (a.describe, a.examples, a.add) for name, a in ACTIONS.items()}
    parts = []
    for name, (describe, examples, add) in described.items():
        parser = command_parser(describe)
        add(parser)
        parts.append(f"## rfga {name}\n\n{describe[:1].upper()}{describe[1:]}.")
        parts.append(f"```sh\n{examples.strip()}\n```")
        for title, group in (parser.groups or {}).items():
            rows = [argument_row(a) for a in group._group_actions if a.dest not in ("help", "debug")]
            if rows:
                parts.append(table((title, "default", "meaning"), rows))
    return "\n\n".join(parts)


def argument_row(action: argparse.Action) -> tuple[str, str, str]:
    """An argument as it is typed, its default, and what it means.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> argument_row(parser.add_argument("--step", type=float, default=0.1, help="distance"))
        ('`--step FLOAT`', '`0.1`', 'distance')
        >>> argument_row(parser.add_argument("paths", nargs="+", help="photographs"))
        ('`PATHS...`', 'required', 'photographs')
    """
    flag = action.option_strings[-1] if action.option_strings else ""
    typed = _value_name(action, flag)
    text = f"{flag} {typed}".strip() + ("..." if action.nargs in ("+", "*") else "")
    must = action.required if flag else action.nargs not in ("?", "*")
    unset = action.default is None or action.default is False or action.default in ([], argparse.SUPPRESS)
    default = "required" if must else "" if unset else str(action.default)
    said = plain(action.help or "")
    if action.choices is not None:
        said = f"{said}: {', '.join(f'`{choice}`' for choice in action.choices)}"
    return f"`{text}`", f"`{default}`" if default and not must else default, said


def _value_name(action: argparse.Action, flag: str) -> str:
    if flag and action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    if not flag or action.choices is not None:
        return action.dest.rpartition(".")[2].replace("_", "-").upper()
    kind = getattr(action, "_typehint", None) or action.type
    names = re.findall(r"\b(int|float|str|bool)\b", str(kind))
    return {"int": "INT", "float": "FLOAT"}.get(names[0] if names else "", "TEXT")


def api() -> str:
    """Directives for the public names, in the order of ``rfga.__all__``, and for the metrics."""
    import rfga
    from rfga.metrics import METRICS

    homes = {f"rfga.metrics.{at.partition(':')[2]}": (at.replace(":", "."), "[]") for at in METRICS.values()}
    homes["rfga.LocalizationMetrics"] = ("rfga.LocalizationMetrics", "[]")
    base = "rfga.metrics.streaming.StreamedMetric"  # whose methods are those of every metric
    homes[base] = (base, "[update, compute, reset]")
    names = [f"rfga.{name}" for name in rfga.__all__ if not name.startswith("_")]
    parts = [f"::: {name}" for name in names if name not in homes]
    parts.append(
        "## rfga.metrics\n\n::: rfga.metrics\n    options:\n      show_root_heading: false\n"
        "      show_root_toc_entry: false\n      members: false"
    )
    for name, (home, members) in homes.items():
        parts.append(f"::: {home}\n    options:\n      heading: {name}\n      members: {members}")
    return "\n\n".join(parts)


def _definition(address: str) -> ast.ClassDef | ast.FunctionDef:
    """The syntax tree of "module:name"."""
    module, _, name = address.partition(":")
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
    raise ValueError(f"expected {name} in {spec.origin}, found none: correct the registry")


def _docstring(address: str) -> str:
    return inspect.cleandoc(ast.get_docstring(_definition(address)) or "")


def _summary(address: str) -> str:
    return plain(" ".join(_docstring(address).split("\n\n")[0].split()).replace("``", "`"))


def _told(address: str) -> str:
    """What a docstring says between its first sentence and its arguments, that sentence included."""
    said = re.split(r"\n(?:Args|Shape|Raises|Returns|Example):\n", _docstring(address))[0]
    return plain(said.strip().replace("``", "`"))


MAKERS: Mapping[str, Callable[[], Any]] = {
    "methods": methods,
    "post-hoc": partial(listed, "`--maps-from`", "rfga.methods:POSTHOC"),
    "backbones": partial(listed, "`--backbone`", "rfga.backbones:BACKBONES"),
    "data-sets": partial(listed, "name", "rfga.data:DATASETS"),
    "formats": partial(listed, "`--format`", "rfga.output.export.formats:FORMATS"),
    "recipes": recipes,
    "published": published,
    "commands": commands,
    "api": api,
}
"""What a page may ask for -> what makes it."""
