"""The notebook of the library runs as it stands, with less of everything; nothing of a run is kept in it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "docs" / "examples" / "library.ipynb"


def cells(kind: str) -> list[dict[str, Any]]:
    held: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in held["cells"] if cell["cell_type"] == kind]


def run_cells(changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All names at the end, and of each cell that ends in an expression its value.

    Args:
        changes: of what the cell tagged ``parameters`` sets.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    shown: dict[str, Any] = {}
    for cell in cells("code"):
        tree = ast.parse("".join(cell["source"]))
        ending = None
        if isinstance(last := tree.body[-1], ast.Expr):
            ending = ast.Expression(last.value)
            tree.body.pop()
        exec(compile(tree, cell["id"], "exec"), names)
        if ending is not None:
            shown[cell["id"]] = eval(compile(ending, cell["id"], "eval"), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert set(changes) <= set(names)
            names.update(changes)
    return names, shown


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, shown = run_cells({"folder": tmp_path, "pictures_per_class": 3, "epochs": 1})
    assert names["model"].config.backbone == "test_resnet"
    assert names["found"].mask.shape == names["pixels"].shape[:2]
    assert names["pixels"].shape[0] != names["pixels"].shape[1]
    assert shown["picture"].size == names["pixels"].shape[1::-1]
    assert [len(one.boxes) <= 3 for one in names["named"]] == [True] * 3
    assert [one.label for one in names["named"]] == [path.parent.name for path in names["photos"]]
    assert shown["array-batch"] == [(60, 80), (60, 80)]
    assert names["measured"]["images"] == 24
    assert {"MaxBoxAccV2", "Top1Cls"} <= names["measured"]["metrics"].keys()
    assert shown["own-truth"] == 1.0
    said = capsys.readouterr().out
    assert "step 2: loss " in said
    assert "found 'penguin'" in said


def test_nothing_of_a_run_is_kept_in_it() -> None:
    for cell in cells("code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    held = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    ids = [cell["id"] for cell in held["cells"]]
    assert len(set(ids)) == len(ids)
    assert (held["nbformat"], held["nbformat_minor"]) == (4, 5)
    assert sum("parameters" in cell["metadata"].get("tags", ()) for cell in held["cells"]) == 1


@pytest.mark.slow
def test_it_runs_in_a_kernel(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    nbclient.NotebookClient(book, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(out.get("data", {}).get("image/png") for cell in book.cells for out in cell.get("outputs", ()))
