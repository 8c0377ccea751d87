"""Files as tools write them: what is valid is read, what is not is left out by name, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rfga.data.truth.readers import TruthReader, open_truth
from rfga.types import UserError

WIDTH, HEIGHT = 80, 40
IDS = ["church/c0.png", "church/c1.png", "tench/c2.jpg", "001/c3.jpg", "no/c4.jpg"]
BOX = [8.0, 4.0, 48.0, 24.0]
XYWH = [8, 4, 40, 20]
LINE = "0.35 0.35 0.5 0.5"


def coco() -> dict[str, Any]:
    return {
        "categories": [{"id": 1, "name": "church"}, {"id": 2, "name": "tench"}],
        "images": [{"id": n, "file_name": IDS[n], "width": WIDTH, "height": HEIGHT} for n in range(3)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1 + (n == 2), "bbox": XYWH, "iscrowd": 0}
            for n in range(3)
        ],
    }


def opened(val: Path, content: Any, encoding: str = "utf-8") -> TruthReader:
    (val.parent / "t.json").write_bytes(json.dumps(content).encode(encoding))
    return open_truth(val.parent / "t.json", val, IDS)


def written(root: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode(encoding))
    return root


def boxes(reader: TruthReader, image_id: str) -> list[list[float]] | None:
    truth = reader.truth(image_id)
    if truth is None:
        return None
    assert truth.size_hw == (HEIGHT, WIDTH)
    assert truth.boxes is not None
    return [[round(edge, 6) for edge in box] for box in truth.boxes.tolist()]


def test_coco_of_masks_alone_is_told_what_is_wrong_with_it(val: Path) -> None:
    content = coco()
    for item in content["annotations"]:
        item |= {"iscrowd": 1, "segmentation": {"counts": [0, 3200], "size": [HEIGHT, WIDTH]}}
    with pytest.raises(UserError, match=r"found 3 marked iscrowd.*set iscrowd to 0") as caught:
        opened(val, content)
    assert "file_name" not in str(caught.value)
    content["annotations"][0]["iscrowd"] = 0
    reader = opened(val, content)
    assert boxes(reader, IDS[0]) == [BOX]
    ((said, sentence),) = reader.remarks
    assert (said, "found 2 marked iscrowd" in sentence) == ("truth_left_out", True)


@pytest.mark.parametrize("crowd", [None, False, "0", 0.0])
def test_other_ways_to_say_that_an_outline_is_of_one_object(val: Path, crowd: object) -> None:
    content = coco()
    content["annotations"][0] |= {"iscrowd": crowd, "segmentation": [[8, 4, 48, 4, 48, 24, 8, 24]]}
    assert boxes(opened(val, content), IDS[0]) == [BOX]


@pytest.mark.parametrize("unknown", [0, None, 0.0, "0"])
def test_coco_of_unknown_sizes(val: Path, unknown: object) -> None:
    content = coco()
    for image in content["images"]:
        image |= {"width": unknown, "height": unknown}
    reader = opened(val, content)
    assert [boxes(reader, image_id) for image_id in IDS[:3]] == [[BOX]] * 3
    assert reader.remarks == ()


@pytest.mark.parametrize("size", [(float(WIDTH), float(HEIGHT)), (str(WIDTH), str(HEIGHT))])
def test_sizes_as_floats_and_texts(val: Path, size: tuple[object, object]) -> None:
    content = coco()
    content["images"][0] |= {"width": size[0], "height": size[1]}
    content["images"][1] |= {"width": size[1], "height": size[0]}
    reader = opened(val, content)
    assert boxes(reader, IDS[0]) == [BOX]
    with pytest.raises(UserError, match="found 40x80"):
        reader.truth(IDS[1])


def test_a_size_that_is_no_number_is_told(val: Path) -> None:
    content = coco()
    content["images"][0]["width"] = "wide"
    reader = opened(val, content)
    assert boxes(reader, IDS[0]) == [BOX]
    assert "as numbers, found 'wide' and 40 in entry 0 of 'images'" in reader.remarks[0][1]


def test_ids_as_floats_and_texts_are_the_same(val: Path) -> None:
    content = coco()
    for number, item in enumerate(content["annotations"]):
        item["image_id"] = (0.0, "1", 2)[number]
        item["category_id"] = (1.0, "1", 2.0)[number]
    reader = opened(val, content)
    assert [boxes(reader, image_id) for image_id in IDS[:3]] == [[BOX]] * 3
    content["images"][1]["id"] = 0.0  # the same as that of the first
    with pytest.raises(UserError, match="expected each image once"):
        opened(val, {**content, "images": content["images"][:2]})


BAD_ENTRIES: list[tuple[dict[str, Any], str]] = [
    ({"bbox": [8, 4, 40, 0]}, "positive width and height, found [8, 4, 40, 0] in entry 0 of 'annotations'"),
    ({"bbox": [8, 4, 40]}, "found [8, 4, 40] in entry 0"),
    ({"bbox": None}, "found None in entry 0"),
    ({"image_id": 99}, "an image_id out of the images in entry 0"),
    ({"image_id": None}, "an image_id out of the images in entry 0"),
    ({"category_id": 7}, "a category_id out of the categories in entry 0"),
]


@pytest.mark.parametrize(("change", "said"), BAD_ENTRIES)
def test_one_bad_entry_costs_itself_alone(val: Path, change: dict[str, Any], said: str) -> None:
    content = coco()
    content["annotations"][0] |= change
    reader = opened(val, content)
    assert [boxes(reader, image_id) for image_id in IDS[:3]] == [None, [BOX], [BOX]]
    ((kind, sentence),) = reader.remarks
    assert (kind, said in sentence) == ("truth_entry", True)


ITEM = "<object><name>church</name><bndbox><xmin>9</xmin><ymin>5</ymin><xmax>48</xmax>{end}</bndbox></object>"
GOOD = ITEM.format(end="<ymax>24</ymax>")
SIZE = "<size><width>{}</width><height>{}</height></size>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"<annotation>{ITEM.format(end='')}{GOOD}</annotation>", "a number as ymax of bndbox, found ''"),
        (
            f"<annotation>{ITEM.format(end='<ymax>2</ymax>')}{GOOD}</annotation>",
            "xmin <= xmax and ymin <= ymax",
        ),
        (f"<annotation><object><name>x</name></object>{GOOD}</annotation>", "a bndbox in every object"),
        (f"<annotation>{SIZE.format('wide', 40)}{GOOD}</annotation>", "numbers as width and height of size"),
    ],
)
def test_one_bad_object_costs_itself_alone(val: Path, text: str, said: str) -> None:
    root = written(
        val.parent / "voc", {"church/c0.xml": text, "church/c1.xml": f"<annotation>{GOOD}</annotation>"}
    )
    reader = open_truth(root, val, IDS)
    assert [boxes(reader, image_id) for image_id in IDS[:2]] == [[BOX], [BOX]]
    ((kind, sentence),) = reader.remarks
    assert (kind, said in sentence) == ("truth_entry", True)


def test_one_broken_file_costs_itself_alone(val: Path) -> None:
    root = written(
        val.parent / "voc", {"church/c0.xml": "<annot", "church/c1.xml": f"<annotation>{GOOD}</annotation>"}
    )
    reader = open_truth(root, val, IDS)
    assert [boxes(reader, image_id) for image_id in IDS[:2]] == [None, [BOX]]
    assert "c0.xml unreadable" in reader.remarks[0][1]
    hard = GOOD.replace("<bndbox>", "<difficult>1</difficult><bndbox>")
    (root / "church/c0.xml").write_text(f"<annotation>{hard}{hard}</annotation>")
    assert "found 2 marked difficult" in open_truth(root, val, IDS).remarks[0][1]


@pytest.mark.parametrize("size", [(0, 0), ("", ""), (WIDTH, HEIGHT), (float(WIDTH), float(HEIGHT))])
def test_sizes_in_voc(val: Path, size: tuple[object, object]) -> None:
    root = written(
        val.parent / "voc", {"church/c0.xml": f"<annotation>{SIZE.format(*size)}{GOOD}</annotation>"}
    )
    assert boxes(open_truth(root, val, IDS), IDS[0]) == [BOX]
    written(root, {"church/c0.xml": f"<annotation>{SIZE.format(640, 480)}{GOOD}</annotation>"})
    with pytest.raises(UserError, match=r"found 640x480 for image 'church/c0\.png'"):
        open_truth(root, val, IDS).truth(IDS[0])


LAYOUTS: dict[str, dict[str, str]] = {
    "Ultralytics": {"data.yaml": "names: [church, tench]", "labels/val/c0.txt": f"0 {LINE}"},
    "Ultralytics, by class": {"data.yaml": "names: [church]", "labels/val/church/c0.txt": f"0 {LINE}"},
    "Roboflow": {"data.yaml": "nc: 1\nnames: ['church']\n", "valid/labels/c0.txt": f"0 {LINE}"},
    "names by number": {"data.yaml": "names:\n  0: church\n  7: tench\n", "labels/c0.txt": f"0 {LINE}"},
    "numbers as texts": {"data.yaml": "names: {'0': church}", "labels/c0.txt": f"0 {LINE}"},
    "Label Studio": {"classes.txt": "church\ntench\n", "labels/0a1b2c3d-c0.txt": f"0 {LINE}"},
    "labelImg": {"classes.txt": "church\n", "c0.txt": f"0 {LINE}\n"},
    "labelImg in labels": {"labels/classes.txt": "church\n", "labels/c0.txt": f"0 {LINE}\n"},
    "CVAT": {
        "obj.names": "church\ntench\n",
        "obj.data": "classes = 2\n",
        "obj_train_data/church/c0.txt": f"0 {LINE}",
        "train.txt": "data/obj_train_data/church/c0.png\n",
    },
    "Windows": {"data.yaml": "names: [church]\r\n", "labels/church/c0.txt": f"0 {LINE}\r\n\r\n"},
    "with a mark of its encoding": {"data.yaml": "\ufeffnames: [church]", "labels/c0.txt": f"\ufeff0 {LINE}"},
    "classes as floats": {"data.yaml": "names: [church]", "labels/c0.txt": f"0.000000 {LINE}"},
    "keypoints": {
        "data.yaml": "names: [church]\nkpt_shape: [3, 2]",
        "labels/c0.txt": f"0 {LINE} 0.1 0.9 0.2 0.9 0.9 0.9",
    },
    "outlines": {"data.yaml": "names: [church]", "labels/c0.txt": "0 .1 .1 .6 .1 .6 .6 .1 .6"},
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_yolo(val: Path, layout: str, encoding: str) -> None:
    root = written(val.parent / "yolo", LAYOUTS[layout], encoding)
    # CVAT has one folder for everything, called train.
    folder = val.rename(val.with_name("photos")) if layout == "CVAT" else val
    reader = open_truth(root, folder, IDS)
    assert boxes(reader, IDS[0]) == [BOX]
    assert reader.missing_images == ()
    assert reader.remarks == ()


def test_labels_of_train_say_nothing_of_val(val: Path) -> None:
    files = {"labels/train/church/c1.txt": f"0 {LINE}", "labels/val/church/c0.txt": f"0 {LINE}"}
    root = written(
        val.parent / "yolo", {"data.yaml": "names: [church]", "train/labels/c1.txt": f"0 {LINE}", **files}
    )
    reader = open_truth(root, val, IDS)
    assert [boxes(reader, image_id) for image_id in IDS[:2]] == [[BOX], None]
    ((kind, sentence),) = reader.remarks
    assert (kind, "found 1 of others (first: train/church/c1.txt)" in sentence) == ("truth_left_out", True)


def test_class_names_that_yaml_takes_for_something_else(val: Path) -> None:
    files = {"labels/001/c3.txt": f"0 {LINE}", "labels/no/c4.txt": f"1 {LINE}\n2 .5 .5 1 1\n"}
    root = written(val.parent / "yolo", {"data.yaml": "names: [001, no, 1e3]", **files})
    reader = open_truth(root, val, IDS)
    assert [boxes(reader, image_id) for image_id in IDS[3:]] == [[BOX], [BOX]]


def test_one_bad_line_costs_itself_alone(val: Path) -> None:
    text = f"0 {LINE}\n0 .5 .5 .5\n9 {LINE}\n0 40 20 30 10\n"
    root = written(val.parent / "yolo", {"data.yaml": "names: [church]", "labels/church/c0.txt": text})
    (root / "labels/church/c1.txt").write_bytes(b"\xff\xfe\x00")
    reader = open_truth(root, val, IDS)
    assert boxes(reader, IDS[0]) == [BOX]
    assert [kind for kind, _ in reader.remarks] == ["truth_entry"] * 4
    assert ["line 2 of" in reader.remarks[0][1], "c1.txt unreadable" in reader.remarks[3][1]] == [True, True]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_of_json_and_xml(val: Path, encoding: str) -> None:
    assert boxes(opened(val, coco(), encoding), IDS[0]) == [BOX]
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?>\r\n<annotation>{GOOD}</annotation>'
    assert boxes(
        open_truth(written(val.parent / "voc", {"church/c0.xml": text}, encoding), val, IDS), IDS[0]
    ) == [BOX]


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_photographs_that_viewers_turn_are_told_where_no_size_is_stated(val: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = (HEIGHT, WIDTH) if orientation == 6 else (WIDTH, HEIGHT)
    Image.new("RGB", stored).save(val / IDS[0], exif=exif)
    content = coco()
    assert opened(val, content).remarks == ()
    for image in content["images"]:
        image |= {"width": 0, "height": 0}
    reader = opened(val, content)
    root = written(val.parent / "yolo", {"data.yaml": "names: [church]", "labels/church/c0.txt": f"0 {LINE}"})
    for each in (reader, open_truth(root, val, IDS)):
        assert boxes(each, IDS[0]) == [BOX]
        assert ["found none for 1 photographs" in said for _, said in each.remarks] == [True] * (
            orientation > 1
        )


def test_text_files_beside_other_truth_are_no_labels(val: Path) -> None:
    easy = GOOD.replace("<bndbox>", "<difficult>False</difficult><bndbox>")
    texts = {
        "classes.txt": "church\n",
        "read me.txt": "hello\n",
        "c0.xml": f"<annotation>{easy}</annotation>",
    }
    reader = open_truth(written(val.parent / "voc", texts), val, IDS)
    assert boxes(reader, IDS[0]) == [BOX]
    with pytest.raises(UserError, match=r"YOLO's labels, put data\.yaml or classes\.txt beside"):
        open_truth(written(val.parent / "labels", {"c0.txt": f"0 {LINE}"}), val, IDS)
