"""YOLO data sets as truth: layouts that tools write, what lines become, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rfga.data.truth.readers import TruthReader, open_truth
from rfga.types import UserError

WIDTH, HEIGHT = 80, 40
IDS = ["cat/0.jpg", "cat/0.png", "dog/a b,c.jpg", "dog/é.jpg"]


def yolo(root: Path, labels: dict[str, str], **described: Any) -> Path:
    root.mkdir(exist_ok=True)
    held = {"train": "images", "val": "images", "names": {0: "cat", 1: "dog"}} | described
    (root / "data.yaml").write_text(yaml.safe_dump(held), encoding="utf-8")
    for name, text in labels.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def boxes(reader: TruthReader, image_id: str) -> list[list[float]]:
    truth = reader.truth(image_id)
    assert truth is not None
    assert truth.boxes is not None
    assert truth.size_hw == (HEIGHT, WIDTH)
    rows: list[list[float]] = truth.boxes.tolist()
    return rows


def known(reader: TruthReader) -> set[str]:
    return set(IDS) - set(reader.images_without_truth)


def test_fractions_become_pixels_and_outlines_boxes(val: Path, tmp_path: Path) -> None:
    lines = "\ufeff1 0.5 0.25 0.25 0.5\r\n\n1 0.1 0.5 0.2 0.75 0.3 0.25 0.25 0.3\n0 .5 .5 1 1\n"
    labels = {"labels/dog/a b,c.txt": lines, "labels/dog/é.txt": "\n", "labels/dog/gone.txt": ""}
    reader = open_truth(yolo(tmp_path / "yolo", labels), val, IDS)
    assert boxes(reader, IDS[2]) == [
        [30, 0, 50, 20],
        [8, 10, 24, 30],
    ]  # the cat is not this photograph's class
    assert reader.truth(IDS[3]) is None
    assert known(reader) == {IDS[2]}
    assert reader.missing_images == ("dog/gone.txt",)
    assert boxes(open_truth(tmp_path / "yolo" / "data.yaml", val, IDS), IDS[2])


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("labels/dog/é.txt", {IDS[3]}),
        ("labels/val/dog/e\u0301.txt", {IDS[3]}),
        ("val/labels/dog/é.txt", {IDS[3]}),
        ("labels/é.txt", {IDS[3]}),  # the only photograph of that name
        ("labels/cat/0.png.txt", {IDS[1]}),
    ],
)
def test_photographs_are_found(val: Path, tmp_path: Path, file: str, expected: set[str]) -> None:
    line = "0 .5 .5 .5 .5\n1 .5 .5 .5 .5"
    assert known(open_truth(yolo(tmp_path / "yolo", {file: line}), val, IDS)) == expected


def test_a_label_file_of_two_photographs_is_believed_of_neither(val: Path, tmp_path: Path) -> None:
    labels = {"labels/cat/0.txt": "0 .5 .5 .5 .5", "labels/dog/é.txt": "1 .5 .5 .5 .5"}
    reader = open_truth(yolo(tmp_path / "yolo", labels), val, IDS)
    assert known(reader) == {IDS[3]}
    ((kind, said),) = reader.remarks
    assert (kind, "cat/0.txt, which may be cat/0.jpg or cat/0.png" in said) == ("truth_left_out", True)
    (tmp_path / "yolo/labels/cat/0.png.txt").write_text("0 .5 .5 1 1")  # so the other one is of 0.jpg
    reader = open_truth(tmp_path / "yolo", val, IDS)
    assert boxes(reader, IDS[0]) == [[20, 10, 60, 30]]
    assert boxes(reader, IDS[1]) == [[0, 0, 80, 40]]


@pytest.mark.parametrize("prefix", ["./images/", "images/val/", "/home/x/images/", "C:\\images\\"])
def test_lists_tell_photographs_apart_that_share_a_file(val: Path, tmp_path: Path, prefix: str) -> None:
    labels = {"labels/cat/0.txt": "0 .5 .5 .5 .5", "val.txt": f"{prefix}cat/0.png\n"}
    reader = open_truth(yolo(tmp_path / "yolo", labels, val="val.txt"), val, IDS)
    assert known(reader) == {IDS[1]}


def test_renamed_photographs_are_those_they_were(val: Path, tmp_path: Path) -> None:
    labels = {"labels/cat/0.txt": "0 .5 .5 .5 .5", "labels/cat/0.png.txt": "0 .5 .5 1 1"}
    labels["train.txt"] = "./images/cat/0.jpg\n./images/cat/0.png.png\n"
    renamed = {"cat/0.png.png": "cat/0.png"}
    reader = open_truth(yolo(tmp_path / "yolo", labels, train="train.txt", renamed=renamed), val, IDS)
    assert boxes(reader, IDS[0]) == [[20, 10, 60, 30]]
    assert boxes(reader, IDS[1]) == [[0, 0, 80, 40]]


def test_classes_may_stand_in_a_list(val: Path, tmp_path: Path) -> None:
    root = yolo(tmp_path / "yolo", {"labels/é.txt": "1 .5 .5 .5 .5", "classes.txt": "cat\ndog\n"})
    (root / "data.yaml").unlink()
    assert boxes(open_truth(root, val, IDS), IDS[3]) == [[20, 10, 60, 30]]


def test_boxes_over_the_border_are_cut(val: Path, tmp_path: Path) -> None:
    reader = open_truth(yolo(tmp_path / "yolo", {"labels/é.txt": "1 .5 .5 1.1 1.00001"}), val, IDS)
    assert boxes(reader, IDS[3]) == [[0, 0, 80, 40]]
    assert len(reader.warnings()) == 1
    reader = open_truth(yolo(tmp_path / "other", {"labels/é.txt": "1 1.2 .5 .1 .1"}), val, IDS)
    with pytest.raises(UserError, match=r"outside the 80 x 40 pixels of 'dog/é.jpg': correct .*é.txt"):
        reader.truth(IDS[3])


BAD_LINES = [
    ("1 .5 .5 .5", "expected class x y width height, found '1 .5 .5 .5' in line 2 of .*: correct it"),
    ("1 .5 .5 .5 .5 .9", "drop the confidence"),
    ("1 .5 .5 .5 .5 .5 .5 .5", "expected class x y width height"),
    ("1", "expected class x y width height"),
    ("1 a b c d", "expected class x y width height"),
    ("1 nan .5 .5 .5", "expected class x y width height"),
    ("1 .5 .5 inf .5", "expected class x y width height"),
    ("2 .5 .5 .5 .5", "a class out of 0 to 1, found '2'"),
    ("-1 .5 .5 .5 .5", "found '-1'"),
    ("1.5 .5 .5 .5 .5", "found '1.5'"),
    ("dog .5 .5 .5 .5", "found 'dog'"),
    ("1 .5 .5 0 .5", "a box with width and height"),
    ("1 .5 .5 .5 -.5", "a box with width and height"),
    ("1 40 20 30 10", "expected fractions of width and height"),
    ("1 " + "9" * 5000 + " .5 .5 .5", "expected class x y width height"),
]


@pytest.mark.parametrize(("line", "words"), BAD_LINES)
def test_malformed_lines_are_one_sentence(val: Path, tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_truth(yolo(tmp_path / "yolo", {"labels/é.txt": f"\n{line}\n"}), val, IDS)
    assert str(caught.value).startswith("expected ")
    assert "line 2 of" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected keys such as names and train"),
        ("- a\n", "expected keys such as names and train"),
        ("a: [", "expected YAML, found .* unreadable"),
        ("names: !!python/object/apply:os.getcwd []", "expected YAML, found .* unreadable"),
        ("train: images", "expected 'names' as a list, .* found None"),
        ("names: cat", "expected 'names' as a list, .* found 'cat'"),
        ("names: []", "expected 'names' as a list"),
        ("names: {cat: 0}", "expected 'names' as a list"),
        ("names: [cat, dog]\nrenamed: [a]", "expected 'renamed' from names to names"),
        ("names: [cat, dog]\nrenamed: {a: [b]}", "expected 'renamed' from names to names"),
        ("names: [cat, [dog]]", "expected 'names' as a list"),
        (BOMB, "unreadable .its references stand for too many values."),
        (f"{BOMB}names: *k", "unreadable .its references stand for too many values."),
    ],
)
def test_malformed_descriptions_are_one_sentence(val: Path, tmp_path: Path, text: str, words: str) -> None:
    root = yolo(tmp_path / "yolo", {"labels/é.txt": "9 .5 .5 .5 .5"})
    (root / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        open_truth(root, val, IDS)
    assert "\n" not in str(caught.value)


def test_without_label_files(val: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="in labels or val/labels, found neither"):
        open_truth(yolo(tmp_path / "yolo", {}), val, IDS)
    with pytest.raises(
        UserError, match=r"it names 1 images, of which 0 are not there\): mark objects in them"
    ):
        open_truth(yolo(tmp_path / "other", {"labels/é.txt": ""}), val, IDS)
