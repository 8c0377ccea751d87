from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rfga.data import open_dataset
from rfga.engine.evaluating.command import evaluate_run
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.localizing import confidence_fit
from rfga.engine.localizing.confidence_fit import calibrate_run, examples, known_samples
from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.run.folder import RunFolder
from rfga.geometry.boxes import iou
from tests.engine import tiny


def test_evidence_is_of_the_boxes_that_localize_gives(tiny_run: Path, birds: Path) -> None:
    val = open_dataset(birds, birds / "val_boxes.json")
    localizer = Localizer.load(tiny_run, device="cpu")
    known = list(known_samples(val, "val", 100))
    assert len(known) == 12
    held = examples(localizer, val, known)
    assert held.image_ids == tuple(sample.image_id for sample, _ in known)
    assert held.evidence.shape == (12, 10)
    photographs = [localizer(val.image(sample), label=val.classes[sample.label]) for sample, _ in known[:3]]
    for place, found in enumerate(photographs):
        truth = known[place][1]
        assert truth.boxes is not None
        assert held.ious[place] == pytest.approx(iou(found.boxes, truth.boxes).max(), abs=1e-3)
    assert len(list(known_samples(val, "val", 5))) <= 6


def test_masks_do_as_well(tiny_run: Path, birds: Path) -> None:
    localizer, found = Localizer.load(tiny_run, device="cpu"), []
    for truth in ("val_boxes.json", "val_masks"):
        val = open_dataset(birds, birds / truth)
        found.append(examples(localizer, val, list(known_samples(val, "val", 100))[:4]))
    boxes, masks = found
    assert (boxes.evidence == masks.evidence).all()
    assert boxes.ious == pytest.approx(masks.ious, abs=0.1)  # a mask's box ends with its pixels


def test_calibrated_where_there_is_enough_truth(
    tiny_run: Path, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    val, localizer = open_dataset(birds, birds / "val_boxes.json"), Localizer.load(run, device="cpu")
    assert not calibrate_run(RunFolder(run), val, localizer)  # 12 photographs are too few
    assert not calibrate_run(RunFolder(run), open_dataset(birds), localizer)
    assert localizer.confidence.source == "default"
    monkeypatch.setattr(confidence_fit, "MIN_PHOTOGRAPHS", 10)
    evaluate_run(run, str(birds), EvaluateCommand(truth=birds / "val_boxes.json"), tiny.QUIET)
    fitted = Localizer.load(run, device="cpu")
    assert fitted.confidence.source.startswith("calibrated on val (12 photographs, threshold 0.")
    assert len(fitted.confidence.plain.of_class) == 6
    out = tmp_path / "out"
    photographs = find_photographs([birds / "val"], fitted.classes)
    localize(fitted, photographs, out, LocalizeOptions(pictures=False), runtime=tiny.QUIET)
    said = json.loads((out / "summary.json").read_text())["settings"]
    assert said["confidence"] == fitted.confidence.source
    scores = [a["score"] for a in json.loads((out / "coco.json").read_text())["annotations"]]
    held = examples(fitted, val, list(known_samples(val, "val", 100)))
    expected = [
        fitted.confidence.plain(e[None, :8], int(c))[0]
        for e, c in zip(held.evidence, held.labels, strict=True)
    ]
    assert scores == pytest.approx(expected, abs=1e-3)
    other = Localizer.load(run, device="cpu", normalisation="ivr")
    assert other.confidence.source == "default"
    assert np.isfinite(scores).all()
