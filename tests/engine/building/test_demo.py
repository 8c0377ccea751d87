from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from rfga.cli import main
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.engine.building import demo
from rfga.engine.building.demo import METHODS_SHOWN, run_demo
from rfga.engine.run.folder import RunFolder
from rfga.files import held_in
from rfga.types import UserError
from tests.engine import tiny

PICTURES = 2  # of each of the six species, in each split


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo in miniature: the same way, a few pictures."""
    settings = {name: value for name, value in tiny.SETTINGS.items() if name not in ("method", "seed")}
    monkeypatch.setattr(demo, "SETTINGS", {**settings, "epochs": 1})
    few = partial(
        SyntheticDataset,
        train_per_class=PICTURES,
        val_per_class=PICTURES,
        test_per_class=PICTURES,
        longer_side_pixels=64,
    )
    monkeypatch.setattr(demo, "SyntheticDataset", few)


@pytest.mark.usefixtures("small")
def test_demo_from_pictures_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    command = ["demo", "--out", str(out), "--device", "cpu", "--workers", "0"]
    assert main(command) == 0
    assert held_in(out) == ["birds", "boxes", "cam", "report.html", "rfga"]
    said = capsys.readouterr().out
    assert str(out / "report.html") in said
    for method in METHODS_SHOWN:
        run = RunFolder(out / method)
        assert run.is_finished
        assert run.read_config()[0].method == method
        evaluations = run.read_metrics()["evaluations"]
        assert set(evaluations) == {"val", "test"}
        assert evaluations["test"]["images"] == 6 * PICTURES
        sources = {entry["threshold_source"] for entry in evaluations["test"]["metrics"]["MaxBoxAccV2"]}
        assert sources == {"oracle", "label-free", "val", "fixed"}
        assert (out / method / "report.html").is_file()
    page = (out / "report.html").read_text()
    assert "six species of bird" in page
    assert page.count("data:image/jpeg") > 2 * 3
    coco = json.loads((out / "boxes" / "coco.json").read_text())
    assert len(coco["images"]) == 6 * PICTURES
    assert json.loads((out / "boxes" / "summary.json").read_text())["failed"] == {}
    header = next(line for line in said.splitlines() if "threshold from" in line)
    assert all(f"{method} %" in header for method in METHODS_SHOWN)
    rows = [line.split() for line in said.splitlines() if line.strip().startswith("MaxBoxAccV2 ")]
    assert [row[-2] for row in rows] == ["oracle", "label-free", "val", "fixed"]
    assert main(command) == 1
    assert "add --overwrite or choose another --out" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_used_folder_is_refused_and_only_a_demo_replaced(tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "mine.png").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="choose another --out"):
            run_demo(tmp_path, overwrite=overwrite, runtime=tiny.QUIET)
    assert tiny.snapshot(tmp_path) == {"birds/mine.png": b"mine"}


@pytest.mark.usefixtures("small")
def test_demo_that_was_stopped_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".birds-half").mkdir()
    (tmp_path / ".birds-half" / "1.png").write_text("half")
    with monkeypatch.context() as patch:
        patch.setattr(demo, "train", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_demo(tmp_path, runtime=tiny.QUIET)
    assert (tmp_path / "birds").is_dir()
    assert not (tmp_path / ".birds-half").exists()
    (tmp_path / "notes.txt").write_text("mine")
    found = run_demo(tmp_path, overwrite=True, runtime=tiny.QUIET)
    assert (found.names, len(found.evaluations)) == (["cam", "rfga"], 2)
    assert (tmp_path / "notes.txt").read_text() == "mine"
