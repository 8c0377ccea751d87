from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_main import Captured, sentence, status


def test_a_folder_is_written_and_said(tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "model"
    assert status(["export", str(tiny_run), "--format", "folder", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "the folder loads as the same model" in said
    assert f"{out}: " in said
    again = sentence(["export", str(tiny_run), "--format", "folder", "--out", str(out)], capsys)
    assert "add --overwrite" in again
    assert status(["export", str(tiny_run), "--format", "folder", "--out", str(out), "--overwrite"]) == 0


@pytest.mark.slow
def test_a_program_is_written_and_agrees(tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "model.pt2"
    assert status(["export", str(tiny_run), "--format", "torch", "--out", str(out)]) == 0
    assert "agrees with the run on random input to" in capsys.readouterr().out
    assert out.stat().st_size > 0


def test_wrong_usage(tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    assert status(["export", str(tiny_run), "--format", "tflite", "--out", "x"]) == 2
    assert status(["export", str(tiny_run)]) == 2
    said = sentence(["export", str(tmp_path), "--out", str(tmp_path / "model.onnx")], capsys)
    assert said.startswith("expected a run folder with config.yaml, found none")
    assert "FILE.onnx" in sentence(["export", str(tiny_run), "--out", str(tmp_path / "model")], capsys)
    assert not list(tmp_path.iterdir())
