"""COCO files as truth: what their boxes become, and each way to be malformed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ImageOps import exif_transpose

from rfga.data.images import read_image
from rfga.data.truth.readers import open_truth
from rfga.types import UserError

WIDTH, HEIGHT = 60, 40
IDS = ["cat/0.jpg", "dog/a b,c.jpg", "dog/é.jpg"]


def coco(names: list[str], boxes: Sequence[tuple[int, object, int]], **extra: Any) -> dict[str, Any]:
    """A COCO file's content; a box is (position of its image, bbox, category)."""
    return {
        "images": [{"id": 10 + k, "file_name": name} for k, name in enumerate(names)],
        "annotations": [
            {"id": k, "image_id": 10 + i, "bbox": b, "category_id": c} for k, (i, b, c) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    } | extra


def write(val: Path, content: object) -> Path:
    path = val.parent / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def boxes_of(path: Path, val: Path, image_id: str) -> list[list[float]]:
    truth = open_truth(path, val, IDS).truth(image_id)
    assert truth is not None
    assert truth.boxes is not None
    assert (truth.size_hw, truth.boxes.dtype.name) == ((HEIGHT, WIDTH), "float64")
    rows: list[list[float]] = truth.boxes.tolist()
    return rows


def test_boxes_become_edges_several_an_image(val: Path) -> None:
    path = write(val, coco(IDS, [(0, [1, 2, 10, 20.5], 1), (1, [0, 0, 60, 40], 2), (0, [5, 6, 1, 1], 1)]))
    reader = open_truth(path, val, IDS)
    assert boxes_of(path, val, IDS[0]) == [[1, 2, 11, 22.5], [5, 6, 6, 7]]
    assert boxes_of(path, val, IDS[1]) == [[0, 0, 60, 40]]
    assert reader.truth(IDS[2]) is None
    assert reader.images_without_truth == (IDS[2],)
    assert reader.missing_images == ()
    assert reader.warnings() == []


def test_images_that_are_not_there_are_listed(val: Path) -> None:
    names = ["cat/gone.jpg", IDS[0]]
    reader = open_truth(write(val, coco(names, [(0, [1, 1, 5, 5], 1), (1, [1, 1, 5, 5], 1)])), val, IDS)
    assert reader.missing_images == ("cat/gone.jpg",)
    assert reader.images_without_truth == tuple(IDS[1:])
    assert reader.truth("cat/gone.jpg") is None


@pytest.mark.parametrize("name", ["dog/e\u0301.jpg", "dog\\\u00e9.jpg", "./dog/\u00e9.jpg"])
def test_other_spellings_of_a_name_are_understood(val: Path, name: str) -> None:
    assert boxes_of(write(val, coco([name], [(0, [1, 1, 5, 5], 2)])), val, "dog/\u00e9.jpg") == [[1, 1, 6, 6]]


def test_only_boxes_of_the_images_own_class_count(val: Path) -> None:
    boxes = [(0, [1, 1, 5, 5], 2), (0, [2, 2, 5, 5], 1), (1, [3, 3, 5, 5], 1)]
    reader = open_truth(write(val, coco(IDS, boxes)), val, IDS)
    assert boxes_of(write(val, coco(IDS, boxes)), val, IDS[0]) == [[2, 2, 7, 7]]
    assert reader.truth(IDS[1]) is None  # a cat in a photograph of class dog
    assert IDS[1] in reader.images_without_truth
    others = [{"id": 1, "name": "object"}, {"id": 2, "name": "thing"}]
    path = write(val, coco(IDS, boxes, categories=others))
    assert len(boxes_of(path, val, IDS[0])) == 2  # names of another kind: every box counts


def test_crowds_do_not_count_and_categories_may_be_left_out(val: Path) -> None:
    content = coco(IDS, [(0, [1, 1, 5, 5], 1), (0, [0, 0, 50, 30], 1)])
    content["annotations"][1] |= {"iscrowd": 1}
    assert boxes_of(write(val, "\ufeff" + json.dumps(content)), val, IDS[0]) == [[1, 1, 6, 6]]  # with a BOM
    del content["categories"], content["annotations"][0]["category_id"]
    assert boxes_of(write(val, content), val, IDS[0]) == [[1, 1, 6, 6]]


def test_boxes_over_the_border_are_cut_and_reported(val: Path) -> None:
    boxes = [(0, [-1, -0.5, 62, 41], 1), (1, [50, 30, 12, 10], 2), (2, [-9, 5, 20, 10], 2)]
    reader = open_truth(write(val, coco(IDS, boxes)), val, IDS)
    found = [reader.truth(image_id) for image_id in IDS]
    cut = [truth.boxes.tolist()[0] for truth in found if truth is not None and truth.boxes is not None]
    assert cut == [[0, 0, 60, 40], [50, 30, 60, 40], [0, 5, 11, 15]]
    assert len(reader.warnings()) == 2  # one pixel over is nothing to talk about
    assert all(image_id in said for image_id, said in zip(IDS[1:], reader.warnings(), strict=True))
    assert "60 x 40" in reader.warnings()[0]
    reader.truth(IDS[1])
    assert len(reader.warnings()) == 2


@pytest.mark.parametrize("box", [[60, 0, 5, 5], [0, 40, 5, 5], [-5, 0, 5, 5], [0, -7, 5, 5], [45, 50, 5, 5]])
def test_boxes_outside_are_an_error_that_names_file_and_box(val: Path, box: list[float]) -> None:
    reader = open_truth(write(val, coco(IDS, [(1, [1, 1, 5, 5], 2), (1, box, 2)])), val, IDS)
    with pytest.raises(UserError, match=r"outside the 60 x 40 pixels of 'dog/a b,c.jpg': correct") as caught:
        reader.truth(IDS[1])
    assert str([float(box[0]), float(box[1]), float(box[0] + 5), float(box[1] + 5)]) in str(caught.value)


def test_stated_sizes_must_be_those_of_the_photographs(val: Path) -> None:
    content = coco(IDS, [(k, [1, 1, 5, 5], 1 + (k > 0)) for k in range(3)])
    for image, (width, height) in zip(content["images"], [(60, 40), (40, 60), (120, 80)], strict=True):
        image |= {"width": width, "height": height}
    reader = open_truth(write(val, content), val, IDS)
    assert reader.truth(IDS[0]) is not None
    with pytest.raises(
        UserError, match=r"60x40, found 40x60 for .*dog/a b,c.jpg.*: apply its EXIF orientation"
    ):
        reader.truth(IDS[1])
    with pytest.raises(UserError, match=r"60x40, found 120x80 for .*: use the marked photograph"):
        reader.truth(IDS[2])


def test_boxes_fit_photographs_as_a_viewer_turns_them(val: Path) -> None:
    drawn = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    drawn[4:12, 30:56] = 255
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = val / f"cat/{orientation}.png"
        Image.fromarray(drawn).save(path, exif=exif)
        with Image.open(path) as file:
            seen = np.asarray(exif_transpose(file))[..., 0] > 0
        (y0, *_, y1), (x0, *_, x1) = (np.flatnonzero(seen.any(axis=axis)).tolist() for axis in (1, 0))
        content = coco([f"cat/{orientation}.png"], [(0, [x0, y0, x1 + 1 - x0, y1 + 1 - y0], 1)])
        content["images"][0] |= {"width": seen.shape[1], "height": seen.shape[0]}
        truth = open_truth(write(val, content), val, [f"cat/{orientation}.png"]).truth(
            f"cat/{orientation}.png"
        )
        assert truth is not None
        assert truth.boxes is not None
        left, top, right, bottom = truth.boxes[0].astype(int).tolist()
        pixels = np.asarray(read_image(path))
        assert pixels[top:bottom, left:right].min() == 255
        assert pixels.sum() == 26 * 8 * 3 * 255
        assert truth.size_hw == pixels.shape[:2]


GOOD: dict[str, Any] = coco(["cat/0.jpg"], [(0, [1, 1, 5, 5], 1)])
BAD_JSON: list[tuple[object, str]] = [
    ("", "unreadable"),
    ("{'images': []}", "unreadable"),
    ('{"images": [', "unreadable"),
    ("[" * 100_000, "unreadable"),
    ([], "found a list"),
    ({}, "list of objects under 'images'"),
    (GOOD | {"images": {}}, "list of objects under 'images'"),
    (GOOD | {"annotations": None}, "list of objects under 'annotations'"),
    (GOOD | {"categories": "cat"}, "list of objects under 'categories'"),
    (GOOD | {"categories": [{"id": 1}]}, "expected an id and a name in entry 0 of 'categories'"),
    (GOOD | {"images": [{"id": 10}]}, "expected an id and a file_name in entry 0 of 'images'"),
    (GOOD | {"images": [{"id": None, "file_name": "a"}]}, "expected an id and a file_name in entry 0"),
    (GOOD | {"images": [{"id": [], "file_name": "a"}]}, "expected an id and a file_name in entry 0"),
    (GOOD | {"images": GOOD["images"] * 2}, "expected each image once"),
    (GOOD | {"annotations": [{"bbox": [1, 1, 5, 5]}]}, "expected an image_id out of the images"),
    (
        GOOD | {"annotations": [{"image_id": 99, "bbox": [1, 1, 5, 5]}]},
        "an image_id out of the images in entry 0",
    ),
    (
        GOOD | {"annotations": [{"image_id": 10, "bbox": [1, 1, 5, 5]}]},
        "expected a category_id out of the categories",
    ),
    (coco(["cat/0.jpg"], [(0, [1, 1, 5, 5], 7)]), "a category_id out of the categories in entry 0"),
    (
        GOOD | {"annotations": [{"image_id": 10, "category_id": 1}]},
        r"expected bbox as \[x, y, width, height\] .* found None in entry 0",
    ),
    (GOOD | {"annotations": []}, r"found none in .*, of which 0 are not there\): mark objects in them"),
    (coco(["cat/1.jpg"], [(0, [1, 1, 5, 5], 1)]), "1 images, of which 1 are not there, as 'cat/1.jpg'"),
    (coco(["train/cat/0.jpg"], [(0, [1, 1, 5, 5], 1)]), "photographs of this split, found 1 of others"),
]


@pytest.mark.parametrize(("content", "words"), BAD_JSON)
def test_malformed_json_is_one_sentence(val: Path, content: object, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_truth(write(val, content), val, IDS)
    assert str(caught.value).startswith("expected ")
    assert "boxes.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(val))


BAD_BOXES = json.loads(
    """[[1, 1, 5], [1, 1, 5, 5, 5], [], [1, 1, 0, 5], [1, 1, 5, -5], ["1", 1, 5, 5], [null, 1, 5, 5],
    [true, 1, 5, 5], [NaN, 1, 5, 5], [1, 1, Infinity, 5], [1e308, 1, 1e308, 5], [1e17, 1, 1, 5],
    [[1, 1, 5, 5]]]"""
)


@pytest.mark.parametrize("bbox", [*BAD_BOXES, [1, 1, 10**400, 5], list(range(10_000))])
def test_boxes_that_are_none(val: Path, bbox: list[Any]) -> None:
    with pytest.raises(
        UserError, match=r"expected bbox as \[x, y, width, height\].*entry 0 of 'annotations'"
    ) as caught:
        open_truth(write(val, coco(IDS, [(0, bbox, 1)])), val, IDS)
    assert len(str(caught.value)) < 300 + len(str(val))
