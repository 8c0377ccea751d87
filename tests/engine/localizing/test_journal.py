from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfga.engine.localizing.journal import FILE_NAME, Journal, journal_parts
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


def opened(folder: Path, resume: bool, settings: Any = SETTINGS) -> Journal:
    return Journal(folder, settings, [*ODD_NAMES, "b.jpg"], resume=resume)


def done(journal: Journal) -> list[str]:
    return [name for name in [*ODD_NAMES, "b.jpg", "c.jpg"] if name in journal]


def test_predictions_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path, resume=False) as journal:
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
    with opened(tmp_path, resume=False) as journal:
        for name in ODD_NAMES:
            journal.add(prediction(name))
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    with opened(tmp_path, resume=True) as journal:
        whole = done(journal)
        assert whole == ODD_NAMES[: len(whole)]
        assert len(whole) == (len(ODD_NAMES) if cut < 2 else len(ODD_NAMES) - 1)
        for name in ODD_NAMES[len(whole) :]:
            journal.add(prediction(name))
        found = list(journal.predictions(ODD_NAMES))
        assert all(same(one, prediction(name)) for one, name in zip(found, ODD_NAMES, strict=True))
    assert path.read_bytes() == content


def test_failures_are_tried_again(tmp_path: Path) -> None:
    with opened(tmp_path, resume=False) as journal:
        journal.failed("a.jpg", "empty file")
        journal.add(prediction("b.jpg"))
    with opened(tmp_path, resume=True) as journal:
        assert (done(journal), journal.failures) == (["b.jpg"], {})


def test_without_resume_it_starts_anew(tmp_path: Path) -> None:
    with opened(tmp_path, resume=False) as journal:
        journal.add(prediction("b.jpg"))
    with opened(tmp_path, resume=False, settings={}) as journal:
        assert not done(journal)


def test_other_settings_are_named(tmp_path: Path) -> None:
    opened(tmp_path, resume=False).__exit__(None, None, None)
    with pytest.raises(UserError, match=r"found another labels than in .*--overwrite"):
        opened(tmp_path, resume=True, settings={"threshold": 0.2, "labels": "folder"})
    opened(tmp_path, resume=True).__exit__(None, None, None)


def test_journal_of_something_else_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("")
    with opened(tmp_path, resume=True) as journal:
        assert not done(journal)
    assert json.loads((tmp_path / FILE_NAME).read_text()) == {"settings": SETTINGS}


def test_photographs_of_another_call_stay_in_the_file(tmp_path: Path) -> None:
    with opened(tmp_path, resume=False) as journal:
        journal.add(prediction("a.jpg"))
        journal.add(prediction("b.jpg"))
    content = (tmp_path / FILE_NAME).read_bytes()
    with Journal(tmp_path, SETTINGS, ["b.jpg"], resume=True) as journal:
        assert (done(journal), [one.image_id for one in journal.predictions(ODD_NAMES)]) == (["b.jpg"], [])
    assert (tmp_path / FILE_NAME).read_bytes() == content
    with opened(tmp_path, resume=True) as journal:
        assert done(journal) == ["a.jpg", "b.jpg"]


def test_memory_does_not_grow_with_what_is_added(tmp_path: Path) -> None:
    names = [f"photographs of a class/{number}.jpg" for number in range(1500)]
    one = prediction("")
    with Journal(tmp_path, SETTINGS, names, resume=False) as journal:
        for name in names[:500]:
            journal.add(replace(one, image_id=name))
        tracemalloc.start()
        for name in names[500:]:
            journal.add(replace(one, image_id=name))
        grown_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown_bytes < 8_000  # a dict with a number for each would take a hundred bytes a photograph
        assert sum(1 for _ in journal.predictions(names)) == 1500


def written_by_two(folder: Path) -> None:
    """The journal and a part of it: of four photographs one failed, which an earlier run had not come to."""
    with opened(folder, resume=False) as first:
        first.add(prediction(ODD_NAMES[2]))
        first.failed(ODD_NAMES[0], "empty file")
    with Journal(folder, SETTINGS, [*ODD_NAMES, "b.jpg"], resume=False, part=1) as second:
        second.add(prediction("b.jpg", boxes=1))
        second.add(prediction(ODD_NAMES[1]))


def test_parts_are_taken_over_in_the_order_of_the_photographs(tmp_path: Path) -> None:
    with opened(tmp_path, resume=False) as journal:
        written_by_two(tmp_path)
        assert [path.name for path in journal_parts(tmp_path)] == [".journal-1.jsonl"]
        journal.take_parts()
        assert done(journal) == [ODD_NAMES[1], ODD_NAMES[2], "b.jpg"]
        assert journal.failures == {ODD_NAMES[0]: "empty file"}
        found = list(journal.predictions(["b.jpg", ODD_NAMES[1]]))
        assert same(found[0], prediction("b.jpg", boxes=1))
    assert not journal_parts(tmp_path)
    alone = tmp_path / "alone"
    with opened(alone, resume=False) as journal:
        journal.failed(ODD_NAMES[0], "empty file")
        for name, boxes in ((ODD_NAMES[1], 2), (ODD_NAMES[2], 2), ("b.jpg", 1)):
            journal.add(prediction(name, boxes))
    assert (tmp_path / FILE_NAME).read_bytes() == (alone / FILE_NAME).read_bytes()


def test_parts_that_a_kill_left_are_gone_on_with(tmp_path: Path) -> None:
    written_by_two(tmp_path)
    part = journal_parts(tmp_path)[0]
    part.write_bytes(part.read_bytes()[:-5])
    with opened(tmp_path, resume=True) as journal:
        assert done(journal) == [ODD_NAMES[2], "b.jpg"]
        assert not journal_parts(tmp_path)
    written_by_two(tmp_path)
    with pytest.raises(UserError, match="found another threshold"):
        opened(tmp_path, resume=True, settings={"threshold": 0.3, "labels": None})
    with opened(tmp_path, resume=False) as journal:
        assert not done(journal)
        assert not journal_parts(tmp_path)
