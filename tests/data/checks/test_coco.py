from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rfga.data.checks.findings import Finding
from tests.data.checks.folders_to_check import (
    HEIGHT,
    WIDTH,
    clean_folders,
    good_boxes,
    photograph,
    put,
    truth_found,
    truth_kinds,
    write_coco,
)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return clean_folders(tmp_path / "data", train=1)


def found(folders: Path, boxes: list[tuple[str, object]], **changes: Any) -> list[tuple[str, str]]:
    return truth_kinds(folders, write_coco(folders / "boxes.json", boxes, **changes))


def test_good_boxes_are_no_findings(folders: Path) -> None:
    assert found(folders, good_boxes()) == []


def test_every_wrong_box_is_listed_not_only_the_first(folders: Path) -> None:
    boxes = good_boxes()
    boxes[0] = ("cat/0.jpg", [30, 20, -10, 8])
    boxes[2] = ("cat/2.jpg", [30, 20, 10, 0])
    boxes[3] = ("dog/0.jpg", [WIDTH + 5, 20, 10, 10])
    boxes[4] = ("dog/1.jpg", [1, 2, 3])
    boxes[5] = ("dog/2.jpg", [1, 2, 3, "4"])
    boxes += [("cat/1.jpg", box) for box in (None, [1, 2, 3, float("nan")], [50, 20, 30, 10])]
    assert sorted(found(folders, boxes)) == [
        ("box_degenerate", "val/cat/2.jpg"),
        ("box_inverted", "val/cat/0.jpg"),
        ("box_malformed", "val/cat/1.jpg"),
        ("box_malformed", "val/cat/1.jpg"),
        ("box_malformed", "val/dog/1.jpg"),
        ("box_malformed", "val/dog/2.jpg"),
        ("box_outside", "val/dog/0.jpg"),
        ("box_over_edge", "val/cat/1.jpg"),
        ("without_truth", "val/dog/1.jpg"),
        ("without_truth", "val/dog/2.jpg"),
    ]


def test_edges_where_widths_should_be(folders: Path) -> None:
    boxes = [(name, [30, 20, 60 - n, 44]) for n, (name, _) in enumerate(good_boxes())]
    (one,) = truth_found(folders, write_coco(folders / "boxes.json", boxes))
    assert one.kind == "box_convention"
    assert one.sentence.startswith("expected boxes as [x, y, width, height], found that 6 of 6")
    assert "6 do as [x0, y0, x1, y1]: convert them" in one.sentence
    assert len(one.shots) == 6


def test_a_wrong_size_is_one_mistake(folders: Path) -> None:
    boxes = [*good_boxes(), ("cat/0.jpg", [100, 80, 20, 10])]  # inside, at the size that is stated
    path = write_coco(folders / "boxes.json", boxes)
    content = json.loads(path.read_text())
    content["images"][0] |= {"width": 2 * WIDTH, "height": 2 * HEIGHT}
    content["images"][1] |= {"width": HEIGHT, "height": WIDTH}
    content["images"][2] = {key: content["images"][2][key] for key in ("id", "file_name")}
    path.write_text(json.dumps(content))
    large, turned = truth_found(folders, path)
    assert (large.kind, large.file) == ("truth_size", "val/cat/0.jpg")
    assert "photograph's 64x48 pixels, found 128x96 in boxes.json: use the marked" in large.sentence
    assert "found 48x64 in boxes.json: apply its EXIF orientation" in turned.sentence


def test_the_size_is_that_of_the_upright_photograph(folders: Path) -> None:
    exif = photograph(0).getexif()
    exif[0x0112] = 6
    put(folders / "val" / "cat" / "0.jpg", photograph(77, (HEIGHT, WIDTH)), exif=exif)
    assert found(folders, good_boxes()) == []


def test_photographs_without_truth_and_truth_without_photograph(folders: Path) -> None:
    put(folders / "val" / "cat" / "new.jpg", photograph(99))
    (folders / "val" / "dog" / "0.jpg").unlink()
    assert found(folders, good_boxes()) == [
        ("truth_of_nothing", "dog/0.jpg"),
        ("without_truth", "val/cat/new.jpg"),
    ]


def test_boxes_of_another_class(folders: Path) -> None:
    path = write_coco(folders / "boxes.json", good_boxes())
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 1
    path.write_text(json.dumps(content))
    (one,) = truth_found(folders, path)
    assert (one.kind, one.file) == ("other_class", "val/cat/0.jpg")
    assert "expected a box of cat, found only boxes of dog" in one.sentence


def test_a_file_of_other_photographs_is_one_finding(folders: Path) -> None:
    path = write_coco(folders / "boxes.json", good_boxes())
    path.write_text(path.read_text().replace(".jpg", ".png"))
    (one,) = truth_found(folders, path)
    assert one.kind == "truth_unusable"
    assert "found none, and 6 that are not there (as cat/0.png)" in one.sentence


ENTRIES: dict[str, tuple[str, Any]] = {
    "an id and a file_name": ("images", {"id": 99}),
    "an id and a name": ("categories", {"name": "eel"}),
    "an image_id out of": ("annotations", {"bbox": [1, 2, 3, 4]}),
    "an image_id out of the images": ("annotations", {"image_id": 99, "bbox": [1, 2, 3, 4]}),
    "a category_id out of": ("annotations", {"image_id": 0, "category_id": [], "bbox": [1, 2, 3, 4]}),
}


@pytest.mark.parametrize("said", ENTRIES)
def test_malformed_entries(said: str, folders: Path) -> None:
    path = write_coco(folders / "boxes.json", good_boxes())
    content = json.loads(path.read_text())
    key, entry = ENTRIES[said]
    content[key].append(entry)
    path.write_text(json.dumps(content))
    one: Finding
    (one,) = truth_found(folders, path)
    assert (one.kind, one.file) == ("truth_entry", "boxes.json")
    assert f"expected {said}" in one.sentence
    content[key][-1] = "nothing of the kind"
    path.write_text(json.dumps(content))
    assert [one.kind for one in truth_found(folders, path)] == ["truth_entry"]


@pytest.mark.parametrize("entry", [{"id": 0, "file_name": "cat/9.jpg"}, {"id": 99, "file_name": "cat/0.jpg"}])
def test_of_two_entries_of_one_image_neither_is_believed(entry: dict[str, Any], folders: Path) -> None:
    path = write_coco(folders / "boxes.json", good_boxes())
    content = json.loads(path.read_text())
    content["images"].append(entry)
    path.write_text(json.dumps(content))
    found = truth_found(folders, path)
    assert [one.kind for one in found] == ["truth_entry"] * 3 + ["without_truth"]
    assert "expected each image once" in found[0].sentence
    assert "an image_id out of the images" in found[2].sentence
    assert found[3].file == "val/cat/0.jpg"


def test_outlines_of_groups_are_left_out(folders: Path) -> None:
    path = write_coco(folders / "boxes.json", good_boxes())
    content = json.loads(path.read_text())
    content["annotations"].append({"image_id": 0, "category_id": 0, "iscrowd": 1, "bbox": [900, 0, 9, 9]})
    path.write_text(json.dumps(content))
    (one,) = truth_found(folders, path)
    assert (one.kind, one.severity) == ("truth_left_out", "note")
    assert "found 1 marked iscrowd" in one.sentence


def test_outlines_of_groups_alone_are_why_nothing_is_known(folders: Path) -> None:
    path = write_coco(folders / "boxes.json", good_boxes())
    path.write_text(path.read_text().replace('"bbox"', '"iscrowd": 1, "bbox"'))
    left_out, unusable = truth_found(folders, path)
    assert (left_out.kind, unusable.kind) == ("truth_left_out", "truth_unusable")
    assert "found none: expected boxes of single objects, found 6 marked iscrowd" in unusable.sentence
    assert "set iscrowd to 0" in unusable.sentence


@pytest.mark.parametrize("text", ["{", '{"images": 3, "annotations": []}', '{"images": []}'])
def test_no_coco_at_all(text: str, folders: Path) -> None:
    (folders / "boxes.json").write_text(text)
    assert truth_kinds(folders, folders / "boxes.json") == [("truth_unusable", "boxes.json")]
