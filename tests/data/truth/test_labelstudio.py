"""Label Studio's exports as truth: whose annotation counts, which photograph it is of, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rfga.data.truth.readers import TruthReader, open_truth
from rfga.types import UserError

WIDTH, HEIGHT = 80, 40
IDS = ["cat/0.jpg", "cat/0.png", "dog/a b,c.jpg", "dog/é?&+#%20.jpg"]


def rectangle(x: Any, y: Any, width: Any, height: Any, label: str = "thing", **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    sizes = {"original_width": WIDTH, "original_height": HEIGHT}
    return {"id": "r", "type": "rectanglelabels", **sizes, "value": value | more}


def task(image: str, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    held = {"data": {"image": image}, "annotations": [{"result": list(results), "was_cancelled": False}]}
    return held | more


def write(val: Path, tasks: object) -> Path:
    path = val.parent / "labelstudio.json"
    path.write_text(tasks if isinstance(tasks, str) else json.dumps(tasks, indent=2), encoding="utf-8")
    return path


def boxes(reader: TruthReader, image_id: str) -> list[list[float]]:
    truth = reader.truth(image_id)
    assert truth is not None
    assert truth.boxes is not None
    assert truth.size_hw == (HEIGHT, WIDTH)
    rows: list[list[float]] = truth.boxes.tolist()
    return rows


def test_percentages_become_pixels(val: Path) -> None:
    other = {"type": "choices", "value": {"choices": ["good"]}}
    tasks = [
        task("cat/0.jpg", rectangle(25, 50, 12.5, 25), other, rectangle(0, 0, 100, 100)),
        task("cat/0.png"),
        {"data": {"image": "dog/a b,c.jpg"}, "predictions": [{"result": [rectangle(1, 1, 9, 9)]}]},
        task("dog/gone.jpg", rectangle(1, 1, 9, 9)),
    ]
    reader = open_truth(write(val, tasks), val, IDS)
    assert boxes(reader, IDS[0]) == [[20, 20, 30, 30], [0, 0, 80, 40]]
    assert reader.images_without_truth == tuple(IDS[1:])  # found empty; predicted alone; no task
    assert reader.missing_images == ("dog/gone.jpg",)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("/data/local-files/?d=dog/a%20b%2Cc.jpg", IDS[2]),
        ("/data/local-files/?d=photos/val/dog/a%20b%2Cc.jpg", IDS[2]),
        ("http://localhost:8080/data/local-files/?d=val/dog/%C3%A9%3F%26%2B%23%2520.jpg", IDS[3]),
        ("s3://bucket/photos/dog/a b,c.jpg", IDS[2]),
        ("https://host/photos/dog/a%20b,c.jpg?X-Amz=1", IDS[2]),
        ("dog/é?&+#%20.jpg", IDS[3]),
        ("val/dog/e\u0301?&+#%20.jpg", IDS[3]),
        ("/data/upload/3/0a1b2c3d-a%20b,c.jpg", IDS[2]),
        ("/data/upload/3/a%20b,c.jpg", IDS[2]),
        ("/data/upload/3/0a1b2c3d-0.jpg", IDS[0]),
        ("a b,c.jpg", IDS[2]),
        ("/data/upload/3/0a1b2c3d-1.jpg", None),
        ("s3://bucket/bird/a b,c.jpg", None),  # of another folder
    ],
)
def test_photographs_are_found(val: Path, image: str, expected: str | None) -> None:
    tasks = [task(image, rectangle(1, 1, 9, 9)), task("cat/0.png", rectangle(1, 1, 9, 9))]
    reader = open_truth(write(val, tasks), val, IDS)
    found = {"cat/0.png"} | ({expected} if expected else set())
    assert set(IDS) - set(reader.images_without_truth) == found
    assert reader.missing_images == (() if expected else (image,))


def test_photographs_under_another_key(val: Path) -> None:
    held = task("", rectangle(1, 1, 9, 9), data={"text": "a cat", "picture": "cat/0.jpg", "n": 1})
    assert open_truth(write(val, [held]), val, IDS).truth(IDS[0]) is not None


def test_the_latest_annotation_that_counts(val: Path) -> None:
    def annotation(x: int, **more: Any) -> dict[str, Any]:
        return {"result": [rectangle(x, 0, 10, 10)]} | more

    def first_edge(*annotations: dict[str, Any]) -> float:
        held = task("cat/0.jpg", annotations=list(annotations))
        return boxes(open_truth(write(val, [held]), val, IDS), IDS[0])[0][0]

    assert first_edge(annotation(10), annotation(20)) == 16
    early, late = {"updated_at": "2024-05-01T10:00:00Z"}, {"updated_at": "2024-05-02T09:00:00Z"}
    assert first_edge(annotation(10, **late), annotation(20, **early)) == 8
    assert first_edge(annotation(10), annotation(20, was_cancelled=True)) == 8
    assert first_edge(annotation(10, ground_truth=True, **early), annotation(20, **late)) == 8


def test_only_boxes_of_the_photographs_own_class_count(val: Path) -> None:
    tasks = [task("cat/0.jpg", rectangle(50, 0, 50, 50, "dog"), rectangle(0, 0, 50, 50, "cat"))]
    assert boxes(open_truth(write(val, tasks), val, IDS), IDS[0]) == [[0, 0, 40, 20]]


def test_sizes_must_be_those_of_the_photographs(val: Path) -> None:
    turned = rectangle(1, 1, 9, 9) | {"original_width": HEIGHT, "original_height": WIDTH}
    reader = open_truth(write(val, [task("cat/0.jpg", turned)]), val, IDS)
    with pytest.raises(UserError, match=r"80x40, found 40x80 for image 'cat/0.jpg' in task 0 in .*: apply"):
        reader.truth(IDS[0])


def test_predictions_alone_are_no_truth(val: Path) -> None:
    held = {"data": {"image": "cat/0.jpg"}, "annotations": [], "predictions": [{"result": []}]}
    with pytest.raises(UserError, match="predictions are no truth, so submit them in Label Studio") as caught:
        open_truth(write(val, [held]), val, IDS)
    assert "\n" not in str(caught.value)


GOOD = rectangle(1, 1, 9, 9)
BAD: list[tuple[object, str]] = [
    ('[{"data": ', "expected Label Studio's JSON, found .* unreadable"),
    ("[" + '{"a":[' * 50_000, "unreadable"),
    ([{"image_id": 1, "bbox": [1, 1, 5, 5], "score": 0.5}], "expected tasks with 'data'"),
    ([{"image": "cat/0.jpg", "label": [{"x": 1}]}], "not JSON-MIN"),
    ([{}, 3], "expected tasks with 'data'"),
    (
        [{"data": {"text": "x"}, "annotations": [{"result": []}]}],
        "under 'image' of 'data', found none in task 0",
    ),
    ([task("cat/0.jpg", id=77, annotations={"result": []})], "under 'annotations', found none in task 77"),
    ([task("cat/0.jpg", annotations=[{"result": None}])], "under 'result'"),
    ([task("cat/0.jpg", annotations=[{"result": ["x"]}])], "under 'result'"),
    ([task("cat/0.jpg", annotations=["x"])], "under 'annotations'"),
    ([task("cat/0.jpg", GOOD | {"value": None})], "a 'value' in every result"),
    ([task("cat/0.jpg", rectangle("1", 1, 9, 9))], "x, y, width, height in percent"),
    ([task("cat/0.jpg", rectangle(None, 1, 9, 9))], "x, y, width, height in percent"),
    ([task("cat/0.jpg", rectangle(True, 1, 9, 9))], "x, y, width, height in percent"),
    ([task("cat/0.jpg", rectangle(float("nan"), 1, 9, 9))], "x, y, width, height in percent"),
    ([task("cat/0.jpg", rectangle(1, 1, 0, 9))], "positive width and height"),
    ([task("cat/0.jpg", rectangle(1, 1, 9, 9, rotation=12.5))], "turned by 12.5 degrees"),
    ([task("cat/0.jpg", rectangle(1, 1, 9, 9, rectanglelabels=[]))], "a label for every box"),
    ([task("cat/0.jpg", rectangle(1, 1, 9, 9, rectanglelabels=[1]))], "a label for every box"),
    (
        [task("cat/0.jpg", GOOD), task("cat/0.jpg", GOOD)],
        "each image once, found 'cat/0.jpg' in task 0 .* and again in task 1",
    ),
    ([task("cat/0.jpg")], "it names 1 images, of which 0 are not there"),
    ([task("http://[x/0.jpg", GOOD)], "it names 1 images, of which 1 are not there"),
]


@pytest.mark.parametrize(("tasks", "words"), BAD)
def test_malformed_files_are_one_sentence(val: Path, tasks: object, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_truth(write(val, tasks), val, IDS)
    assert str(caught.value).startswith("expected ")
    assert "labelstudio.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + 2 * len(str(val))
