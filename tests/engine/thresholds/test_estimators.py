"""The registry of estimators, and where a run's label-free threshold comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfga.cli import main
from rfga.data import open_dataset
from rfga.engine.evaluating.command import evaluate_run
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.localizing.estimate import LEAST_PHOTOGRAPHS, spread
from rfga.engine.localizing.localize import localize_paths
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeCommand
from rfga.engine.run.config import ESTIMATED
from rfga.engine.thresholds.estimators import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    QUICK_ESTIMATORS,
    choose_normalisation,
    estimate_threshold,
    estimates,
)
from rfga.engine.thresholds.threshold import FIXED_THRESHOLDS
from rfga.types import FloatArray, UserError
from tests.engine import tiny


def soft_maps(rng: np.random.Generator) -> tuple[FloatArray, list[Any]]:
    """Maps (6, 28, 42) with a plateau, and photographs of other sizes in which the object has its colour."""
    maps, photographs = [], []
    for number in range(6):
        score_map = rng.normal(0.2, 0.02, (28, 42))
        score_map[6:20, 8:30] = rng.normal(0.7, 0.02, (14, 22))
        score_map[10, 15] = 1.0
        photograph = rng.integers(0, 40, (56, 84 + 10 * number, 3), dtype=np.uint8)
        width = photograph.shape[1]
        photograph[12:40, 8 * width // 42 : 30 * width // 42, 0] = 230
        maps.append(score_map.clip(0, 1))
        photographs.append(photograph)
    return np.stack(maps), photographs


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_parts_two_levels(name: str, rng: np.random.Generator) -> None:
    maps, photographs = soft_maps(rng)
    found = estimate_threshold(maps, photographs, name)
    assert found is not None
    assert 0.2 < found < 0.7
    assert estimate_threshold(maps, photographs, name) == found
    assert estimate_threshold(np.zeros((2, 5, 7)), [np.zeros((5, 7, 3), np.uint8)] * 2, name) is None


def test_unknown_estimator() -> None:
    with pytest.raises(UserError, match="expected a threshold estimator out of cross-entropy, otsu"):
        estimate_threshold(np.ones((1, 4, 6)), estimator="magic")


def test_what_a_run_keeps(rng: np.random.Generator) -> None:
    raw = np.concatenate([soft_maps(rng)[0], np.ones((1, 28, 42))]) * 9 - 2  # a constant map says nothing
    found = estimates(raw)
    assert list(found) == list(ESTIMATED)
    for entry in found.values():
        assert (entry["estimator"], entry["photographs"]) == (DEFAULT_ESTIMATOR, 6)
        assert entry["threshold"] == entry["all"][DEFAULT_ESTIMATOR]
        assert set(entry["all"]) == set(QUICK_ESTIMATORS)
    assert json.loads(json.dumps(found)) == found
    assert estimates(np.ones((3, 4, 5))) == {}


def test_choice_of_a_normalisation() -> None:
    assert choose_normalisation({"minmax": 0.5, "max": 0.7, "pas": 0.7}) == "max"


def test_photographs_are_spread_over_the_classes(birds: Path) -> None:
    samples = open_dataset(birds).samples("train")
    few = spread(samples, 12)
    assert [few.count(sample) for sample in few] == [1] * 12
    assert sorted(sample.label for sample in few) == sorted([0, 1, 2, 3, 4, 5] * 2)
    assert spread(samples, 12) == few
    assert spread(samples, 4) == [sample for sample in spread(samples, 4) if sample in samples]
    assert len({sample.label for sample in spread(samples, 4)}) == 4
    assert spread(samples) == list(samples)
    assert spread([]) == []


def kept(run: Path) -> Any:
    return tiny.metrics(run)["label_free"]


def old(run: Path, out: Path, *without: str) -> Path:
    """A copy of a run as it was written before there were estimates."""
    copy = tiny.copied(run, out)
    held = tiny.metrics(copy)
    for key in ("label_free", *without):
        del held[key]
    (copy / "metrics.json").write_text(json.dumps(held))
    return copy


def test_training_leaves_an_estimate(tiny_run: Path) -> None:
    assert set(kept(tiny_run)) == set(ESTIMATED)
    assert kept(tiny_run)["minmax"]["photographs"] == 24
    assert 0 < kept(tiny_run)["minmax"]["threshold"] < 1


def test_order_of_the_sources(tiny_run: Path, tmp_path: Path) -> None:
    assert Localizer.load(tiny_run, device="cpu").threshold.source == "val"
    other = Localizer.load(tiny_run, device="cpu", normalisation="pas").threshold
    assert (other.value, other.source) == (kept(tiny_run)["pas"]["threshold"], "label-free")
    before = Localizer.load(old(tiny_run, tmp_path / "old", "thresholds"), device="cpu").threshold
    assert (before.value, before.source) == (FIXED_THRESHOLDS["minmax"], "fixed")


def sources(result: dict[str, Any], metric: str = "GTKnownLoc") -> dict[str, Any]:
    return {entry["threshold_source"]: entry["threshold"] for entry in result["metrics"][metric]}


def test_oracle_and_label_free_stand_side_by_side(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    run, file = tiny.copied(tiny_run, tmp_path / "run"), tmp_path / "numbers.json"
    command = ["evaluate", str(run), str(birds), "--truth", str(birds / "val_boxes.json"), "--step", "0.01"]
    assert main([*command, "--workers", "0", "--json", str(file), "--quiet"]) == 0
    result = json.loads(file.read_text())
    assert list(sources(result)) == ["oracle", "label-free", "fixed"]
    assert sources(result)["label-free"] == kept(run)["minmax"]["threshold"]
    for metric in ("MaxBoxAcc", "MaxBoxAccV2", "Top1Loc", "Top5Loc"):
        assert list(sources(result, metric)) == ["oracle", "label-free", "fixed"]
    assert "label-free threshold" in (run / "report.html").read_text()


def test_evaluate_estimates_where_an_old_run_has_nothing(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    run = old(tiny_run, tmp_path / "run")
    command = EvaluateCommand(truth=birds / "val_boxes.json", step=0.01)
    found = evaluate_run(run, str(birds), command, tiny.QUIET).result
    assert kept(run) == kept(tiny_run)  # from the same training photographs
    assert sources(found)["label-free"] == kept(run)["minmax"]["threshold"]


def test_evaluate_without_training_photographs(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    data = tmp_path / "birds"
    data.mkdir()
    (data / "val").symlink_to(birds / "val")
    run = old(tiny_run, tmp_path / "run")
    command = EvaluateCommand(truth=birds / "val_boxes.json", step=0.01)
    found = evaluate_run(run, str(data), command, tiny.QUIET).result
    assert kept(run)["minmax"]["photographs"] == 12
    assert set(sources(found)) == {"oracle", "label-free", "fixed"}


def localized(run: Path, paths: list[Path], out: Path, **changes: Any) -> dict[str, Any]:
    localize_paths(LocalizeCommand(run, paths, out, **changes), tiny.QUIET)
    held: dict[str, Any] = json.loads((out / "summary.json").read_text())["settings"]
    return held


def test_localize_says_and_records_the_source(
    tiny_run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["localize", str(tiny_run), str(birds / "val"), "--no-pictures", "--workers", "0"]
    for flags, words in (
        ([], "(val: the best for the boxes of the validation split)"),
        (["--normalisation", "pas"], "(label-free: estimated from photographs, without boxes)"),
        (["--threshold", "0.4"], "boxes are cut at 0.4 of each map's maximum (fixed: given by --threshold)"),
    ):
        out = tmp_path / str(len(words))
        assert main([*command, "--out", str(out), *flags]) == 0
        assert words in capsys.readouterr().out
        source = json.loads((out / "summary.json").read_text())["settings"]["threshold_source"]
        assert f"({source}: " in words


def test_localize_with_an_old_run_asks_the_photographs(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    run = old(tiny_run, tmp_path / "old", "thresholds")
    first = localized(run, [birds / "train"], tmp_path / "a")
    assert first["threshold_source"] == "label-free"
    assert first["threshold"] == kept(tiny_run)["minmax"]["threshold"]  # the same photographs and classes
    again = localized(run, [birds / "train"], tmp_path / "b")
    assert again == first
    few = localized(run, [birds / "val"], tmp_path / "c")
    assert len(list((birds / "val").rglob("*.png"))) < LEAST_PHOTOGRAPHS
    assert (few["threshold"], few["threshold_source"]) == (FIXED_THRESHOLDS["minmax"], "fixed")


def test_a_run_that_goes_on_keeps_its_threshold(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    run, out = old(tiny_run, tmp_path / "old", "thresholds"), tmp_path / "out"
    first = localized(run, [birds / "train"], out)
    both = [birds / "train", birds / "val" / "maskbrow"]
    assert localized(run, both, tmp_path / "fresh")["threshold_source"] == "label-free"
    assert localized(run, both, out, policy=tiny.RESUME) == first
