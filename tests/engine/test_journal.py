from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rfga.engine.journal import FILE_NAME, Journal
from rfga.types import Prediction, UserError

SETTINGS = {"threshold": 0.2, "labels": None}
ODD_NAMES = ["a.jpg", "ü, ö.jpg", "line\u2028end\x85.jpg", "bytes\udcff.jpg", 'quote".jpg']


def prediction(image_id: str, boxes: int = 2) -> Prediction:
    edges = np.array([[1.25, 2.0, 3.1, 4.0]] * boxes, dtype=np.float64).reshape(-1, 4)
    return Prediction(image_id, (30, 40), 1, 0.3, edges, np.full(boxes, 0.3), np.zeros((2, 2)), 0.2)


def same(a: Prediction, b: Prediction) -> bool:
    return (
        (a.image_id, a.size_hw, a.label, a.probability, a.threshold)
        == (b.image_id, b.size_hw, b.label, b.probability, b.threshold)
        and np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.scores, b.scores)
    )


def test_predictions_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        for number, name in enumerate(ODD_NAMES):
            journal.add(prediction(name, boxes=number))
        journal.failed("bad.jpg", "empty file")
        wanted = ["unknown.jpg", *reversed(ODD_NAMES), "bad.jpg"]
        found = list(journal.predictions(wanted))
        assert [one.image_id for one in found] == ODD_NAMES[::-1]
        assert all(same(one, prediction(one.image_id, ODD_NAMES.index(one.image_id))) for one in found)
        assert found[0].boxes.shape == (4, 4)
        assert found[0].score_map is None
        assert journal.failures == {"bad.jpg": "empty file"}


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_journal_cut_short_anywhere(cut: int, tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        for name in ODD_NAMES:
            journal.add(prediction(name))
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    with Journal(tmp_path, SETTINGS, resume=True) as journal:
        whole = list(journal.done)
        assert whole == ODD_NAMES[: len(whole)]
        assert len(whole) == (len(ODD_NAMES) if cut < 2 else len(ODD_NAMES) - 1)
        for name in ODD_NAMES[len(whole) :]:
            journal.add(prediction(name))
        found = list(journal.predictions(ODD_NAMES))
        assert all(same(one, prediction(name)) for one, name in zip(found, ODD_NAMES, strict=True))
    assert path.read_bytes() == content


def test_failures_are_tried_again(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        journal.failed("a.jpg", "empty file")
        journal.add(prediction("b.jpg"))
    with Journal(tmp_path, SETTINGS, resume=True) as journal:
        assert (list(journal.done), journal.failures) == (["b.jpg"], {})


def test_without_resume_it_starts_anew(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        journal.add(prediction("b.jpg"))
    with Journal(tmp_path, {}, resume=False) as journal:
        assert not journal.done


def test_other_settings_are_named(tmp_path: Path) -> None:
    Journal(tmp_path, SETTINGS, resume=False).__exit__(None, None, None)
    with pytest.raises(UserError, match=r"found another labels than in .*--overwrite"):
        Journal(tmp_path, {"threshold": 0.2, "labels": "folder"}, resume=True)
    Journal(tmp_path, SETTINGS, resume=True).__exit__(None, None, None)


def test_journal_of_something_else_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("")
    with Journal(tmp_path, SETTINGS, resume=True) as journal:
        assert not journal.done
    assert json.loads((tmp_path / FILE_NAME).read_text()) == {"settings": SETTINGS}
