from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import rfga
from rfga.data import open_dataset
from rfga.data.transforms import eval_transform
from rfga.engine.run.folder import RunFolder
from rfga.geometry.maps import score_maps
from rfga.types import UserError
from tests.engine import tiny


@pytest.fixture(scope="session")
def localizer(tiny_run: Path) -> rfga.Localizer:
    return rfga.Localizer.load(str(tiny_run), device="cpu")


@pytest.fixture(scope="session")
def pixels(birds: Path) -> torch.Tensor:
    data = open_dataset(birds)
    return torch.stack([eval_transform(data.image(sample), 64) for sample in data.samples("val")[:5]])


def test_what_a_program_gets_of_it(localizer: rfga.Localizer, pixels: torch.Tensor) -> None:
    scored = localizer.score(pixels)
    assert (scored.logits.shape, scored.raw_maps.shape) == ((5, 6), (5, 8, 8))
    assert (scored.labels == scored.logits.argmax(1)).all()
    assert np.array_equal(scored.maps, score_maps(scored.raw_maps, "minmax"))
    given = localizer.score(pixels, torch.tensor([5, 4, 3, 2, 1]))
    assert given.labels.tolist() == [5, 4, 3, 2, 1]
    assert np.array_equal(given.logits, scored.logits)
    assert not np.array_equal(given.maps, scored.maps)
    found = localizer.predictions(scored, list("abcde"), [(60, 80)] * 5)
    assert [prediction.image_id for prediction in found] == list("abcde")
    for prediction, score_map in zip(found, scored.maps, strict=True):
        assert prediction.score_map is not None
        assert np.array_equal(prediction.score_map, score_map)
        x0, y0, x1, y1 = prediction.boxes[0]
        assert 0 <= x0 < x1 <= 80
        assert 0 <= y0 < y1 <= 60
    part = scored.rows([3, 1])
    assert np.array_equal(part.maps, scored.maps[[3, 1]])
    assert part.labels.tolist() == [scored.labels[3], scored.labels[1]]


def test_below_the_least_confidence_a_photograph_has_no_box_unless_all_is_in_doubt(
    localizer: rfga.Localizer, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = localizer.score(pixels)
    found = localizer.predictions(scored, list("abcde"), [(60, 80)] * 5, max_boxes=2)
    best = [prediction.scores.max() for prediction in found]
    least = float(np.sort(best)[2])  # of five: two have less
    monkeypatch.setattr(localizer, "confidence", replace(localizer.confidence, least=least))
    shown = localizer.predictions(scored, list("abcde"), [(60, 80)] * 5, max_boxes=2)
    for before, after, confidence in zip(found, shown, best, strict=True):
        boxes = before.boxes if confidence >= least else np.zeros((0, 4))
        assert np.array_equal(after.boxes, boxes)
        assert len(after.scores) == len(boxes)
    monkeypatch.setattr(localizer.method, "in_doubt", True)
    in_doubt = localizer.predictions(scored, list("abcde"), [(60, 80)] * 5)
    assert [len(prediction.boxes) for prediction in in_doubt] == [1] * 5


def test_threshold_comes_from_val(localizer: rfga.Localizer, tiny_run: Path) -> None:
    kept = tiny.metrics(tiny_run)["thresholds"]["minmax"]["largest"]["0.5"]
    assert (localizer.threshold.value, localizer.threshold.source) == (kept, "val")
    other = localizer.with_threshold(0.7, "fixed")
    assert (other.threshold.value, other.method) == (0.7, localizer.method)
    assert rfga.Localizer.load(tiny_run, device="cpu", threshold=0.7).threshold == other.threshold
    with pytest.raises(UserError, match="expected --threshold auto or a number"):
        rfga.Localizer.load(tiny_run, device="cpu", threshold="low")
    assert other.fingerprint == localizer.fingerprint


def test_fingerprint_is_of_the_weights(localizer: rfga.Localizer, tiny_run: Path, tmp_path: Path) -> None:
    assert rfga.Localizer.load(tiny_run, device="cpu").fingerprint == localizer.fingerprint
    run = tiny.copied(tiny_run, tmp_path / "run")
    weights = tiny.weights(run)
    weights["head.bias"][0] += 1e-3
    RunFolder(run).write_model(weights)
    assert rfga.Localizer.load(run, device="cpu").fingerprint != localizer.fingerprint


def test_weights_of_something_else_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    held = yaml.safe_load((run / "config.yaml").read_text())
    held["train"]["method"], held["train"]["options"] = "rfga", {}
    (run / "config.yaml").write_text(yaml.safe_dump(held))
    with pytest.raises(UserError, match=r"weights that .*config\.yaml describes, found others: train again"):
        rfga.Localizer.load(run)


def test_loading_draws_nothing_from_the_global_generator(tiny_run: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    rfga.Localizer.load(tiny_run, device="cpu")
    assert torch.equal(torch.rand(2), expected)


def test_unknown_normalisation(tiny_run: Path) -> None:
    with pytest.raises(UserError, match="one of auto, minmax, max, pas, ivr, none, found 'sum'"):
        rfga.Localizer.load(tiny_run, normalisation="sum")
