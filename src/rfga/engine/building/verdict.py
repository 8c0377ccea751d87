"""What a built set of boxes says of itself: whether to trust it, and what was chosen on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rfga.engine.localizing.journal import FILE_NAME as JOURNAL
from rfga.engine.localizing.journal import Summary
from rfga.engine.run.folder import RunFolder
from rfga.engine.thresholds.scale import SHRINKS

UNSURE_CONFIDENCE = 0.5
"""Where boxes have less confidence than this in the mean, most of them are wrong (docs/confidence.md)."""


@dataclass(frozen=True)
class Verdict:
    """Whether a collection's boxes can be trusted, in a sentence, and its choices."""

    unsure: bool
    sentence: str
    choices: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As ``build.json`` holds it."""
        return {"unsure": self.unsure, "verdict": self.sentence, "choices": dict(self.choices)}


def verdict_of(run: RunFolder, summary: Summary, boxes: Path) -> Verdict:
    """What the run has learned and the confidence of its boxes say of the whole.

    Args:
        run: that found the boxes.
        summary: of all photographs.
        boxes: folder that ``localize`` wrote.
    """
    metrics = run.read_metrics()
    learned = dict(metrics.get("learned", {}))
    confidence = mean_confidence(boxes)
    doubt = learned.pop("doubt", None)
    if doubt is None and confidence < UNSURE_CONFIDENCE:
        doubt = f"the mean confidence of the boxes is {confidence:.2f} (sound: above {UNSURE_CONFIDENCE})"
    shrinking, image_size = metrics.get("shrinking", {}), run.read_config()[0].image_size
    times = 1.0 if "corrections" in learned else shrinking.get(str(image_size), 1.0)
    if doubt is None and times >= SHRINKS:
        doubt = (
            f"boxes are {times:.2f} times as long as when photographs are seen larger (sound: < {SHRINKS})"
        )
    choices = {
        "image_size": image_size,
        **learned,
        **({"shrinking": shrinking} if shrinking else {}),
    }
    missing = summary.without_box
    if doubt is not None:
        sentence = (
            "expected photographs whose objects have something in common that the network sees, found that "
            f"{doubt}: do not use these boxes without looking at them; photographs that show the objects "
            "larger, or of other backgrounds, may help"
        )
    else:
        without = f"; nothing was found in {missing} of {summary.inputs}" if missing else ""
        sentence = f"the collection agrees with itself: mean confidence {confidence:.2f}{without}"
    return Verdict(doubt is not None, sentence, choices)


def mean_confidence(boxes: Path) -> float:
    """Over the photographs of a journal of ``localize``, 0 for one without a box.

    What a person has said is left out.
    """
    found: list[float] = []
    with (boxes / JOURNAL).open(encoding="utf-8") as lines:
        for line in lines:
            held = json.loads(line)
            if "id" in held and not held.get("reviewed"):
                found.append(max(held["scores"], default=0.0))
    return float(np.mean(found)) if found else 0.0
