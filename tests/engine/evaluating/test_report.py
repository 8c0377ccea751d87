from __future__ import annotations

from pathlib import Path
from typing import Any

from rfga.engine.evaluating.evaluate import Evaluation
from rfga.engine.evaluating.report import evaluation_notes, record_evaluation, write_run_report
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder

BEST = {"largest": {"0.5": 0.3}}


def evaluation(split: str = "val", **changes: Any) -> Evaluation:
    numbers = {"dataset": "cats", "split": split, "images": 2, "metrics": {"Top1Cls": [{"value": 0.5}]}}
    held: dict[str, Any] = {
        "result": numbers,
        "curves": {},
        "best_thresholds": BEST,
        "gallery": {},
        "left_out": (),
        "notes": (),
    }
    return Evaluation(**{**held, **changes})


def run_in(folder: Path, **data: Any) -> RunFolder:
    run = RunFolder(folder)
    run.start(TrainConfig(method="cam"), ("a", "b"), {"name": "cats", **data}, RunPolicy())
    return run


def test_thresholds_are_kept_from_val_alone(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    record_evaluation(run, evaluation("test"), "minmax")
    assert "thresholds" not in run.read_metrics()
    record_evaluation(run, evaluation("val"), "minmax")
    record_evaluation(run, evaluation("val", best_thresholds={}), "max")  # masks choose no threshold
    held = run.read_metrics()
    assert held["thresholds"] == {"minmax": BEST}
    assert set(held["evaluations"]) == {"val", "test"}


def test_long_lists_are_shortened() -> None:
    lost = tuple((f"{number:02}.jpg", "empty file") for number in range(25))
    notes = evaluation_notes(evaluation(left_out=lost, notes=("truth of no photograph: x.jpg",)))
    assert notes[0] == "left out 00.jpg: empty file"
    assert notes[19:] == [
        "left out 19.jpg: empty file",
        "and 5 more photographs were left out",
        "truth of no photograph: x.jpg",
    ]


def test_page_names_what_was_left_out(tmp_path: Path) -> None:
    run = run_in(tmp_path, skipped=[{"image": "train/a/<b>.jpg", "reason": "empty file"}])
    path = write_run_report(run, evaluation(left_out=(("c.jpg", "no truth is known of it"),)))
    page = path.read_text()
    assert "<h1>cam on cats, val</h1>" in page
    assert "skipped in training: train/a/&lt;b&gt;.jpg: empty file" in page
    assert "left out c.jpg: no truth is known of it" in page


def test_page_of_training_alone(tmp_path: Path) -> None:
    run = run_in(tmp_path, train_photographs=7)
    run.update_metrics(history=[{"epoch": 1, "train_loss": 0.5, "seconds": 3.0}])
    page = write_run_report(run, None).read_text()
    assert "7 images of cats, split train" in page
    assert "there is no val split" in page
