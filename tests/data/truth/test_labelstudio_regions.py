"""Which image a region of Label Studio is on, and where a turned box lies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfga.data.truth.readers import TruthReader, open_truth
from rfga.types import UserError

WIDTH, HEIGHT = 80, 40
IDS = ["cat/0.jpg", "cat/1.jpg", "dog/2.jpg"]


def region(x: float, **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": 50, "width": 25, "height": 20, "rotation": 0, "rectanglelabels": ["thing"]}
    held = {"type": "rectanglelabels", "original_width": WIDTH, "original_height": HEIGHT}
    return (
        held
        | {key: more.pop(key) for key in ("to_name", "item_index") if key in more}
        | {"value": value | more}
    )


def opened(val: Path, *tasks: dict[str, Any], encoding: str = "utf-8") -> TruthReader:
    (val.parent / "t.json").write_bytes(json.dumps(list(tasks), indent=1).encode(encoding))
    return open_truth(val.parent / "t.json", val, IDS)


def task(data: dict[str, Any], *results: dict[str, Any]) -> dict[str, Any]:
    return {"id": 7, "data": data, "annotations": [{"result": list(results)}]}


def boxes(reader: TruthReader, image_id: str) -> list[list[float]] | None:
    truth = reader.truth(image_id)
    if truth is None:
        return None
    assert truth.boxes is not None
    return [[round(edge, 6) for edge in box] for box in truth.boxes.tolist()]


GOOD = task({"image": "dog/2.jpg"}, region(50))
AT_0, AT_50 = [[0.0, 20.0, 20.0, 28.0]], [[40.0, 20.0, 60.0, 28.0]]


def test_each_box_is_on_the_image_that_it_was_drawn_on(val: Path) -> None:
    data = {"left": "cat/0.jpg", "right": "cat/1.jpg"}
    reader = opened(val, task(data, region(0, to_name="left"), region(50, to_name="right")), GOOD)
    assert [boxes(reader, image_id) for image_id in IDS] == [AT_0, AT_50, AT_50]
    assert reader.remarks == ()


def test_images_in_a_list_are_counted(val: Path) -> None:
    data = {"images": ["cat/0.jpg", "cat/1.jpg"]}
    results = [region(0, to_name="image", item_index=0), region(50, to_name="image", item_index=1)]
    reader = opened(val, task(data, *results), GOOD)
    assert [boxes(reader, image_id) for image_id in IDS] == [AT_0, AT_50, AT_50]


@pytest.mark.parametrize(
    ("data", "result"),
    [
        ({"left": "cat/0.jpg", "right": "cat/1.jpg"}, region(0, to_name="img-1")),
        ({"left": "cat/0.jpg", "right": "cat/1.jpg"}, region(0)),
        ({"left": "cat/0.jpg", "right": "elsewhere/x.jpg"}, region(0, to_name="img-1")),
        ({"images": ["cat/0.jpg", "cat/1.jpg"]}, region(0, to_name="image")),
        ({"images": ["cat/0.jpg", "cat/1.jpg"]}, region(0, to_name="image", item_index=2)),
    ],
)
def test_a_task_that_does_not_say_which_image_is_left_out_by_name(
    val: Path, data: dict[str, Any], result: dict[str, Any]
) -> None:
    reader = opened(val, task(data, result), GOOD)
    assert [boxes(reader, image_id) for image_id in IDS] == [None, None, AT_50]
    ((kind, sentence),) = reader.remarks
    assert kind == "truth_entry"
    assert "found to_name" in sentence
    assert "in task 7 in" in sentence


def test_the_photograph_beside_the_image(val: Path) -> None:
    stale = task({"image": "/data/local-files/?d=val/cat/0.jpg", "photograph": "cat/1.jpg"}, region(0))
    reader = opened(val, stale, GOOD)
    assert [boxes(reader, image_id) for image_id in IDS] == [AT_0, None, AT_50]
    ((kind, sentence),) = reader.remarks
    assert (kind, "cat/0.jpg, not cat/1.jpg" in sentence) == ("truth_claims", True)
    other = task({"image": "/data/upload/1/0a1b2c3d-1.jpg", "photograph": "dog/1.jpg"}, region(0))
    reader = opened(val, other, GOOD)  # 1.jpg is a cat's here, and the photograph is not
    assert reader.truth(IDS[1]) is None
    assert reader.missing_images == ("dog/1.jpg",)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, 360, -90, 0.5, 359.5, 90.4])
def test_boxes_turned_by_right_angles_are_upright(val: Path, degrees: float) -> None:
    """The corners, turned around the first one in pixels by a formula of its own."""
    reader = opened(
        val, task({"image": "cat/0.jpg"}, region(50, rotation=degrees, y=60, width=10, height=30))
    )
    exact = math.radians(round(degrees / 90) * 90)
    corners = np.array([[0, 0], [8, 0], [0, 12], [8, 12]], float)  # 10 % of 80 by 30 % of 40
    turn = np.array([[math.cos(exact), math.sin(exact)], [-math.sin(exact), math.cos(exact)]])
    turned = corners @ turn + (40, 24)
    expected = np.clip([*turned.min(axis=0), *turned.max(axis=0)], 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
    found = boxes(reader, IDS[0])
    assert found is not None
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    assert [kind for kind, _ in reader.remarks] == ["truth_claims"] * (degrees % 90 > 0)


def test_a_quarter_turn_drawn_by_hand(val: Path) -> None:
    """20 x 8 pixels whose first corner is at 40, 20, a quarter clockwise: 8 to its left and 20 below it."""
    reader = opened(val, task({"image": "cat/0.jpg"}, region(50, rotation=90)))
    assert boxes(reader, IDS[0]) == [[32, 20, 40, 40]]


@pytest.mark.parametrize("degrees", [2, 45, 88, 12.5, "90", float("nan")])
def test_boxes_turned_otherwise_are_left_out(val: Path, degrees: object) -> None:
    reader = opened(val, task({"image": "cat/0.jpg"}, region(0, rotation=degrees)), GOOD)
    assert boxes(reader, IDS[0]) is None
    assert f"turned by {degrees} degrees" in reader.remarks[0][1]


def test_a_quarter_turn_without_a_size_is_left_out(val: Path) -> None:
    item = region(0, rotation=90) | {"original_width": 0}
    assert (
        "original_width and original_height"
        in opened(val, task({"image": "cat/0.jpg"}, item), GOOD).remarks[0][1]
    )


def test_what_else_is_left_out_is_counted(val: Path) -> None:
    polygon = {
        "type": "polygonlabels",
        "value": {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["thing"]},
    }
    predicted = {"id": 8, "data": {"image": "cat/1.jpg"}, "annotations": [], "predictions": [{"result": []}]}
    rotated = region(0) | {"image_rotation": 90}
    reader = opened(val, task({"image": "cat/0.jpg"}, polygon, rotated, polygon), predicted, GOOD)
    assert [boxes(reader, image_id) for image_id in IDS] == [None, None, AT_50]
    said = " ".join(sentence for _, sentence in reader.remarks)
    assert "found 2 other regions (first: polygonlabels in task 7" in said
    assert "found 1 tasks with predictions alone (first: task 8" in said
    assert "found one on it turned by 90 degrees" in said


def test_one_odd_task_costs_itself_alone(val: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"data": {"text": "no image"}, "annotations": []},
        {"data": {"image": "cat/0.jpg"}, "annotations": [3]},
    ]
    reader = opened(val, *odd, GOOD)
    assert [boxes(reader, image_id) for image_id in IDS] == [None, None, AT_50]
    assert [kind for kind, _ in reader.remarks] == ["truth_entry"] * 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(val: Path, encoding: str) -> None:
    assert boxes(opened(val, GOOD, encoding=encoding), IDS[2]) == AT_50


def test_a_box_of_several_labels_is_of_each(val: Path) -> None:
    both = region(0, rectanglelabels=["dog", "cat"])
    other = region(50, rectanglelabels=["dog"])
    assert boxes(opened(val, task({"image": "cat/0.jpg"}, both, other)), IDS[0]) == AT_0


def test_tasks_that_say_nothing_of_the_split_are_an_error(val: Path) -> None:
    with pytest.raises(UserError, match=r"found 1 of others \(first: train/cat/0.jpg\)"):
        opened(val, task({"image": "train/cat/0.jpg"}, region(0)))


@pytest.mark.parametrize(
    "data",
    [
        {"image": "/data/local-files/?d=val/cat/0.jpg", "source": "cat/0.jpg"},  # one photograph, named twice
        {"image": "../../label-studio/data/media/upload/1/0a1b2c3d-2.jpg"},
        {"picture": "s3://bucket/set/dog/2.jpg", "text": "a dog", "number": 2},
    ],
)
def test_tags_of_any_name_where_there_is_one_photograph(val: Path, data: dict[str, Any]) -> None:
    reader = opened(val, task(data, region(0, to_name="img")))
    assert boxes(reader, IDS[0] if "source" in data else IDS[2]) == AT_0
    assert reader.remarks == ()
