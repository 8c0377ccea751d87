"""How far a box can be trusted: a small logistic model of the evidence that map and network give of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from rfga.engine.localizing.second_look import SECOND_LOOK
from rfga.engine.run.config import OWN_MAPS
from rfga.geometry.box_evidence import EVIDENCE
from rfga.types import FloatArray

CONFIDENCE_KEY = "confidence"  # in metrics.json
_STRENGTHS = (0.5, 4.0)  # of what is known of shift and scale beforehand, as if it were squared errors
RIGHT_IOU = 0.5
"""A box is right when its IoU with the truth is at least this."""


@dataclass(frozen=True)
class ConfidenceModel:
    """The probability that a box is right, from its evidence: a logistic regression.

    Args:
        names: of the evidence it uses, in the order of its columns.
        means: of the evidence where the model was fitted.
        deviations: likewise, above 0.
        weights: of the evidence less its mean, divided by its deviation.
        intercept: the log odds of a box with average evidence.
        of_class: added to the log odds for each class; empty where classes were not told apart.

    Example:
        >>> model = ConfidenceModel(("fill",), (0.5,), (0.1,), (2.0,), 0.0)
        >>> model(np.array([[0.5], [0.6]])).round(2).tolist()
        [0.5, 0.88]
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    of_class: tuple[float, ...] = ()

    def __call__(self, evidence: FloatArray, label: int | None = None) -> FloatArray:
        """Confidences (n,) in (0, 1) of boxes with evidence (n, len(names)), all of the class ``label``."""
        scaled = (evidence - np.array(self.means)) / np.array(self.deviations)
        odds = self.intercept + scaled @ np.array(self.weights)
        if label is not None and self.of_class:
            odds = odds + self.of_class[label]
        confidences: FloatArray = 1.0 / (1.0 + np.exp(-odds.clip(-30.0, 30.0)))
        return confidences

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A model from what ``to_dict`` gave."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**plain)


@dataclass(frozen=True)
class Confidence:
    """The models of boxes with and without a second look, and where they are from.

    Args:
        plain: for evidence ``EVIDENCE``.
        looked: for ``EVIDENCE`` and ``SECOND_LOOK``.
        source: in words.
        least: a photograph whose surest box has less shows nothing of its class.
    """

    plain: ConfidenceModel
    looked: ConfidenceModel
    source: str
    least: float = 0.0

    def of_boxes(
        self, evidence: FloatArray, looks: FloatArray | None, shares: FloatArray, label: int
    ) -> FloatArray:
        """The confidence of each box of a photograph.

        The model is of largest components, since single labels tell of no others. A smaller component has
        the model's confidence times its area as a fraction of the largest one's.

        Args:
            evidence: (n, 8) of ``rfga.geometry.box_evidence``.
            looks: (n, 2) of ``rfga.engine.localizing.second_look``; None without a second look.
            shares: (n,) area of each component as a fraction of the largest one's.
            label: class of the boxes.

        Returns:
            (n,) in [0, 1].
        """
        if looks is None:
            return self.plain(evidence, label) * shares
        return self.looked(np.concatenate([evidence, looks], axis=1), label) * shares

    @property
    def fingerprint(self) -> str:
        """Of all numbers: the same for the same models, another for any other."""
        return hashlib.sha256(repr((self.plain, self.looked)).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"source": self.source, "plain": self.plain.to_dict(), "looked": self.looked.to_dict()}


def run_confidence(metrics: Mapping[str, Any], normalisation: str, maps: str = OWN_MAPS) -> Confidence:
    """The models that a run has for such maps: those fitted on boxes of its val split, or the default ones.

    Example:
        >>> run_confidence({}, "minmax").source
        'default'
    """
    held = metrics.get(CONFIDENCE_KEY, {}).get(normalisation) if maps == OWN_MAPS else None
    default = OF_SHARES if normalisation == "none" else DEFAULT
    if held is None:
        return default
    plain, looked = (ConfidenceModel.from_dict(held[name]) for name in ("plain", "looked"))
    if (plain.names, looked.names) != (EVIDENCE, EVIDENCE + SECOND_LOOK):
        return default  # of a version that looked at other evidence
    return Confidence(plain, looked, held["source"])


def fit_confidence(
    evidence: FloatArray,
    ious: FloatArray,
    names: Sequence[str],
    labels: Sequence[int] | None = None,
    penalty: float = 10.0,
) -> ConfidenceModel:
    """Fit the probability that a box is right: logistic regression with an L2 penalty, by Newton's steps.

    Args:
        evidence: (n, len(names)) of boxes.
        ious: (n,) of the boxes with their truth, in [0, 1].
        names: of the columns.
        labels: (n,) classes, to learn how often boxes of each are right; None does not tell them apart.
        penalty: on half the squared weights, of evidence in units of its deviation and of classes alike.

    Raises:
        ValueError: the lengths do not fit.

    Example:
        >>> fill = np.linspace(0.0, 1.0, 20)[:, None]
        >>> model = fit_confidence(fill, fill[:, 0], ["fill"], penalty=1.0)
        >>> model(np.array([[0.1], [0.9]])).round(1).tolist()
        [0.1, 0.9]
    """
    if evidence.shape != (len(ious), len(names)) or not len(ious):
        raise ValueError(f"expected evidence ({len(ious)}, {len(names)}) of boxes, found {evidence.shape}")
    means, deviations = evidence.mean(axis=0), evidence.std(axis=0)
    deviations = np.where(deviations > 1e-9, deviations, 1.0)
    columns = [np.ones((len(ious), 1)), (evidence - means) / deviations]
    if labels is not None:
        columns.append(np.eye(max(labels) + 1)[np.asarray(labels)])
    design, right = np.concatenate(columns, axis=1), (ious >= RIGHT_IOU).astype(np.float64)
    ridge = np.full(design.shape[1], penalty)
    ridge[0] = 1e-3  # hardly any, yet enough for a finite answer where all boxes are right
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-(design @ weights).clip(-30.0, 30.0)))
        slope = design.T @ (chance - right) + ridge * weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    count = 1 + len(names)
    return ConfidenceModel(
        tuple(names),
        _rounded(means),
        _rounded(deviations),
        _rounded(weights[1:count]),
        round(float(weights[0]), 6),
        _rounded(weights[count:]),
    )


def recalibrated(confidence: Confidence, evidence: FloatArray, ious: FloatArray, source: str) -> Confidence:
    """Models of the same evidence whose mean and spread follow a few boxes that were judged.

    The log odds o become a + b o: logistic regression, in which a = 0 and b = 1 count as much as a few boxes.

    Args:
        confidence: the models.
        evidence: (n, 8) of ``rfga.geometry.box_evidence``, of boxes that the models were not fitted on.
        ious: (n,) with the truth.
        source: in words.

    Example:
        >>> nothing = ConfidenceModel(("fill",), (0.5,), (0.1,), (0.0,), 2.0)
        >>> right = recalibrated(Confidence(nothing, nothing, ""), np.full((90, 1), 0.5), np.zeros(90), "")
        >>> float(right.plain(np.array([[0.5]]))[0]) < 0.1 < float(nothing(np.array([[0.5]]))[0])
        True
    """
    if not len(ious):
        return confidence
    model = confidence.plain
    odds = model.intercept + ((evidence - model.means) / np.array(model.deviations)) @ np.array(model.weights)
    design, right = np.stack([np.ones(len(odds)), odds], axis=1), (ious >= RIGHT_IOU).astype(np.float64)
    known, strength = np.array([0.0, 1.0]), np.array(_STRENGTHS)
    found = known
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-(design @ found).clip(-30.0, 30.0)))
        slope = design.T @ (chance - right) + strength * (found - known)
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(strength)
        step = np.linalg.solve(curve, slope)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    shift, scale = float(found[0]), max(float(found[1]), 0.0)
    plain, looked = (
        replace(
            held,
            weights=_rounded(scale * np.array(held.weights)),
            intercept=round(shift + scale * held.intercept, 6),
            of_class=_rounded(scale * np.array(held.of_class)),
        )
        for held in (confidence.plain, confidence.looked)
    )
    return Confidence(plain, looked, source)


def _rounded(values: FloatArray) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


DEFAULT = Confidence(
    plain=ConfidenceModel(
        names=EVIDENCE,
        means=(6.434, 0.392, 0.762, 0.844, 0.854, -0.609, 0.965, 0.256),
        deviations=(3.073, 0.084, 0.074, 0.094, 0.086, 0.31, 1.151, 0.081),
        weights=(0.197, 0.033, -0.084, 0.007, -0.054, 0.336, -0.418, 0.18),
        intercept=0.561,
    ),
    looked=ConfidenceModel(
        names=EVIDENCE + SECOND_LOOK,
        means=(6.434, 0.392, 0.762, 0.844, 0.854, -0.609, 0.965, 0.256, 0.653, 0.277),
        deviations=(3.073, 0.084, 0.074, 0.094, 0.086, 0.31, 1.151, 0.081, 0.186, 0.114),
        weights=(0.252, 0.113, -0.109, 0.011, -0.116, 0.148, -0.437, -0.011, 0.52, 0.217),
        intercept=0.589,
    ),
    source="default",
)
"""Fitted by benchmarks/confidence.py on 740 boxes: those of CAM and RFGA on the 250 photographs of
objects10/val and the 120 of pets3/val, MobileNetV2 at 224 pixels. docs/confidence.md says how far they carry
over.
"""

_OF_SHARES = ConfidenceModel(
    names=EVIDENCE,
    means=(0.0, 0.4303, 0.607, 0.7468, 0.7359, -0.8884, 0.6676, 0.3694),
    deviations=(1.0, 0.1028, 0.1299, 0.1879, 0.2064, 0.6902, 0.9644, 0.1461),
    weights=(0.0, 0.5409, -0.6692, -0.0469, 0.8355, -0.1527, -0.2682, -0.0591),
    intercept=0.5903,
)
OF_SHARES = Confidence(
    plain=_OF_SHARES,
    looked=replace(
        _OF_SHARES,
        names=EVIDENCE + SECOND_LOOK,
        means=(*_OF_SHARES.means, 0.0, 0.0),
        deviations=(*_OF_SHARES.deviations, 1.0, 1.0),
        weights=(*_OF_SHARES.weights, 0.0, 0.0),
    ),
    source="default",
    least=0.15,
)
"""For maps that are shares of object: fitted on the 1,107 photographs of val of pets3, birds13, web6,
busi2, neudet6 and objects10 by the method foreground, MobileNetV2 at 224 pixels. The class's
probability is left out, for it says nothing of the outline; so is a second look, which was not measured.
Below 0.15 lay 0 to 1.7 % of the photographs of the four collections that can be used, and a seventh to two
thirds of photographs of quite other things (docs/confidence.md).
"""
