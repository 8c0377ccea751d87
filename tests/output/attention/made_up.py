"""A made-up record of what an attention layer did with a photograph."""

from __future__ import annotations

from typing import Any

import numpy as np

from rfga.output.attention.record import Attention, LayerForm, Side
from rfga.types import FloatArray

FORM = LayerForm(("channel", "height", "width"), "sum", (1.0, 1.0), "sigmoid", "layer4")


def side(strength: float, box: FloatArray, rng: np.random.Generator, shape: tuple[int, int] = (5, 8)) -> Side:
    """Features around a bump, ``strength`` times as strong."""
    bump = np.exp(-((np.arange(shape[0])[:, None] - 2) ** 2 + (np.arange(shape[1]) - 3.0) ** 2) / 6)
    score_map = np.zeros((224, 224))
    score_map[56:168, 28:112] = 1.0
    return Side(
        activity=strength * bump,
        telling=strength * bump * rng.uniform(0.5, 1.5, (4, 1, 1)),
        raw_map=strength * bump - 0.2,
        score_map=score_map,
        boxes=box,
        probability=0.5 + 0.1 * strength,
    )


def attention(size_hw: tuple[int, int], form: LayerForm = FORM, **changes: Any) -> Attention:
    """A record of 40 channels of 5 x 8 for a photograph of some size."""
    rng = np.random.default_rng(3)
    height, width = size_hw
    box = np.array([[width / 8, height / 4, width / 2, height * 3 / 4]])
    shapes = {"channel": (40,), "height": (40, 5), "width": (40, 8)}
    held: dict[str, Any] = {
        "image_id": "tench/a.jpg",
        "size_hw": size_hw,
        "class_name": "tench",
        "predicted_name": "English springer",
        "threshold": 0.3,
        "form": form,
        "values": {view: rng.uniform(0.2, 0.8, shapes[view]) for view in form.views},
        "evidence": np.linspace(-1, 1, 40),
        "telling": np.array([39, 38, 37, 36]),
        "expanded": rng.uniform(1.4, 1.6, (5, 8)),
        "expanded_telling": rng.uniform(0.5, 2.5, (4, 5, 8)),
        "expanded_range": (0.5, 2.5),
        "before": side(1.0, box[:0], rng),
        "after": side(2.5, box, rng),
    }
    return Attention(**{**held, **changes})
