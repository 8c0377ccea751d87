from __future__ import annotations

from pathlib import Path

import pytest

from rfga.engine.export import EXPORTERS
from rfga.engine.export.command import SUFFIXES, ExportCommand, export_run
from rfga.types import UserError
from tests.engine import tiny


def test_forms_that_are_files_are_forms() -> None:
    assert SUFFIXES.keys() < EXPORTERS.keys()


@pytest.mark.parametrize(
    ("out", "form", "said"),
    [
        ("model.onnx", "tflite", r"expected --format out of onnx, torch, folder, found 'tflite'"),
        ("model.pt2", "onnx", r"expected --out FILE\.onnx, found model\.pt2"),
        ("model", "torch", r"expected --out FILE\.pt2, found model"),
    ],
)
def test_what_cannot_be_meant(out: str, form: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ExportCommand(Path("run"), Path(out), form)


@pytest.mark.parametrize("form", EXPORTERS)
def test_a_folder_that_is_no_run(form: str, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    out = tmp_path / f"model{SUFFIXES.get(form, '')}"
    with pytest.raises(UserError, match=r"expected a run folder with config\.yaml, found none"):
        export_run(ExportCommand(tmp_path / "none", out, form))
    assert [path.name for path in tmp_path.iterdir()] == ["none"]


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_file_that_exists_stays(form: str, tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / f"model{SUFFIXES[form]}"
    out.write_text("earlier")
    with pytest.raises(UserError, match=r"expected a new --out, found that .* exists: add --overwrite"):
        export_run(ExportCommand(tiny_run, out, form))
    assert out.read_text() == "earlier"


def test_where_nothing_can_be_written(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        export_run(ExportCommand(tiny_run, tmp_path / "file" / "model.onnx"))
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(UserError, match="expected a file name, found the folder"):
        export_run(ExportCommand(tiny_run, tmp_path / "model.onnx", overwrite=True))


def test_a_run_is_replaced_by_no_file_of_its_own(tiny_run: Path, tmp_path: Path) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run.onnx")
    before = tiny.snapshot(run)
    with pytest.raises(UserError, match="expected another --out than the run itself"):
        export_run(ExportCommand(run, run, overwrite=True))
    assert tiny.snapshot(run) == before
