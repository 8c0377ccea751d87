from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rfga.data.truth.readers import open_truth
from rfga.engine.reviewing.corrected import write_corrected
from rfga.engine.reviewing.found import Place
from rfga.engine.reviewing.review import Choice, Review, Shown
from rfga.engine.reviewing.sitting import ReviewCommand, opened
from rfga.output.export.formats import FORMATS
from rfga.types import Prediction, UserError
from tests.engine.reviewing import made

DRAWN = (10.0, 20.0, 60.0, 90.0, "dog")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made.boxes_folder(tmp_path)


@pytest.fixture
def review(folder: Path) -> Iterator[Review]:
    with opened(ReviewCommand(folder)) as one:
        yield one


def numbers(review: Review, choice: Choice, page: int = 0) -> list[int]:
    return [item["number"] for item in review.page(choice, page)["items"]]


def test_the_list_begins_with_the_worst(review: Review) -> None:
    held = review.page(Choice())
    assert tuple(item["number"] for item in held["items"]) == made.WORST_FIRST
    assert (held["total"], held["pages"], held["states"]) == (5, 1, {"open": 5})
    first, second = held["items"][:2]
    assert (first["name"], first["class"], first["boxes"], first["confidence"]) == (
        "dog/none.png",
        1,
        [],
        0,
    )
    assert second["size"] == [200, 120]
    assert second["boxes"] == [{"edges": (20.0, 10.0, 90.0, 70.0), "class": 0, "score": 0.2}]


def test_choices_of_the_list(review: Review) -> None:
    review.change(0, "right")
    review.change(1, "wrong")
    review.change(3, "corrected", [DRAWN])
    review.change(4, "corrected", [])
    expected: dict[Shown, list[int]] = {
        "all": [2, 0, 3, 4, 1],
        "open": [2],
        "right": [0],
        "wrong": [1],
        "corrected": [3],
    }
    expected |= {"nothing": [4], "warned": [3], "empty": [2]}
    for shown, found in expected.items():
        assert numbers(review, Choice(shown)) == found, shown
        assert numbers(review, Choice(shown, label=1)) == [n for n in found if n in (2, 3, 4)], shown
    assert numbers(review, Choice(label=2)) == []
    states = {"open": 1, "right": 1, "wrong": 1, "corrected": 1, "nothing": 1}
    assert review.progress()["states"] == states
    others: Any = "others"
    with pytest.raises(UserError, match="expected a choice of the page"):
        Choice(others)


def test_steps_through_the_list_and_to_the_worst_that_nobody_saw(review: Review) -> None:
    everything = Choice()
    assert [review.step_from(everything, n, 1) for n in (None, 2, 0, 1)] == [2, 0, 3, None]
    assert [review.step_from(everything, n, -1) for n in (2, 0, 1)] == [None, 2, 4]
    review.change(0, "right")
    assert review.step_from(everything, 2, 1, unseen=True) == 3
    assert review.step_from(Choice("open"), 0, 1) == 3  # from a place that is no longer in the list
    assert review.step_from(Choice("open"), 0, -1) == 2


def test_what_is_right_wrong_or_changed(review: Review) -> None:
    right = review.change(3, "right")
    assert right["state"] == "right"
    assert [box["score"] for box in right["boxes"]] == [None, None]  # a person's now
    assert review.change(3, "corrected", [DRAWN])["state"] == "corrected"
    assert review.change(3, "right")["state"] == "corrected"  # what a person drew stays drawn
    assert review.said.steps == 2
    assert review.change(3, "wrong")["boxes"][0]["score"] == 0.5  # as found
    assert review.change(3, "open")["state"] == "open"
    assert review.change(3, "open")["undo"] == 4
    assert review.change(2, "right")["state"] == "nothing"
    gone = [review.undo() for _ in range(5)]
    assert [one["number"] for one in gone] == [2, 3, 3, 3, 3]
    assert [one["state"] for one in gone] == ["open", "wrong", "corrected", "right", "open"]
    assert "number" not in review.undo()
    assert [review.redo()["state"] for _ in range(2)] == ["right", "corrected"]


def test_boxes_end_where_the_photograph_does(review: Review) -> None:
    [box] = review.change(0, "corrected", [(-5.0, 20.0, 500.0, 90.0, "dog")])["boxes"]
    assert box == {"edges": (0.0, 20.0, 200.0, 90.0), "class": 1, "score": None}
    for bad in ((210.0, 0.0, 220.0, 9.0, "cat"), (0.0, 0.0, 9.0, 9.0, "bird")):
        with pytest.raises(UserError, match="expected boxes of known classes in 200 x 120 pixels"):
            review.change(0, "corrected", [bad])
    with pytest.raises(UserError, match="expected at most 1000 boxes"):
        review.change(0, "corrected", [DRAWN] * 1001)
    for number in (-1, 5):
        with pytest.raises(UserError, match="expected a photograph of the list"):
            review.change(number, "right")
    assert review.said.steps == 1


def written(folder: Path) -> dict[str, dict[str, object]]:
    coco = json.loads((folder / "corrected.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    held: dict[str, dict[str, object]] = {}
    for image in coco["images"]:
        own = [one for one in coco["annotations"] if one["image_id"] == image["id"]]
        boxes = [(one["bbox"], names[one["category_id"]], one["score"], one.get("source")) for one in own]
        assert all(one.get("reviewed", False) == image.get("reviewed", False) for one in own)
        assert not any(one["iscrowd"] for one in own)
        held[image["file_name"]] = {"reviewed": image.get("reviewed", False), "boxes": boxes}
    return held


def test_corrected_boxes_go_out_and_wrong_ones_do_not(folder: Path, review: Review) -> None:
    before = (folder / ".journal.jsonl").read_bytes()
    review.change(0, "corrected", [DRAWN])
    review.change(1, "right")
    review.change(3, "wrong")
    review.change(4, "corrected", [])
    files = write_corrected(review, tuple(FORMATS))
    assert {file.rpartition("/")[2] for file in files} == {
        *("corrected.json", "boxes.csv", "yolo", "voc", "labelstudio.json", "wrong.txt")
    }
    assert all((folder / file).exists() for file in files)
    assert written(folder) == {
        "cat/unsure.jpg": {"reviewed": True, "boxes": [([10, 20, 50, 70], "dog", 1, "person")]},
        "cat/sure.jpg": {"reviewed": True, "boxes": [([30, 20, 100, 80], "cat", 1, "person")]},
        "dog/none.png": {"reviewed": False, "boxes": []},
        "dog/<img src=x>.png": {"reviewed": True, "boxes": []},
    }
    assert (folder / "corrected" / "wrong.txt").read_text() == "dog/two.jpg\n"
    images = folder / "corrected" / "yolo" / "images"
    assert (images / "cat" / "unsure.jpg").resolve() == folder.parent / "photos" / "cat" / "unsure.jpg"
    assert (folder / ".journal.jsonl").read_bytes() == before
    truth = open_truth(
        folder / "corrected.json", folder.parent / "photos", ["cat/sure.jpg", "cat/unsure.jpg"]
    )
    known = truth.truth("cat/sure.jpg")
    assert known is not None
    assert known.boxes is not None
    np.testing.assert_array_equal(known.boxes, [[30, 20, 130, 100]])


def test_boxes_that_a_person_made_before_are_told_as_such(tmp_path: Path) -> None:
    found = made.predictions()
    found[0] = replace(found[0], reviewed=True, scores=np.ones(1), box_labels=(1,))
    found[2] = replace(found[2], reviewed=True)
    folder = made.boxes_folder(tmp_path, found)
    with opened(ReviewCommand(folder)) as review:
        assert [review.state(number) for number in range(5)] == ["right", "open", "nothing", "open", "open"]
        assert [box["score"] for box in review.entry(0)["boxes"]] == [None]
        assert numbers(review, Choice("open")) == [3, 4, 1]
        write_corrected(review, ())
    assert written(folder)["cat/unsure.jpg"] == {
        "reviewed": True,
        "boxes": [([20, 10, 70, 60], "dog", 1, "person")],
    }


def test_pages_of_a_long_list(tmp_path: Path) -> None:
    box = np.array([[1.0, 2.0, 30.0, 40.0]])
    found = [
        Prediction(f"cat/{number}.jpg", (60, 80), 0, 0.9, box, np.array([number / 200]), None, 0.2)
        for number in range(130)
    ]
    with opened(ReviewCommand(made.boxes_folder(tmp_path, found))) as review:
        shown = [numbers(review, Choice(), page) for page in range(3)]
        assert [n for page in shown for n in page] == list(range(130))
        assert [len(page) for page in shown] == [60, 60, 10]
        assert numbers(review, Choice(), 99) == shown[2]
        assert numbers(review, Choice(), -1) == shown[0]
        assert review.page(Choice(), at=60)["page"] == 1
        assert review.page(Choice(), at=59)["page"] == 0
        review.change(60, "right")
        assert review.page(Choice("open"), at=60)["page"] == 1  # where it would be
        assert review.page(Choice("wrong"), at=60) == {
            **{"total": 0, "page": 0, "pages": 1, "items": []},
            **review.progress(),
        }


def test_a_build_a_folder_and_its_file_are_the_same(folder: Path) -> None:
    (folder / "coco.json").touch()
    for path in (folder, folder / "coco.json", folder.parent):
        assert Place.found(path).boxes == folder
    moved = folder.parent / "moved"
    (folder.parent / "photos").rename(moved)
    with pytest.raises(UserError, match="give --data with the folder"), opened(ReviewCommand(folder)):
        pass
    with opened(ReviewCommand(folder, data=moved)) as review:
        assert review.photograph(0) == moved / "cat" / "unsure.jpg"
    (moved / "cat" / "unsure.jpg").unlink()
    with opened(ReviewCommand(folder, data=moved)) as review:  # one that is gone ends nothing
        assert review.photograph(0) is None


def test_photographs_of_other_boxes_are_told(folder: Path) -> None:
    Image.new("RGB", (120, 200)).save(folder.parent / "photos" / "cat" / "unsure.jpg")  # turned
    with (
        pytest.raises(UserError, match=r"with 200 x 120 pixels, .* found 120 x 200: give --data"),
        opened(ReviewCommand(folder)),
    ):
        pass


def test_what_is_no_folder_of_boxes(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="expected a folder that rfga localize or rfga build wrote"):
        Place.found(tmp_path / "photos")
    (folder / "summary.json").write_text('{"classes": [], "folders": [1]}')
    with pytest.raises(UserError, match="expected boxes that are finished"):
        Place.found(folder)
    (folder / "summary.json").write_text(json.dumps({"classes": ["cat"], "folders": []}))
    with pytest.raises(UserError, match="expected a photograph with its boxes in line 4 of"):
        opened(ReviewCommand(folder)).__enter__()


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_text("s")
    found = replace(made.predictions()[0], image_id="../secret.jpg")
    folder = made.boxes_folder(tmp_path, [found], files=False)
    with pytest.raises(UserError, match="expected a name that stays in"), opened(ReviewCommand(folder)):
        pass


def test_two_sittings_at_once_are_refused(folder: Path, review: Review) -> None:
    with pytest.raises(UserError, match="expected one rfga review at a time"), opened(ReviewCommand(folder)):
        pass
