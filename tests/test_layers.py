"""The layout of design.md holds, and each check of it can fail."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import rfga
from rfga.cli.parser import COMMANDS
from rfga.data import DATASETS
from rfga.methods import METHODS
from tests import house_rules as rules
from tests.conftest import REPOSITORY

MODULES = rules.read_modules(REPOSITORY / "src" / "rfga")


def made_of(**texts: str) -> dict[str, rules.Module]:
    """Modules of a made-up package: ``engine__train="..."`` is engine/learning/train.py."""
    found = [rules.Module(name.replace("__", "/") + ".py", text) for name, text in texts.items()]
    return {module.name: module for module in found}


def none_of(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


def test_the_whole_package_is_looked_at() -> None:
    assert len(MODULES) > 50
    assert {module.layer for module in MODULES.values()} == {"", *rules.MAY_IMPORT}


def test_imports_point_back_along_the_way_of_the_data() -> None:
    none_of(rules.wrong_imports(MODULES))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("types", "import rfga.geometry.boxes"),
        ("files", "from rfga.geometry import boxes"),
        ("geometry__boxes", "from rfga.data.base import Dataset"),
        ("nn__rfga", "from rfga.types import UserError"),
        ("backbones__base", "from rfga.nn.rfga import RFGA"),
        ("metrics__top_k", "def f():\n    from rfga.output.export.formats import FORMATS"),
        ("data__folder", "from rfga.methods import METHODS"),
        ("methods__x", "from rfga.methods.rfga import ResidualFineGrainedAttention"),
        ("methods__x", "from rfga.methods import rfga"),
        ("methods__x", "from .rfga import y"),
        ("methods__x", "from rfga.engine.learning.train import y"),
        ("engine__x", "from rfga.cli import main"),
        ("cli__more", "from rfga.nn.rfga import RFGA"),
        ("output__x", "from rfga import RFGA"),
        ("helpers", "import os"),
    ],
)
def test_an_import_against_the_way_is_found(path: str, text: str) -> None:
    (problem,) = rules.wrong_imports(made_of(methods__rfga="", **{path: text}))
    assert problem.startswith(path.replace("__", "/") + ".py: ")


def test_what_the_table_allows_is_allowed() -> None:
    modules = made_of(
        methods__has="from rfga.methods.cam import CAM\nfrom rfga.nn.rfga import RFGA",
        data__folder="from rfga.data.base import Dataset\nfrom rfga.files import replacing",
        cli="from rfga.cli.parser import build_parser\nfrom rfga.engine import train",
    )
    assert not rules.wrong_imports(modules)


def test_rooms_of_the_engine_reach_down_only() -> None:
    none_of(rules.imports_upstairs(MODULES))
    rooms = {rules.room_of(name) for name in MODULES} - {""}
    assert rooms == frozenset().union(*rules.FLOORS)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("engine__run__x", "def f():\n    from rfga.engine.learning.train import y"),
        ("engine__export__x", "from rfga.engine.serve.page import y"),  # on its own floor
        ("engine__cellar__x", "import os"),
    ],
)
def test_an_import_upstairs_is_found(path: str, text: str) -> None:
    allowed = "from rfga.engine.run.config import y\nfrom rfga.engine.serve import desk"
    (problem,) = rules.imports_upstairs(made_of(engine__serve__page=allowed, **{path: text}))
    assert problem.startswith(path.replace("__", "/") + ".py: ")


def test_no_folder_is_crowded() -> None:
    none_of(rules.crowded_folders(MODULES))
    assert not rules.crowded_folders(made_of(**{f"data__x{i}": "" for i in range(20)}))
    assert rules.crowded_folders(made_of(**{f"data__x{i}": "" for i in range(21)}))
    assert rules.crowded_folders(made_of(**{f"x{i}": "" for i in range(11)}))


def test_no_module_imports_itself_by_way_of_others() -> None:
    none_of(rules.import_cycles(MODULES))
    cycle = made_of(
        data__a="from rfga.data.b import x",
        data__b="def f():\n    from .c import y",
        data__c="from . import a",
    )
    assert rules.import_cycles(cycle) == ["rfga.data.a -> rfga.data.b -> rfga.data.c -> rfga.data.a"]


def test_no_module_is_called_utils() -> None:
    assert not [module.path for module in MODULES.values() if "utils" in module.path]


def test_methods_and_data_sets_are_not_told_apart_by_name_elsewhere() -> None:
    none_of(rules.branches_on_names(MODULES, "methods", set(METHODS)))
    none_of(rules.branches_on_names(MODULES, "data", set(DATASETS)))


@pytest.mark.parametrize(
    "text",
    [
        "if method == 'cam': pass",
        "x = 1 if 'rfga' != name else 2",
        "y = name in ('cam', 'other')",
        "match name:\n    case 'rfga': pass",
        "z = name.startswith('cam')",
    ],
)
def test_a_branch_on_a_name_is_found(text: str) -> None:
    modules = made_of(engine__x=text, methods__x=text, engine__building__demo=text)
    (problem,) = rules.branches_on_names(modules, "methods", set(METHODS))
    assert problem.startswith("engine/x.py:")


def test_files_and_functions_are_short() -> None:
    none_of(rules.long_files(MODULES))
    none_of(rules.long_functions(MODULES))
    none_of(rules.many_arguments(MODULES))


def test_long_files_and_functions_are_found() -> None:
    body = "def f(a, b, c, d, e, g, h):\n    '''Says\n    much.'''\n" + "    a += 1\n" * 49
    assert not rules.long_functions(made_of(engine__x=body))
    assert rules.long_functions(made_of(engine__x=body + "    a += 1\n"))
    assert not rules.long_files(made_of(engine__x="\n" * 130))
    assert rules.long_files(made_of(engine__x="\n" * 131)) == ["the median file has 131 lines (limit 130)"]
    assert len(rules.long_files(made_of(engine__x="\n" * 301))) == 2
    assert not rules.many_arguments(made_of(engine__x=body))
    assert rules.many_arguments(made_of(engine__x="async def f(a, b, c, /, d, e, *, g, h, i): ..."))
    constructor = "class A:\n    def __init__(self, a, b, c, d, e, f, g, h): ..."
    assert rules.many_arguments(made_of(engine__x=constructor))
    assert not rules.many_arguments(made_of(nn__x=constructor, methods__x=constructor))


def test_inheritance_is_shallow() -> None:
    none_of(rules.deep_inheritance(MODULES))
    chain = "class A(Foreign): ...\nclass B(A): ...\nclass C(x.B[int]): ..."
    assert not rules.deep_inheritance(made_of(methods__x=chain))
    assert rules.deep_inheritance(made_of(methods__x=chain, methods__y="class D(C): ..."))


def test_nothing_is_put_off_or_silenced() -> None:
    files = [path for folder in ("src", "tests") for path in (REPOSITORY / folder).rglob("*.py")]
    none_of(rules.left_marks({str(p.relative_to(REPOSITORY)): p.read_text("utf-8") for p in files}))
    words = ("no" + "qa", "TO" + "DO", "type" + ": ignore", "raise Not" + "ImplementedError", "X" * 3)
    assert len(rules.left_marks({"x.py": "\n".join(f"x = 1  # {word}" for word in words)})) == len(words)


def test_public_names_say_what_they_are() -> None:
    none_of(rules.missing_docstrings(MODULES))
    silent = made_of(
        engine__x="class A:\n    '''Said.'''\n    def b(self): ...\n    def _c(self): ...\ndef d(): ..."
    )
    assert len(rules.missing_docstrings(silent)) == 2


def test_what_a_module_offers_is_there_and_explained() -> None:
    for module in MODULES.values():
        held = import_module(module.name) if module.path != "__main__.py" else None
        for name in getattr(held, "__all__", ()):
            value = getattr(held, name)
            assert isinstance(value, str) or inspect.getdoc(value), f"{module.name}.{name} has no docstring"


@pytest.mark.parametrize("name", [name for name in rfga.__all__ if not name.startswith("_")])
def test_public_names_have_an_example_that_runs(name: str) -> None:
    value = getattr(rfga, name)
    assert ">>> " in (value.__doc__ or ""), f"rfga.{name} has no Example in its docstring"
    assert value.__module__.startswith("rfga."), f"rfga.{name} has no home whose doctests run"


def run_python(code: str) -> str:
    """What a fresh interpreter prints for ``code``, which must succeed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_does_not_load_torch() -> None:
    run_python("import sys, rfga; rfga.UserError, rfga.Sample; assert 'torch' not in sys.modules")


@pytest.mark.slow
def test_what_needs_torch_loads_it() -> None:
    run_python("import sys, rfga; rfga.RFGA; assert 'torch' in sys.modules")


def test_the_registries_do_not_load_torch() -> None:
    run_python(
        "import sys, rfga.backbones, rfga.methods, rfga.data, rfga.metrics, rfga.output.export.formats\n"
        "assert 'torch' not in sys.modules"
    )


def test_help_answers_before_anything_heavy_is_loaded() -> None:
    """How long it takes is for ``python -X importtime``; what it loads is the same on every machine."""
    code = (
        "import sys\nfrom rfga.cli import main\nfrom rfga.cli.parser import COMMANDS\n"
        "asked = [['--help'], ['--version'], *([name, '--help'] for name in COMMANDS)]\n"
        "for arguments in asked:\n"
        "    try: main(arguments)\n    except SystemExit as end: assert not end.code\n"
        "    if arguments == ['--version']: print('first', *sys.modules)\n"
        "print(*sys.modules)"
    )
    said = run_python(code).splitlines()
    [first], loaded = ([line.split() for line in said if line.startswith("first ")], said[-1].split())
    assert len([line for line in said if line.startswith("usage: rfga")]) == 1 + len(COMMANDS)
    for modules, most in ((first, 20), (loaded, 80)):  # before the first answer, and for all of them together
        assert len([name for name in modules if name.partition(".")[0] == "rfga"]) < most
    assert not {"numpy", "torch", "PIL", "cv2", "numba", "lightning", "rich", "matplotlib"} & set(loaded)
