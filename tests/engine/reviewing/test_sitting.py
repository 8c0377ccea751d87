"""The collection learns while a person sits at the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfga.engine.localizing.journal import Journal
from rfga.engine.reviewing.sitting import Learn, ReviewCommand, Sitting, opened
from rfga.types import UserError
from tests.engine.reviewing import made

NEW_BOX = [1.0, 2.0, 50.0, 60.0]


def finding(folder: Path, asked: list[list[str]]) -> Learn:
    """Finds the same box in every photograph, and notes which of them a person had looked at."""

    def learn(truth: Path) -> str:
        coco = json.loads(truth.read_text())
        asked.append([image["file_name"] for image in coco["images"] if image.get("reviewed")])
        with opened(ReviewCommand(folder)):  # nobody else holds the boxes
            pass
        found = [
            replace(one, boxes=np.array([NEW_BOX]), scores=np.array([0.6])) for one in made.predictions()
        ]
        with Journal(folder, {}, [one.image_id for one in found], resume=False) as journal:
            for one in found:
                journal.add(one)
        return "all found anew"

    return learn


def test_boxes_are_found_anew_and_those_of_a_person_stay(tmp_path: Path) -> None:
    folder, asked = made.boxes_folder(tmp_path), list[list[str]]()
    sitting = Sitting(ReviewCommand(folder), finding(folder, asked))
    drawn = (5.0, 6.0, 70.0, 80.0, "cat")
    sitting.review.change(0, "corrected", [drawn])
    sitting.review.change(1, "right")
    sitting.review.change(3, "wrong")
    assert sitting.learn() == "all found anew"
    assert asked == [["cat/unsure.jpg", "cat/sure.jpg"]]
    assert sitting.has_news()
    review = sitting.review
    assert [box["edges"] for box in review.entry(0)["boxes"]] == [drawn[:4]]
    assert [box["edges"] for box in review.entry(1)["boxes"]] == [tuple(made.BOXES[1][0][0])]
    assert [box["edges"] for box in review.entry(2)["boxes"]] == [tuple(NEW_BOX)]
    review.undo()
    review.undo()
    assert [box["edges"] for box in review.entry(1)["boxes"]] == [tuple(NEW_BOX)]
    sitting.close()
    with opened(ReviewCommand(folder)) as again:
        assert again.state(0) == "corrected"


@pytest.mark.parametrize("mark", ["open", "wrong"])
def test_nothing_is_learned_from_nothing(mark: str, tmp_path: Path) -> None:
    folder = made.boxes_folder(tmp_path)
    sitting = Sitting(ReviewCommand(folder), finding(folder, []))
    if mark == "wrong":
        sitting.review.change(0, "wrong")
    with pytest.raises(UserError, match="expected corrected photographs to learn from, found none"):
        sitting.learn()
    assert sitting.review.entry(0)["boxes"][0]["edges"] == tuple(made.BOXES[0][0][0])
    sitting.close()


def test_boxes_that_cannot_be_found_anew_are_what_they_were(tmp_path: Path) -> None:
    def learn(truth: Path) -> str:
        raise UserError("expected a photograph, found none: bring it back")

    sitting = Sitting(ReviewCommand(made.boxes_folder(tmp_path)), learn)
    sitting.review.change(1, "right")
    with pytest.raises(UserError, match="bring it back"):
        sitting.learn()
    assert sitting.review.state(1) == "right"
    assert sitting.review.entry(0)["boxes"][0]["edges"] == tuple(made.BOXES[0][0][0])
    sitting.close()


def test_boxes_that_are_left_half_made_are_told(tmp_path: Path) -> None:
    folder = made.boxes_folder(tmp_path)

    def learn(truth: Path) -> str:
        (folder / "summary.json").unlink()
        raise UserError("expected room, found none: make some")

    sitting = Sitting(ReviewCommand(folder), learn)
    sitting.review.change(1, "right")
    with pytest.raises(UserError, match="expected boxes that are finished"):
        sitting.learn()
    with pytest.raises(UserError, match="call rfga build again"):
        sitting.review.undo()
    sitting.close()
