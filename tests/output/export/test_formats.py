from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from rfga.output.export.boxes_csv import CSV_COLUMNS, write_csv
from rfga.output.export.coco import write_coco
from rfga.output.export.formats import FORMATS
from rfga.types import Prediction, UserError

CLASSES = ("tench", "Müller, Köln")
BLANK = np.zeros((224, 224))


def prediction(
    image_id: str, boxes: list[list[float]], label: int = 0, size_hw: tuple[int, int] = (60, 80)
) -> Prediction:
    edges = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(edges))
    return Prediction(image_id, size_hw, label, 0.8, edges, scores, BLANK, 0.21)


FOUND = [
    prediction("tench/a 1.jpg", [[10.5, 5.25, 30.5, 45.25], [0.0, 0.0, 80.0, 60.0]]),
    prediction("Müller, Köln/ü.jpg", [[1.0, 2.0, 3.0, 70.0]], label=1, size_hw=(100, 50)),
    prediction("tench/nothing.jpg", []),
]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_from_a_stream(name: str, tmp_path: Path) -> None:
    module, function = FORMATS[name].split(":")
    path = getattr(import_module(module), function)(iter(FOUND), CLASSES, tmp_path / "new")
    assert path.exists()
    beside = {entry.name for entry in (tmp_path / "new").iterdir()} - {path.name}
    assert beside == ({"labelstudio_config.xml"} if name == "labelstudio" else set())


def test_coco_loads_in_pycocotools_with_the_same_boxes(tmp_path: Path) -> None:
    path = write_coco(iter(FOUND), CLASSES, tmp_path)
    coco = COCO(str(path))
    assert [(c["id"], c["name"]) for c in coco.loadCats(coco.getCatIds())] == [
        (1, "tench"),
        (2, "Müller, Köln"),
    ]
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == [found.image_id for found in FOUND]
    assert [(image["height"], image["width"]) for image in images] == [found.size_hw for found in FOUND]
    for image, found in zip(images, FOUND, strict=True):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (annotation["bbox"] for annotation in annotations)]
        np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), found.boxes, atol=1e-12)
        assert [annotation["score"] for annotation in annotations] == found.scores.tolist()
        assert {annotation["category_id"] for annotation in annotations} <= {found.label + 1}
    first = coco.loadAnns([1])[0]
    assert (first["area"], first["iscrowd"]) == (20.0 * 40.0, 0)


def test_coco_annotations_load_as_results(tmp_path: Path) -> None:
    path = write_coco(iter(FOUND), CLASSES, tmp_path)
    results = COCO(str(path)).loadRes(json.loads(path.read_text())["annotations"])
    assert len(results.getAnnIds()) == 3


def test_coco_of_nothing_is_still_valid(tmp_path: Path) -> None:
    content = json.loads(write_coco([], CLASSES, tmp_path).read_text())
    assert (content["images"], content["annotations"], len(content["categories"])) == ([], [], 2)


def test_coco_of_a_photograph_of_two_classes_is_one_image_with_a_box_of_each(tmp_path: Path) -> None:
    found = [
        prediction("cat/a.jpg", [[1.0, 2.0, 30.0, 40.0]]),
        FOUND[1],
        prediction("dog/a.jpg", [[5.0, 2.0, 50.0, 40.0]], label=1),
        prediction("dog/b.jpg", [[6.0, 2.0, 50.0, 40.0]], label=1),
    ]
    content = json.loads(write_coco(found, CLASSES, tmp_path, {"dog/a.jpg": "cat/a.jpg"}).read_text())
    names = [(image["id"], image["file_name"]) for image in content["images"]]
    assert names == [(1, "cat/a.jpg"), (2, FOUND[1].image_id), (3, "dog/b.jpg")]
    boxes = [(held["id"], held["image_id"], held["category_id"]) for held in content["annotations"]]
    assert boxes == [(1, 1, 1), (2, 2, 2), (3, 1, 2), (4, 3, 2)]


def test_csv_has_a_line_for_each_box(tmp_path: Path) -> None:
    path = write_csv(iter(FOUND), CLASSES, tmp_path)
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert [line["image"] for line in lines] == ["tench/a 1.jpg", "tench/a 1.jpg", "Müller, Köln/ü.jpg"]
    assert lines[2]["class"] == "Müller, Köln"
    assert [float(lines[0][name]) for name in CSV_COLUMNS[2:-1]] == [10.5, 5.25, 30.5, 45.25, 0.9, 0.21]


@pytest.mark.parametrize("write", [write_coco, write_csv])
def test_file_names_may_differ_from_ids_and_need_not_be_unicode(write: object, tmp_path: Path) -> None:
    assert callable(write)
    path = write(FOUND[:1], CLASSES, tmp_path, {"tench/a 1.jpg": "train/tench/\udcff.jpg"})
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    assert "\udcff" in (json.loads(text)["images"][0]["file_name"] if path.suffix == ".json" else text)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (FOUND[0], "twice"),
        (prediction("x", [], label=2), "class index 2"),
        (prediction("x", [[5.0, 5.0, 5.0, 9.0]]), "empty box"),
        (prediction("x", [[0.0, 0.0, 61.0, 79.0]]), "outside 80x60"),  # would fit only with its axes swapped
        (prediction("x", [[-1.0, 0.0, 6.0, 9.0]]), "outside"),
        (prediction("x", [[0.0, 0.0, np.nan, 9.0]]), "not finite"),
        (Prediction("x", (60, 80), 0, 1.0, np.ones((1, 4)), np.ones(2), BLANK, 0.2), "scores of shape"),
    ],
)
@pytest.mark.parametrize("write", [write_coco, write_csv])
def test_unsound_prediction_is_told_and_leaves_the_old_file(
    write: object, bad: Prediction, problem: str, tmp_path: Path
) -> None:
    assert callable(write)
    path = write(FOUND[:2], CLASSES, tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=problem):
        write([*FOUND, bad], CLASSES, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_edge_moved_out_by_rounding_is_accepted(tmp_path: Path) -> None:
    path = write_coco([prediction("x", [[0.0, 0.0, 80.0 + 1e-12, 60.0]])], CLASSES, tmp_path)
    (annotation,) = json.loads(path.read_text())["annotations"]
    assert annotation["bbox"] == pytest.approx([0, 0, 80, 60])


@pytest.mark.parametrize("name", FORMATS)
def test_memory_does_not_grow_with_the_maps_of_the_stream(name: str, tmp_path: Path) -> None:
    module, function = FORMATS[name].split(":")
    write = getattr(import_module(module), function)

    def stream() -> Iterator[Prediction]:
        for index in range(200):
            found = prediction(f"{index}.jpg", [[1.0, 2.0, 30.0, 40.0]])
            yield Prediction(found.image_id, (60, 80), 0, 1.0, found.boxes, found.scores, BLANK + index, 0.2)

    write([], CLASSES, tmp_path)  # what is imported once
    tracemalloc.start()
    write(stream(), CLASSES, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * BLANK.nbytes


def test_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another output folder"):
        write_coco(FOUND, CLASSES, tmp_path / "file")
