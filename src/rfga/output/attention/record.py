"""What an attention layer did with one photograph, and the numbers of it that go into a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfga.geometry.boxes import scale_boxes
from rfga.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class LayerForm:
    """How the layer is built, as its formulas need it."""

    views: tuple[str, ...]  # out of channel, height, width
    expansion: str  # sum, product or mean
    calibration: tuple[float, float]  # Y = X * (constant + share * M), as (constant, share)
    gate: str  # sigmoid or softmax
    place: str  # of the layer in the network
    start: float = 0.0  # with gains, Y = X + gain * X * (M - start), and ``calibration`` says nothing
    gains: tuple[float, float] | None = None  # the least and the largest of the channels' gains


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Features on one side of the layer, and what the rest of the network makes of them."""

    activity: FloatArray  # (h, w), mean over the channels of the features' positive part
    telling: FloatArray  # (n, h, w), features of the telling channels
    raw_map: FloatArray  # (h', w'), the class's score map
    score_map: FloatArray  # (224, 224) in [0, 1], the same resized and normalised
    boxes: FloatArray  # (0 or 1, 4), edges in original pixels
    probability: float  # of the class, in [0, 1]


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """What a residual fine-grained attention layer did with one photograph (arXiv:2104.04952).

    ``before`` are the features X and the score map without the layer, ``after`` the calibrated features Y
    and the score map with it. A channel's evidence is its share of the class's logit, to first order:
    the sum over the positions of Y times the logit's gradient; where the head follows the layer directly,
    that is the class's weight of the channel times the mean of Y.
    """

    image_id: str
    size_hw: tuple[int, int]  # of the original photograph
    class_name: str  # the class that is looked for
    predicted_name: str
    threshold: float  # of the boxes, in [0, 1]
    form: LayerForm
    values: Mapping[str, FloatArray]  # attention of each active view: channel (C,), height (C,h), width (C,w)
    evidence: FloatArray  # (C,)
    telling: IntArray  # (n,), the channels of most evidence, the strongest first
    expanded: FloatArray  # (h, w), mean over the channels of the expanded attention M
    expanded_telling: FloatArray  # (n, h, w), M of the telling channels
    expanded_range: tuple[float, float]  # smallest and largest element of M
    before: Side
    after: Side

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the features."""
        return len(self.evidence), self.expanded.shape[0], self.expanded.shape[1]

    def felt(self, view: str) -> FloatArray:
        """A view's attention as the class feels it: its mean weighted by the channels' positive evidence."""
        weights = np.maximum(self.evidence, 0)
        weights = weights if weights.sum() > 0 else np.ones_like(weights)
        felt: FloatArray = np.asarray(np.average(self.values[view], axis=0, weights=weights))
        return felt

    @property
    def gains(self) -> dict[str, float]:
        """How many times stronger the activity became: at all positions, at the weaker and stronger half.

        Halves are those of the activity before; nan where it was zero.
        """
        before, after = self.before.activity.ravel(), self.after.activity.ravel()
        order, half = np.argsort(before, kind="stable"), before.size // 2
        groups = {"all": order, "weaker_half": order[:half], "stronger_half": order[half:]}
        return {
            name: float(after[group].sum() / before[group].sum()) if before[group].sum() > 0 else math.nan
            for name, group in groups.items()
        }


def mass_inside(score_map: FloatArray, boxes: FloatArray, size_hw: tuple[int, int]) -> float:
    """The share of a map's sum that lies inside a box; nan for a map of zeros, 0 without a box.

    Args:
        score_map: (h, w), no value below zero.
        boxes: (0 or 1, 4) edges in pixels of the photograph.
        size_hw: of the photograph.

    Example:
        >>> mass_inside(np.array([[1.0, 3.0]]), np.array([[40.0, 0.0, 80.0, 60.0]]), (60, 80))
        0.75
    """
    total = float(score_map.sum())
    if total <= 0:
        return math.nan
    inside = 0.0
    for box in scale_boxes(boxes, size_hw, (score_map.shape[0], score_map.shape[1])):
        x0, y0, x1, y1 = (round(edge) for edge in box)  # boxes end where pixels of the map do
        inside += float(score_map[y0:y1, x0:x1].sum())
    return inside / total


def box_area(boxes: FloatArray, size_hw: tuple[int, int]) -> float:
    """The share of the photograph's area that a box covers, 0 without one.

    Example:
        >>> box_area(np.array([[40.0, 0.0, 80.0, 30.0]]), (60, 80))
        0.25
    """
    sizes = boxes[:, 2:] - boxes[:, :2]
    return float(sizes.prod(axis=1).sum() / (size_hw[0] * size_hw[1]))


def attention_numbers(attention: Attention) -> dict[str, Any]:
    """What ``attention.json`` says of one photograph; None stands for what is not defined."""
    form, (channels, height, width) = attention.form, attention.shape
    views = {view: _view_numbers(values) for view, values in attention.values.items()}
    return {
        "image": attention.image_id,
        "class": attention.class_name,
        "predicted": attention.predicted_name,
        "layer": {
            "place": form.place,
            "features": {"channels": channels, "height": height, "width": width},
            "views": list(form.views),
            "expansion": form.expansion,
            "gate": form.gate,
            "calibration": _calibration_numbers(form),
        },
        "views": views,
        "expanded": {
            "mean": float(attention.expanded.mean()),
            "smallest": attention.expanded_range[0],
            "largest": attention.expanded_range[1],
        },
        "telling_channels": [
            {"channel": int(c), "evidence": float(attention.evidence[c])} for c in attention.telling
        ],
        "gain": {name: _number(gain) for name, gain in attention.gains.items()},
        "without_layer": _side_numbers(attention, attention.before),
        "with_layer": _side_numbers(attention, attention.after),
    }


def _view_numbers(values: FloatArray) -> dict[str, Any]:
    """Mean and deviation over all elements; along height and width, also the mean over the channels."""
    numbers: dict[str, Any] = {"mean": float(values.mean()), "spread": float(values.std())}
    if values.ndim > 1:
        numbers |= {"profile": values.mean(0).tolist(), "profile_spread": values.std(0).tolist()}
    return numbers


def _side_numbers(attention: Attention, side: Side) -> dict[str, Any]:
    size_hw = attention.size_hw
    return {
        "probability": side.probability,
        "raw_scores": [float(side.raw_map.min()), float(side.raw_map.max())],
        "box": side.boxes[0].tolist() if len(side.boxes) else None,
        "box_area": box_area(side.boxes, size_hw),
        "mass_in_own_box": _number(mass_inside(side.score_map, side.boxes, size_hw)),
        "mass_in_box_with_layer": _number(mass_inside(side.score_map, attention.after.boxes, size_hw)),
        "mass_in_box_without_layer": _number(mass_inside(side.score_map, attention.before.boxes, size_hw)),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _calibration_numbers(form: LayerForm) -> dict[str, float]:
    if form.gains is None:
        return {"constant": form.calibration[0], "share": form.calibration[1]}
    return {"start": form.start, "smallest_gain": form.gains[0], "largest_gain": form.gains[1]}
