from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.transforms import eval_transform
from rfga.engine.evaluating.command import evaluate_run
from rfga.engine.evaluating.evaluate import Evaluation, EvaluationOptions, evaluate
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.runtime.machine import Runtime
from rfga.metrics.localization import LocalizationMetrics
from rfga.types import UserError
from tests.engine import tiny


@pytest.fixture(scope="session")
def localizer(tiny_run: Path) -> Localizer:
    return Localizer.load(tiny_run, device="cpu")


@pytest.fixture(scope="session")
def val(birds: Path) -> Dataset:
    return open_dataset(birds, birds / "val_boxes.json")


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return tiny.copied(tiny_run, tmp_path / "run")


def measured(localizer: Localizer, val: Dataset, **changes: Any) -> Evaluation:
    return evaluate(localizer, val, "val", EvaluationOptions(**changes), tiny.QUIET)


def test_numbers_are_those_of_the_same_maps_fed_by_hand(localizer: Localizer, val: Dataset) -> None:
    metrics = LocalizationMetrics(step=0.01, num_classes=6, thresholds={"fixed": 0.2})
    for sample in val.samples("val"):
        pixels = eval_transform(val.image(sample), 64)[None]
        scored = localizer.score(pixels, np_labels(sample.label))
        metrics.update([sample.image_id], scored.maps, [val.truth(sample)], [sample.label], scored.logits)
    found = measured(localizer, val, step=0.01, thresholds={"fixed": 0.2}, batch_size=1)
    assert found.result == {"dataset": "birds", "split": "val", "maps": "own", **metrics.compute()}
    assert found.best_thresholds == metrics.best_thresholds()


def np_labels(label: int) -> Any:
    import torch

    return torch.tensor([label])


@pytest.mark.parametrize("batch_size", [1, 3, pytest.param(32, marks=pytest.mark.slow)])
def test_batch_size_and_workers_do_not_matter(localizer: Localizer, val: Dataset, batch_size: int) -> None:
    expected = measured(localizer, val, step=0.01).result
    runtime = Runtime(device="cpu", workers=0 if batch_size > 1 else 2, quiet=True)
    options = EvaluationOptions(step=0.01, batch_size=batch_size)
    found = evaluate(localizer, val, "val", options, runtime).result
    assert values(found) == pytest.approx(values(expected), abs=1e-9)


def values(result: dict[str, Any]) -> dict[str, float]:
    return {
        f"{name}{i}": entry["value"]
        for name, entries in result["metrics"].items()
        for i, entry in enumerate(entries)
    }


def test_json_is_as_the_contract_has_it(run: Path, birds: Path, tmp_path: Path) -> None:
    file = tmp_path / "out" / "numbers.json"
    command = ["evaluate", str(run), str(birds), "--truth", str(birds / "val_boxes.json"), "--workers", "0"]
    assert main([*command, "--json", str(file), "--quiet"]) == 0
    held = json.loads(file.read_text())
    assert list(held) == ["dataset", "split", "maps", "images", "metrics"]
    assert (held["dataset"], held["split"], held["maps"], held["images"]) == ("birds", "val", "own", 12)
    names = ["MaxBoxAcc", "MaxBoxAccV2", "Top1Cls", "Top5Cls", "Top1Loc", "Top5Loc", "GTKnownLoc"]
    assert list(held["metrics"]) == names
    keys = {"value", "interval", "threshold", "threshold_source", "normalisation", "contours"}
    for name, entries in held["metrics"].items():
        for entry in entries:
            assert set(entry) - {"per_iou"} == keys, name
            low, high = entry["interval"]
            assert 0 <= low <= high <= 1
    boxes = held["metrics"]["MaxBoxAccV2"]
    assert set(boxes[0]["threshold"]) == set(boxes[0]["per_iou"]) == {"0.3", "0.5", "0.7"}
    assert boxes[0]["threshold_source"] == "oracle"
    assert {entry["contours"] for entry in boxes} == {"largest", "all"}
    sources = [entry["threshold_source"] for entry in held["metrics"]["GTKnownLoc"]]
    assert sources == ["oracle", "label-free", "fixed"]
    assert tiny.metrics(run)["evaluations"]["val"] == held


def test_masks_give_pixels_and_classification_only(run: Path, birds: Path) -> None:
    command = EvaluateCommand(truth=birds / "val_masks", step=0.01)
    found = evaluate_run(run, str(birds), command, tiny.QUIET)
    assert list(found.result["metrics"]) == ["PxAP", "Top1Cls", "Top5Cls"]
    assert 0 < found.result["metrics"]["PxAP"][0]["value"] < 1
    assert found.best_thresholds == {}
    assert {kind for kind, items in found.gallery.items() if items} == {"best", "median", "worst"}
    assert "Precision" in (run / "report.html").read_text()


def test_threshold_of_val_is_kept_and_used_on_test(run: Path, birds: Path) -> None:
    kept = tiny.metrics(run)["thresholds"]["minmax"]
    command = EvaluateCommand(truth=birds / "test_boxes.json", split="test", threshold="0.15")
    found = evaluate_run(run, str(birds), command, tiny.QUIET)
    by_source = {entry["threshold_source"]: entry for entry in found.result["metrics"]["GTKnownLoc"]}
    assert set(by_source) == {"oracle", "label-free", "val", "fixed"}
    assert by_source["val"]["threshold"] == kept["largest"]["0.5"]
    assert by_source["fixed"]["threshold"] == 0.15
    assert tiny.metrics(run)["thresholds"]["minmax"] == kept
    assert set(tiny.metrics(run)["evaluations"]) == {"val", "test"}


def test_thresholds_belong_to_their_normalisation(run: Path, birds: Path) -> None:
    truth = birds / "val_boxes.json"
    other = evaluate_run(run, str(birds), EvaluateCommand(truth=truth, normalisation="ivr"), tiny.QUIET)
    assert {entry["normalisation"] for entry in other.result["metrics"]["MaxBoxAcc"]} == {"ivr"}
    thresholds = tiny.metrics(run)["thresholds"]
    assert set(thresholds) == {"minmax", "ivr"}
    assert thresholds["ivr"] == other.best_thresholds
    assert Localizer.load(run, device="cpu").config.normalisation == "minmax"
    loaded = Localizer.load(run, device="cpu", normalisation="ivr")
    assert loaded.threshold.value == thresholds["ivr"]["largest"]["0.5"]
    assert loaded.threshold.source == "val"


def test_without_truth_only_classification_is_measured(run: Path, birds: Path) -> None:
    found = evaluate_run(run, str(birds), runtime=tiny.QUIET)
    assert list(found.result["metrics"]) == ["Top1Cls", "Top5Cls"]
    assert (found.result["images"], found.left_out, found.gallery) == (12, (), {})


def changed_truth(birds: Path, path: Path, change: Any) -> Path:
    held = json.loads((birds / "val_boxes.json").read_text())
    change(held)
    path.write_text(json.dumps(held))
    return path


def test_odd_truth_is_reported(
    run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(held: dict[str, Any]) -> None:
        lost = held["images"].pop(0)
        held["annotations"] = [a for a in held["annotations"] if a["image_id"] != lost["id"]]
        held["images"].append({"id": 900, "file_name": "maskbrow/gone.png", "width": 64, "height": 40})
        held["annotations"].append({**held["annotations"][-1], "iscrowd": 1})
        held["annotations"][1]["bbox"] = [500, 500, 10, 10]
        held["annotations"][0]["bbox"] = [-5, 2, 30, 20]
        names.extend([lost["file_name"], held["images"][1]["file_name"], held["images"][0]["file_name"]])

    names: list[str] = []
    truth = changed_truth(birds, tmp_path / "truth.json", change)
    assert main(["evaluate", str(run), str(birds), "--truth", str(truth), "--workers", "0"]) == 0
    without, outside, cut = names
    said, page = capsys.readouterr().out, (run / "report.html").read_text()
    for sentence in (
        f"left out {without}: no truth is known of it",
        f"left out {outside}: expected boxes that overlap their photograph",
        "truth of no photograph: 1 named that are not there (first: maskbrow/gone.png)",
        "truth: expected boxes of single objects, found 1 marked iscrowd",
        f"{cut}: boxes reach over",
    ):
        assert sentence in said
        assert sentence in page
    assert tiny.metrics(run)["evaluations"]["val"]["images"] == 10


def test_truth_that_fits_hardly_anything_is_an_error(
    localizer: Localizer, birds: Path, tmp_path: Path
) -> None:
    def change(held: dict[str, Any]) -> None:
        for annotation in held["annotations"]:
            annotation["bbox"] = [500, 500, 10, 10]

    truth = changed_truth(birds, tmp_path / "truth.json", change)
    with pytest.raises(UserError, match="found 2 of 12 that it does not fit"):
        measured(localizer, open_dataset(birds, truth))


def test_unreadable_photographs_are_left_out_and_listed(
    localizer: Localizer, birds: Path, tmp_path: Path
) -> None:
    data = tiny.copied(birds, tmp_path / "data")
    bad = next((data / "val").rglob("0002.png"))
    bad.write_bytes(b"")
    found = measured(localizer, open_dataset(data, data / "val_boxes.json"))
    (name, reason), *more = found.left_out
    assert data / "val" / name == bad
    assert "empty file" in reason
    assert not more
    assert found.result["images"] == 11


def test_other_classes_are_refused(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(birds / "val", data / "val")
    (data / "val" / "maskbrow").rename(data / "val" / "newbird")
    with pytest.raises(UserError, match=r"classes that the run was trained on .*found newbird"):
        measured(localizer, open_dataset(data))
    shutil.rmtree(data / "val" / "newbird")
    with pytest.raises(UserError, match=r"found no maskbrow"):
        measured(localizer, open_dataset(data))


def test_split_without_photographs(localizer: Localizer) -> None:
    pictures = SyntheticDataset(train_per_class=1, val_per_class=0, test_per_class=0, longer_side_pixels=64)
    with pytest.raises(UserError, match="the split val of synthetic, found none"):
        measured(localizer, pictures)


@pytest.mark.parametrize("options", [{"step": 0.0}, {"step": 0.7}, {"batch_size": 0}])
def test_numbers_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"expected --{next(iter(options)).replace('_', '-')}"):
        EvaluationOptions(**options)


def test_gallery_goes_from_best_to_worst(localizer: Localizer, val: Dataset) -> None:
    gallery = measured(localizer, val, step=0.01).gallery
    best, worst = gallery["best"], gallery["worst"]
    assert [item.iou for item in best] == sorted((item.iou for item in best), reverse=True)
    assert [item.iou for item in worst] == sorted(item.iou for item in worst)
    assert best[0].iou >= gallery["median"][0].iou >= worst[0].iou
    assert {item.image_id for item in best}.isdisjoint(item.image_id for item in worst)
    item = best[0]
    assert item.image.shape[0] != item.image.shape[1]
    assert item.truth.size_hw == item.image.shape[:2]
    assert item.class_name == item.image_id.split("/")[0]
    assert measured(localizer, val, gallery=False).gallery == {}
    assert np.isfinite(item.score_map).all()
