"""The rules of the layout, checked on the syntax tree; each function lists what breaks one of them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

MAX_LINES, MAX_MEDIAN_LINES, MAX_FUNCTION_LINES, MAX_ARGUMENTS, MAX_INHERITANCE = 300, 130, 50, 7, 2

BOTTOM = frozenset({"types", "version", "files", "untrusted"})
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "types": frozenset(),
    "version": frozenset(),
    "files": frozenset({"types"}),
    "untrusted": frozenset({"types"}),
    "geometry": BOTTOM,
    "nn": frozenset(),
    "backbones": frozenset(),
    "data": BOTTOM | {"geometry"},
    "metrics": BOTTOM | {"geometry"},
    "output": BOTTOM | {"geometry"},
    "methods": BOTTOM | {"geometry", "nn", "backbones"},
    "engine": BOTTOM | {"geometry", "nn", "backbones", "data", "metrics", "output", "methods"},
    "cli": BOTTOM | {"engine", "output", "data"},
}
"""Layer -> the layers that it may import besides itself."""

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"runtime"}),
    frozenset({"run"}),
    frozenset({"thresholds"}),
    frozenset({"localizing"}),
    frozenset({"learning", "attention", "export", "serve"}),
    frozenset({"evaluating", "reviewing"}),
    frozenset({"building"}),
    frozenset({"benchmark"}),
    frozenset({"ablation"}),
)
"""The rooms of ``engine`` from the ground up: each may import those below its floor."""

MAX_MODULES, MAX_BESIDE_PACKAGES = 20, 10

METHOD_SIBLINGS = frozenset({"rfga.methods", "rfga.methods.base", "rfga.methods.cam"})
LAYERS_WITH_OPTIONS = frozenset({"nn", "methods"})  # the arguments of their constructors are options
MAY_NAME_ONE = re.compile(r"engine/(building/demo|(ablation|attention)/\w+)\.py")
# ``--labels folder``: the folder's name
OTHER_MEANINGS = frozenset({("engine/localizing/labels.py", "folder")})
MARKS = re.compile(
    r"type:\s*ignore|no[q]a|TO[D]O|FIX[M]E|X{3}|Not[I]mplementedError|pragma:\s*no cover|x[f]ail"
)

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Modules = Mapping[str, "Module"]


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: str  # below src/rfga, with forward slashes
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        parts = ["rfga", *Path(self.path).with_suffix("").parts]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def layer(self) -> str:
        """The folder or lone module that the rules speak of; "" for the package's own list of names."""
        return layer_of(self.name)

    @property
    def functions(self) -> Iterator[FunctionNode]:
        return (node for node in ast.walk(self.tree) if isinstance(node, FunctionNode))


def layer_of(module_name: str) -> str:
    """``rfga.data.folder`` -> ``data``; ``python -m rfga`` belongs to the command line."""
    first = [*module_name.split("."), ""][1]
    return "cli" if first == "__main__" else first


def read_modules(package: Path) -> dict[str, Module]:
    """Every module of the package by its name."""
    found = [
        Module(path.relative_to(package).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    ]
    return {module.name: module for module in found}


def imported(module: Module, modules: Modules) -> set[str]:
    """The modules of ours that ``module`` imports, anywhere in its text."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = (
                    module.name if module.path.endswith("__init__.py") else module.name.rpartition(".")[0]
                )
                for _ in range(node.level - 1):
                    package = package.rpartition(".")[0]
                base = f"{package}.{base}" if base else package
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in modules else base)
    return {name for name in found if name.partition(".")[0] == "rfga"}


def wrong_imports(modules: Modules) -> list[str]:
    """Imports that do not point back along the way of the data."""
    problems = []
    for module in modules.values():
        if not module.layer:
            continue  # the public names, loaded lazily from everywhere
        if module.layer not in MAY_IMPORT:
            problems.append(f"{module.path}: {module.layer} has no place in the table of layers")
            continue
        for name in sorted(imported(module, modules)):
            layer = layer_of(name)
            allowed = MAY_IMPORT[module.layer] | {module.layer}
            sibling = module.layer == layer == "methods" and name not in METHOD_SIBLINGS
            if layer not in allowed or sibling:
                problems.append(f"{module.path}: {module.layer} may not import {name}")
    return problems


def imports_upstairs(modules: Modules) -> list[str]:
    """Imports from a room of ``engine`` into one on its own floor or above."""
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    problems = []
    for module in modules.values():
        room = room_of(module.name)
        if room and room not in floor_of:
            problems.append(f"{module.path}: {room} has no floor: give it one in FLOORS")
            continue
        for name in sorted(imported(module, modules)):
            other = room_of(name)
            if room and other not in ("", room) and floor_of.get(other, len(FLOORS)) >= floor_of[room]:
                problems.append(
                    f"{module.path}: {room} may not import {name}, which is no floor below: move what both "
                    "need down to the room whose job it is, or the caller up"
                )
    return problems


def room_of(module_name: str) -> str:
    """``rfga.engine.run.config`` -> ``run``; "" outside of ``engine``."""
    parts = module_name.split(".")
    return parts[2] if parts[1:2] == ["engine"] and len(parts) > 2 else ""


def crowded_folders(modules: Modules) -> list[str]:
    """Folders of more than 20 modules, and more than 10 files beside the packages at the top."""
    counts = Counter(Path(module.path).parent.as_posix() for module in modules.values())
    return [
        f"{folder}: {count} modules (limit {limit}): find what they do in rooms of its own"
        for folder, count in counts.items()
        if count > (limit := MAX_BESIDE_PACKAGES if folder == "." else MAX_MODULES)
    ]


def import_cycles(modules: Modules) -> list[str]:
    """Modules that import themselves by way of others, imports inside functions included."""
    graph = {name: imported(module, modules) & set(modules) - {name} for name, module in modules.items()}
    done: set[str] = set()
    problems = []

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            problems.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for following in sorted(graph[name]):
                visit(following, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return problems


def branches_on_names(modules: Modules, layer: str, names: set[str]) -> list[str]:
    """Comparisons with a registered name outside the layer that registers it."""
    return [
        f"{module.path}:{node.lineno}: a branch on the name {name!r} belongs into {layer}/"
        for module in modules.values()
        if module.layer != layer and not MAY_NAME_ONE.fullmatch(module.path)
        for node in ast.walk(module.tree)
        for name in _compared_with(node) & names
        if isinstance(node, ast.expr | ast.pattern) and (module.path, name) not in OTHER_MEANINGS
    ]


def _compared_with(node: ast.AST) -> set[str]:
    """The strings that an expression or pattern compares with."""
    if isinstance(node, ast.Compare):
        sides: list[ast.AST] = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        sides = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        sides = list(node.args) if node.func.attr in ("startswith", "endswith", "__eq__") else []
    else:
        return set()
    members = [
        member
        for side in sides
        for member in (side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side])
    ]
    return {m.value for m in members if isinstance(m, ast.Constant) and isinstance(m.value, str)}


def long_files(modules: Modules) -> list[str]:
    """Files of more than 300 lines, and a median above 130."""
    lines = {module.path: module.text.count("\n") for module in modules.values()}
    problems = [f"{path}: {n} lines (limit {MAX_LINES})" for path, n in lines.items() if n > MAX_LINES]
    if lines and median(lines.values()) > MAX_MEDIAN_LINES:
        problems.append(f"the median file has {median(lines.values())} lines (limit {MAX_MEDIAN_LINES})")
    return problems


def long_functions(modules: Modules) -> list[str]:
    """Functions of more than 50 lines, the docstring not counted."""
    problems = []
    for module in modules.values():
        for node in module.functions:
            said = ast.get_docstring(node, clean=False)
            lines = (
                (node.end_lineno or 0) - node.lineno + 1 - (said.count("\n") + 1 if said is not None else 0)
            )
            if lines > MAX_FUNCTION_LINES:
                problems.append(
                    f"{module.path}:{node.lineno}: {node.name} is {lines} lines (limit {MAX_FUNCTION_LINES})"
                )
    return problems


def many_arguments(modules: Modules) -> list[str]:
    """Functions of more than 7 arguments, but for the constructors of layers and methods."""
    problems = []
    for module in modules.values():
        for node in module.functions:
            if node.name == "__init__" and module.layer in LAYERS_WITH_OPTIONS:
                continue
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            taken = [argument.arg for argument in given if argument.arg not in ("self", "cls")]
            if len(taken) > MAX_ARGUMENTS:
                found = f"{node.name} takes {len(taken)} arguments (limit {MAX_ARGUMENTS})"
                problems.append(f"{module.path}:{node.lineno}: {found}")
    return problems


def deep_inheritance(modules: Modules) -> list[str]:
    """Classes more than 2 steps below the first class of ours that they come from."""
    bases: dict[str, list[str]] = {}
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases]

    def depth(name: str) -> int:
        return max((1 + depth(base) for base in bases[name] if base in bases and base != name), default=0)

    return [
        f"{name} is {depth(name)} steps below its first ancestor (limit {MAX_INHERITANCE})"
        for name in bases
        if depth(name) > MAX_INHERITANCE
    ]


def missing_docstrings(modules: Modules) -> list[str]:
    """Public modules' classes, their methods and functions that say nothing of themselves."""
    return [
        f"{module.path}:{node.lineno}: {node.name} has no docstring"
        for module in modules.values()
        for node in _public(module.tree)
        if not ast.get_docstring(node)
    ]


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[FunctionNode | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, FunctionNode | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def left_marks(texts: Mapping[str, str]) -> list[str]:
    """Lines that put something off, or silence a tool."""
    return [
        f"{path}:{number}: {line.strip()[:90]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if MARKS.search(line)
    ]
