"""One rule for names of photographs, whatever kind of truth has them; two claims end in no wrong box."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data.truth.naming import PhotographNames
from rfga.data.truth.readers import TruthReader, open_truth
from tests.made_benchmarks import write_lists

WIDTH, HEIGHT = 80, 40
BOX = [8.0, 4.0, 48.0, 24.0]  # edges in pixels
IDS = ["church/c0.png", "church/c 1.jpg", "tench/c2.jpg", "Mu\u0308nster/d.jpg"]


def write_coco(folder: Path, named: list[tuple[str, str]]) -> Path:
    classes = sorted({name for _, name in named})
    x0, y0, x1, y1 = BOX
    content = {
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes)],
        "images": [{"id": n, "file_name": name} for n, (name, _) in enumerate(named)],
        "annotations": [
            {"image_id": n, "category_id": classes.index(name), "bbox": [x0, y0, x1 - x0, y1 - y0]}
            for n, (_, name) in enumerate(named)
        ],
    }
    (folder / "t.json").write_text(json.dumps(content))
    return folder / "t.json"


def write_tasks(folder: Path, named: list[tuple[str, str]]) -> Path:
    x0, y0, x1, y1 = BOX
    value = {"x": 10, "y": 10, "width": 100 * (x1 - x0) / WIDTH, "height": 100 * (y1 - y0) / HEIGHT}
    tasks = [
        {
            "data": {"image": image},
            "annotations": [
                {"result": [{"type": "rectanglelabels", "value": {**value, "rectanglelabels": [name]}}]}
            ],
        }
        for image, name in named
    ]
    (folder / "t.json").write_text(json.dumps(tasks))
    return folder / "t.json"


def write_listed(folder: Path, named: list[tuple[str, str]]) -> Path:
    return write_lists(
        folder / "lists",
        image_sizes=[(name, WIDTH, HEIGHT) for name, _ in named],
        localization=[(name, *map(int, BOX)) for name, _ in named],
    )


def voc_text(class_name: str, filename: str = "", folder: str = "", path: str = "") -> str:
    corners = "<xmin>9</xmin><ymin>5</ymin><xmax>48</xmax><ymax>24</ymax>"
    tags = f"<filename>{filename}</filename><folder>{folder}</folder><path>{path}</path>"
    item = f"<object><name>{class_name}</name><bndbox>{corners}</bndbox></object>"
    return f"<annotation>{tags}{item}</annotation>"


def write_voc(folder: Path, named: list[tuple[str, str]]) -> Path:
    for name, class_name in named:
        (folder / "voc" / f"{name}.xml").parent.mkdir(parents=True, exist_ok=True)
        (folder / "voc" / f"{name}.xml").write_text(voc_text(class_name), encoding="utf-8")
    return folder / "voc"


def write_yolo(folder: Path, named: list[tuple[str, str]]) -> Path:
    classes = sorted({name for _, name in named})
    (folder / "yolo").mkdir()
    (folder / "yolo" / "data.yaml").write_text(json.dumps({"names": classes}))
    for name, class_name in named:
        path = folder / "yolo" / "labels" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{classes.index(class_name)} 0.35 0.35 0.5 0.5\n")
    return folder / "yolo"


def write_masks(folder: Path, named: list[tuple[str, str]]) -> Path:
    x0, y0, x1, y1 = map(int, BOX)
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[y0:y1, x0:x1] = 255
    for name, _ in named:
        (folder / "masks" / f"{name}.png").parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "masks" / f"{name}.png")
    return folder / "masks"


KINDS: dict[str, Callable[[Path, list[tuple[str, str]]], Path]] = {
    "coco": write_coco,
    "labelstudio": write_tasks,
    "lists": write_listed,
    "voc": write_voc,
    "yolo": write_yolo,
    "masks": write_masks,
}
BESIDE = ("voc", "yolo", "masks")  # a file a photograph, which has the photograph's ending or has not


def boxes(reader: TruthReader, image_id: str) -> list[list[float]] | None:
    truth = reader.truth(image_id)
    if truth is None:
        return None
    assert truth.size_hw == (HEIGHT, WIDTH)
    if truth.mask is not None:
        ys, xs = np.nonzero(truth.mask)
        return [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]
    assert truth.boxes is not None
    return [[round(edge, 6) for edge in box] for box in truth.boxes.tolist()]


OK = ("tench/c2.jpg", "tench")  # so that there is truth at all


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [
        "church/c0.png",
        "val/church/c0.png",
        "valid/church/c0.png",
        "images/val/church/c0.png",
        "c0.png",  # the only one of that name
        "val/c0.png",
        "images/c0.png",
        "data/upload/7/0a1b2c3d-c0.png",
    ],
)
def test_names_that_every_reader_knows(val: Path, kind: str, name: str) -> None:
    reader = open_truth(KINDS[kind](val.parent, [(name, "church"), OK]), val, IDS)
    assert boxes(reader, IDS[0]) == [BOX]
    assert reader.missing_images == ()
    assert reader.remarks == ()


@pytest.mark.parametrize("kind", ["coco", "labelstudio", "lists"])
@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("./church/c0.png", 0),
        ("church\\c0.png", 0),
        ("C:\\photos\\val\\church\\c0.png", 0),
        ("/home/x/church/val/church/c0.png", 0),
        ("../val/church/c0.png", 0),
        ("church/c%201.jpg", 1),
        ("https://host/photos/val/church/c%201.jpg?key=7", 1),
        ("file:///home/x/church/c%201.jpg", 1),
        ("M\u00fcnster/d.jpg", 3),
    ],
)
def test_paths_and_addresses(val: Path, kind: str, name: str, of: int) -> None:
    named = [(name, IDS[of].partition("/")[0]), OK]
    assert boxes(open_truth(KINDS[kind](val.parent, named), val, IDS), IDS[of]) == [BOX]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("train/church/c0.png", "found 1 of others"),
        ("data/train/c0.png", "found 1 of others"),
        ("bird/c0.png", None),  # of another folder
        ("church/c2.jpg", None),  # tench's
        ("church/tench/c2.jpg", None),  # a folder in a class folder, which is not there
        ("church/c9.png", None),
    ],
)
def test_names_of_other_photographs_give_no_box(val: Path, kind: str, name: str, reason: str | None) -> None:
    good = ("church/c 1.jpg", "church")
    reader = open_truth(KINDS[kind](val.parent, [(name, "church"), good]), val, IDS)
    assert [boxes(reader, image_id) is not None for image_id in IDS] == [False, True, False, False]
    if reason:
        assert [reason in sentence for _, sentence in reader.remarks] == [True]
    assert len(reader.missing_images) == (not reason)


@pytest.mark.parametrize("kind", KINDS)
def test_the_case_of_a_name_is_forgiven_and_told(val: Path, kind: str) -> None:
    reader = open_truth(KINDS[kind](val.parent, [("church/C0.PNG", "church"), OK]), val, IDS)
    assert boxes(reader, IDS[0]) == [BOX]
    ((said, sentence),) = reader.remarks
    assert said == "truth_spelling"
    assert "found 1 that differ in upper and lower case alone (first: church/C0.PNG" in sentence


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lists"])
def test_a_name_that_two_photographs_have_is_of_neither(val: Path, kind: str) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(val / "tench/c0.png")
    reader = open_truth(KINDS[kind](val.parent, [("c0.png", "church"), OK]), val, [*IDS, "tench/c0.png"])
    assert set(reader.images_without_truth) == {*IDS, "tench/c0.png"} - {"tench/c2.jpg"}
    ((said, sentence),) = reader.remarks
    assert (said, "which may be church/c0.png or tench/c0.png" in sentence) == ("truth_left_out", True)


@pytest.mark.parametrize("kind", BESIDE)
def test_one_file_of_two_photographs_that_differ_in_their_ending(val: Path, kind: str) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(val / "church/c0.jpg")
    reader = open_truth(KINDS[kind](val.parent, [("church/c0", "church"), OK]), val, [*IDS, "church/c0.jpg"])
    assert {"church/c0.jpg", "church/c0.png"} <= set(reader.images_without_truth)
    assert [said for said, _ in reader.remarks] == ["truth_left_out"]


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_entries_of_one_photograph_neither_is_believed(val: Path, kind: str) -> None:
    named = [("church/c0.png", "church"), ("val/church/c0.png", "church"), OK]
    reader = open_truth(KINDS[kind](val.parent, named), val, IDS)
    assert reader.truth(IDS[0]) is None
    assert boxes(reader, IDS[2]) == [BOX]
    ((said, sentence),) = reader.remarks
    assert said == "truth_entry"
    assert sentence.startswith("expected each image once, found 'church/c0.png' in ")


@pytest.mark.parametrize("name", ["a/u\u0308.jpg", "a/\u00fc.jpg", "val/a/\u00fc.jpg"])
def test_names_that_differ_in_how_letters_are_composed_are_not_told_apart(name: str) -> None:
    """Which of both a file means depends on the system that wrote it."""
    assert len(PhotographNames(["a/u\u0308.jpg", "a/\u00fc.jpg"], "val").find(name)) == 2


def test_a_name_that_no_file_can_have_is_of_no_photograph() -> None:
    names = PhotographNames(IDS, "val")
    assert names.find("a/" * 1000 + IDS[0]) == [IDS[0]]
    assert names.find("a/" * 500_000 + IDS[0]) == names.find_beside("a/" * 500_000 + "church/c0") == []


def test_class_folders_called_like_splits_and_like_folders_of_tools() -> None:
    names = PhotographNames(["train/0.jpg", "images/1.jpg", "church/2.jpg"], "val")
    assert names.find("val/train/0.jpg") == names.find("train/0.jpg") == ["train/0.jpg"]
    assert names.find("images/2.jpg") == []  # a photograph of the class, which is not there
    assert names.find("photos/2.jpg") == ["church/2.jpg"]
    assert names.find("train/church/2.jpg") == []


@pytest.mark.parametrize("kind", ["coco", "labelstudio", "voc", "yolo"])
@pytest.mark.parametrize("spelled", ["M\u00fcnster", "Mu\u0308nster"])
def test_classes_are_compared_in_one_spelling(val: Path, kind: str, spelled: str) -> None:
    named = [("Mu\u0308nster/d.jpg", spelled), ("church/c0.png", "tench"), OK]
    reader = open_truth(KINDS[kind](val.parent, named), val, IDS)
    assert boxes(reader, IDS[3]) == [BOX]
    # church is no class of the boxes, so that all boxes of its photographs count, which is told.
    ((said, sentence),) = reader.remarks
    assert said == "truth_claims"
    assert "found 1 photographs whose class no box may have (first: 'church' of church/c0.png)" in sentence


@pytest.mark.parametrize("kind", ["coco", "labelstudio", "voc", "yolo"])
def test_a_class_in_another_case_is_taken_and_told(val: Path, kind: str) -> None:
    named = [("church/c0.png", "Church"), ("church/c 1.jpg", "tench"), OK]
    reader = open_truth(KINDS[kind](val.parent, named), val, IDS)
    assert boxes(reader, IDS[0]) == [BOX]
    assert reader.truth(IDS[1]) is None
    assert {said for said, _ in reader.remarks} == {"truth_spelling", "other_class"}
    assert any("'Church' for 'church'" in sentence for _, sentence in reader.remarks)


def test_stale_file_names_in_voc_lose_against_the_files_place(val: Path) -> None:
    """Photographs and XML were renamed together and the tags were left: those of 8 of 8 name others."""
    ids = [f"church/c{n}.png" for n in range(8)]
    for n, image_id in enumerate(ids):
        Image.new("RGB", (WIDTH, HEIGHT)).save(val / image_id)
        path = val.parent / "voc" / f"church/c{n}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        stale = voc_text("church", filename=f"c{(n + 3) % 8}.png", folder="church")
        path.write_text(stale.replace("<xmin>9", f"<xmin>{n + 1}"))
    reader = open_truth(val.parent / "voc", val, ids)
    assert [boxes(reader, image_id) for image_id in ids] == [[[n, *BOX[1:]]] for n in range(8)]
    ((said, sentence),) = reader.remarks
    assert said == "truth_claims"
    assert (
        "found 8 files that name another one there (first: church/c0.xml, which names church/c3.png)"
        in sentence
    )


@pytest.mark.parametrize(
    ("file", "tags", "expected"),
    [
        ("c0.xml", {"filename": "c 1.jpg"}, [IDS[0]]),  # all in one folder; the place counts, too
        ("x.xml", {"filename": "c0"}, [IDS[0]]),
        ("Annotations/x.xml", {"filename": "church/c0.png"}, [IDS[0]]),
        ("Annotations/church/c0.xml", {"filename": "c0.png", "folder": "images"}, [IDS[0]]),
        ("c0.xml", {"filename": "c0.png", "folder": "VOC2012"}, [IDS[0]]),
        ("c0.xml", {"filename": "c0.png", "folder": "tench"}, []),  # church has that name alone
        ("c0.xml", {"filename": "c0.png", "path": "/home/x/tench/c0.png"}, []),
        ("c0.xml", {"filename": "c0.png", "path": "C:\\x\\church\\c0.png"}, [IDS[0]]),
        ("c0.xml", {"filename": "c0.png", "path": "/home/x/train/church/c0.png"}, []),
        ("train/church/c0.xml", {"filename": "c0.png", "folder": "church"}, []),
        ("c2.xml", {"filename": "c2.jpg", "folder": "tench"}, [IDS[2]]),
    ],
)
def test_what_voc_files_claim(val: Path, file: str, tags: dict[str, str], expected: list[str]) -> None:
    path = val.parent / "voc" / file
    path.parent.mkdir(parents=True)
    path.write_text(voc_text("thing", **tags))
    (val.parent / "voc" / "church").mkdir(exist_ok=True)
    (val.parent / "voc" / "church" / "c 1.xml").write_text(voc_text("thing"))
    reader = open_truth(val.parent / "voc", val, IDS)
    known = [image_id for image_id in IDS if image_id not in reader.images_without_truth]
    assert known == sorted({*expected, IDS[1]}, key=IDS.index)


def test_equal_stems_in_folders_nested_by_class(val: Path) -> None:
    """Each class numbers its photographs anew, as most collections do."""
    ids = ["church/0.png", "tench/0.png", "tench/sea/0.png"]
    for number, image_id in enumerate(ids):
        (val / image_id).parent.mkdir(exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(val / image_id)
        path = (val.parent / "voc" / "Annotations" / image_id).with_suffix(".xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        text = voc_text(image_id.partition("/")[0], filename="0.png")
        path.write_text(text.replace("<xmin>9", f"<xmin>{number + 1}"))
    reader = open_truth(val.parent / "voc", val, ids)
    assert [boxes(reader, image_id) for image_id in ids] == [[[n, *BOX[1:]]] for n in range(3)]
    assert reader.remarks == ()
