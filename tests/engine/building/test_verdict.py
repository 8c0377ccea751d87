"""When a collection's boxes are not to be trusted: seeds that contradict each other, or boxes with a rim."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rfga.engine.building.verdict import Verdict, verdict_of
from rfga.engine.localizing.journal import FILE_NAME, Summary
from rfga.engine.run.folder import RunFolder


def said(folder: Path, metrics: dict[str, Any], scores: tuple[float, ...] = (0.9, 0.7)) -> Verdict:
    lines = [json.dumps({"id": f"{score}.jpg", "scores": [score]}) for score in scores]
    (folder / FILE_NAME).write_text("\n".join([json.dumps({"settings": {}}), *lines]) + "\n")
    config = SimpleNamespace(image_size=448)
    run = SimpleNamespace(read_metrics=lambda: metrics, read_config=lambda: (config, {}))
    summary = SimpleNamespace(without_box=1, inputs=3)
    return verdict_of(cast(RunFolder, run), cast(Summary, summary), folder)


def test_a_sound_collection_says_what_was_chosen(tmp_path: Path) -> None:
    found = said(tmp_path, {"learned": {"level": 0.72}, "shrinking": {"224": 1.4, "448": 1.1}})
    assert not found.unsure
    assert found.sentence.endswith("mean confidence 0.80; nothing was found in 1 of 3")
    assert found.choices == {"image_size": 448, "level": 0.72, "shrinking": {"224": 1.4, "448": 1.1}}


@pytest.mark.parametrize(
    ("metrics", "scores", "why"),
    [
        ({"shrinking": {"224": 1.4, "448": 1.3}}, (0.9,), "boxes are 1.30 times as long as when"),
        ({"learned": {"doubt": "classes differ"}}, (0.9,), "found that classes differ"),
        ({}, (0.3, 0.4), "the mean confidence of the boxes is 0.35"),
    ],
)
def test_what_makes_it_unsure(
    tmp_path: Path, metrics: dict[str, Any], scores: tuple[float, ...], why: str
) -> None:
    found = said(tmp_path, metrics, scores)
    assert found.unsure
    assert why in found.sentence
    assert "do not use these boxes without looking at them" in found.sentence


def test_a_level_that_a_persons_boxes_chose_is_not_doubted_for_it(tmp_path: Path) -> None:
    learned = {"corrections": {"photographs": 9}}
    assert not said(tmp_path, {"learned": learned, "shrinking": {"448": 1.3}}).unsure
