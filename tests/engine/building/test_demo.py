from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.synthetic.files import write_class_folders
from rfga.engine.building import demo
from rfga.engine.building.demo import count_right, read_boxes, run_demo
from rfga.engine.evaluating.evaluate import EvaluationOptions
from rfga.engine.run.folder import RunFolder
from rfga.files import held_in
from rfga.types import UserError
from tests.engine import tiny

PICTURES = 2  # of each of the six species, in each split


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo in miniature: the same way, a few pictures."""
    few = partial(
        SyntheticDataset,
        train_per_class=PICTURES,
        val_per_class=PICTURES,
        test_per_class=PICTURES,
        longer_side_pixels=64,
    )
    monkeypatch.setattr(demo, "SyntheticDataset", few)
    monkeypatch.setattr(demo, "SETTINGS", {**demo.SETTINGS, "image_size": 64})
    monkeypatch.setattr(demo, "EvaluationOptions", partial(EvaluationOptions, step=0.01))


@pytest.mark.usefixtures("small")
def test_demo_from_pictures_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    command = ["demo", "--out", str(out), "--device", "cpu", "--workers", "0"]
    assert main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert held_in(out) == ["birds", "boxes", "build.json", "check", "class-map", "report.html", "run"]
    assert len(said) == 5
    assert said[0].split()[1:3] == ["of", str(6 * PICTURES)]
    for path in (out / "report.html", out / "boxes" / "review.html", out / "boxes" / "coco.json"):
        assert any(str(path) in line for line in said)
        assert path.is_file()
    assert said[-1].endswith("rfga build PHOTOGRAPHS --out boxes")
    methods = {"foreground": out / "run", "ridge": out / "class-map" / "run"}
    for method, run in methods.items():
        assert RunFolder(run).read_config()[0].method == method
        assert RunFolder(run).read_metrics()["evaluations"]["test"]["images"] == 6 * PICTURES
    page = (out / "report.html").read_text()
    assert page.index("each method's box") < page.index("MaxBoxAccV2")
    found, truth = (
        json.loads((out / name).read_text()) for name in ("boxes/coco.json", "birds/test_boxes.json")
    )
    assert {image["file_name"] for image in found["images"]} == {
        image["file_name"] for image in truth["images"]
    }
    assert main(command) == 1
    assert "add --overwrite or choose another --out" in capsys.readouterr().err


def test_boxes_are_counted_by_their_overlap_with_the_true_one(tmp_path: Path) -> None:
    """The truth is right, without one picture's box it is one less, and boxes moved away are wrong."""
    birds = tmp_path / "birds"
    write_class_folders(SyntheticDataset(train_per_class=0, val_per_class=0, test_per_class=1), birds)
    truth = open_dataset(birds, birds / "test_boxes.json", "test")
    boxes = read_boxes(birds / "test_boxes.json")
    assert count_right(truth, boxes) == 6
    assert count_right(truth, dict(list(boxes.items())[1:])) == 5
    assert count_right(truth, {name: box + np.array([500, 0, 500, 0]) for name, box in boxes.items()}) == 0


@pytest.mark.usefixtures("small")
def test_used_folder_is_refused_and_only_a_demo_replaced(tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "mine.png").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="choose another --out"):
            run_demo(tmp_path, overwrite=overwrite, runtime=tiny.QUIET)
    assert tiny.snapshot(tmp_path) == {"birds/mine.png": b"mine"}


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_demo_that_was_stopped_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".birds-half").mkdir()
    (tmp_path / ".birds-half" / "1.png").write_text("half")
    with monkeypatch.context() as patch:
        patch.setattr(demo, "build_boxes", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_demo(tmp_path, runtime=tiny.QUIET)
    assert (tmp_path / "birds").is_dir()
    assert not (tmp_path / ".birds-half").exists()
    (tmp_path / "notes.txt").write_text("mine")
    found = run_demo(tmp_path, overwrite=True, runtime=tiny.QUIET)
    assert (found.pictures, set(found.right)) == (6 * PICTURES, {"foreground", "ridge"})
    assert (tmp_path / "notes.txt").read_text() == "mine"
