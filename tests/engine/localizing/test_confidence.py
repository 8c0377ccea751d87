from __future__ import annotations

import json

import numpy as np
import pytest

from rfga.engine.localizing.confidence import (
    DEFAULT,
    Confidence,
    ConfidenceModel,
    fit_confidence,
    run_confidence,
)
from rfga.engine.localizing.second_look import SECOND_LOOK
from rfga.geometry.box_evidence import EVIDENCE
from rfga.types import FloatArray, IntArray


@pytest.fixture
def boxes(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, IntArray]:
    """Evidence, IoU and class of boxes, of which the first evidence and the class decide."""
    evidence, labels = rng.normal(3.0, 2.0, (400, 3)), rng.integers(0, 3, 400)
    odds = (evidence[:, 0] - 3) + np.array([-1.5, 0.0, 1.5])[labels]
    return evidence, np.where(rng.random(400) < 1 / (1 + np.exp(-odds)), 0.8, 0.2), labels


def objective(model: ConfidenceModel, evidence: FloatArray, ious: FloatArray, penalty: float) -> float:
    chance, right = model(evidence), ious >= 0.5
    likelihood = np.log(np.where(right, chance, 1 - chance)).sum()
    return float(-likelihood + penalty / 2 * np.square(model.weights).sum())


def test_nothing_near_the_fit_is_better(boxes: tuple[FloatArray, FloatArray, IntArray]) -> None:
    evidence, ious, _ = boxes
    fitted = fit_confidence(evidence, ious, ["a", "b", "c"], penalty=5.0)
    assert fitted.weights[0] > 1 > abs(fitted.weights[1]) + abs(fitted.weights[2])
    best = objective(fitted, evidence, ious, 5.0)
    for index in range(3):
        for change in (-0.01, 0.01):
            weights = tuple(w + change * (i == index) for i, w in enumerate(fitted.weights))
            moved = ConfidenceModel(fitted.names, fitted.means, fitted.deviations, weights, fitted.intercept)
            assert objective(moved, evidence, ious, 5.0) > best
    assert fitted(evidence).mean() == pytest.approx((ious >= 0.5).mean(), abs=1e-4)


def test_classes_are_told_apart_where_they_are_given(
    boxes: tuple[FloatArray, FloatArray, IntArray],
) -> None:
    evidence, ious, labels = boxes
    fitted = fit_confidence(evidence, ious, ["a", "b", "c"], labels.tolist())
    low, middle, high = (fitted(evidence[:1], label)[0] for label in range(3))
    assert low < middle < high
    assert fit_confidence(evidence, ious, ["a", "b", "c"]).of_class == ()


@pytest.mark.parametrize("iou", [0.0, 1.0])
def test_boxes_that_are_all_alike_still_give_numbers(iou: float) -> None:
    fitted = fit_confidence(np.ones((60, 2)), np.full(60, iou), ["a", "b"], [0] * 60)
    (confidence,) = fitted(np.ones((1, 2)), 0)
    assert (confidence > 0.9) if iou else (confidence < 0.1)
    assert 0 <= fitted(np.full((1, 2), 1e9), 0)[0] <= 1


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected evidence \(3, 1\)"):
        fit_confidence(np.ones((3, 2)), np.ones(3), ["a"])
    with pytest.raises(ValueError, match="of boxes"):
        fit_confidence(np.ones((0, 1)), np.ones(0), ["a"])


def test_a_run_gives_back_its_own_models() -> None:
    rng = np.random.default_rng(1)
    evidence, ious, labels = rng.random((70, 10)), rng.random(70), [0, 1] * 35
    made = Confidence(
        fit_confidence(evidence[:, :8], ious, EVIDENCE, labels),
        fit_confidence(evidence, ious, EVIDENCE + SECOND_LOOK, labels),
        "calibrated on val (70 photographs, threshold 0.3)",
    )
    metrics = json.loads(json.dumps({"confidence": {"minmax": made.to_dict()}}))
    found = run_confidence(metrics, "minmax")
    assert found == made
    assert found.fingerprint == made.fingerprint != DEFAULT.fingerprint
    assert run_confidence(metrics, "ivr") == DEFAULT
    assert run_confidence(metrics, "minmax", "gradcam") == DEFAULT
    metrics["confidence"]["minmax"]["plain"]["names"][0] = "of another version"
    assert run_confidence(metrics, "minmax") == DEFAULT


def test_a_second_look_and_the_size_of_a_component_count() -> None:
    evidence, looks = np.zeros((2, 8)), np.array([[0.2, 0.1], [0.9, 0.4]])
    plain = DEFAULT.of_boxes(evidence, None, np.array([1.0, 0.25]), 0)
    assert plain[1] == pytest.approx(plain[0] / 4)
    bad, good = DEFAULT.of_boxes(evidence, looks, np.ones(2), 0)
    assert 0 <= bad < good <= 1


def test_default_models_are_of_the_evidence_there_is() -> None:
    for model, names in ((DEFAULT.plain, EVIDENCE), (DEFAULT.looked, EVIDENCE + SECOND_LOOK)):
        assert model.names == names
        assert len(model.means) == len(model.deviations) == len(model.weights) == len(names)
        assert min(model.deviations) > 0
        assert not model.of_class
