"""Predictions on their way to a writer, as long as each is sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from rfga.types import Prediction

_SLACK_PIXELS = 1e-6  # what scaling from map to photograph pixels may add to an edge


def checked(predictions: Iterable[Prediction], class_count: int) -> Iterator[Prediction]:
    """Pass predictions on, one at a time, as long as each is sound.

    Raises:
        ValueError: an image comes twice, a class index is unknown, boxes and scores differ in number, or a
            box is empty, not finite, or outside its photograph.
    """
    seen: set[str] = set()
    for prediction in predictions:
        problem = _problem(prediction, class_count)
        if prediction.image_id in seen:
            problem = "the same image twice"
        if problem:
            raise ValueError(f"expected a sound prediction for {prediction.image_id}, found {problem}")
        seen.add(prediction.image_id)
        yield prediction


def _problem(prediction: Prediction, class_count: int) -> str:
    boxes, (height, width) = prediction.boxes, prediction.size_hw
    wrong = [label for label in (prediction.label, *prediction.labels) if not 0 <= label < class_count]
    if wrong:
        return f"class index {wrong[0]} of {class_count} classes"
    shapes = (prediction.scores.shape, (len(prediction.labels),))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or shapes != ((len(boxes),),) * 2:
        return f"boxes of shape {boxes.shape} with scores of shape {shapes[0]} and {shapes[1][0]} classes"
    if not (np.isfinite(boxes).all() and np.isfinite(prediction.scores).all()):
        return "a number that is not finite"
    low, high = boxes[:, :2], boxes[:, 2:]
    if (high <= low).any():
        return f"an empty box: {boxes.tolist()}"
    if (low < -_SLACK_PIXELS).any() or (high > np.array([width, height]) + _SLACK_PIXELS).any():
        return f"a box outside {width}x{height} pixels: {boxes.tolist()}"
    return ""
