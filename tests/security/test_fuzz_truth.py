"""Truth of every kind with parts of it wrong: a sentence, or what can still be used."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rfga.data.truth.readers import open_truth
from rfga.engine.building.data_check import CheckCommand, check_data, write_check
from rfga.types import UserError
from tests.security.doors import LONG, answered, deep_folder, fuzz, nothing_outside
from tests.security.mutations import JUNK, damaged, misshapen, places, scribbled

IDS = ("cat/0.jpg", "dog/1.png")
WIDTH, HEIGHT = 60, 40

COCO: dict[str, Any] = {
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "images": [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(IDS)],
    "annotations": [
        {"id": n, "image_id": n, "category_id": n + 1, "bbox": [5, 4.5, 20, 10 + n], "iscrowd": 0}
        for n in range(2)
    ],
}
TASKS: list[Any] = [
    {
        "id": n,
        "data": {"image": f"/data/local-files/?d=val/{name}", "photograph": name},
        "annotations": [
            {
                "was_cancelled": False,
                "updated_at": "2024-05-01T10:00:00Z",
                "result": [
                    {
                        "type": "rectanglelabels",
                        "original_width": WIDTH,
                        "original_height": HEIGHT,
                        "value": {
                            **{"x": 10, "y": 20.5, "width": 30, "height": 40, "rotation": 0},
                            "rectanglelabels": [name.partition("/")[0]],
                        },
                    }
                ],
            }
        ],
    }
    for n, name in enumerate(IDS)
]
VOC = f"""<?xml version="1.0"?><annotation><folder>cat</folder><filename>0.jpg</filename>
<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>5</xmin><ymin>4</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object></annotation>"""
DATA_YAML: dict[str, Any] = {
    **{"train": "train.txt", "val": "val.txt"},
    **{"names": {0: "cat", 1: "dog"}, "renamed": {"cat/0.jpg": "cat/0.jpg"}},
}
LABELS = "0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.5 0.1 0.5 0.9"
LISTS = {
    "image_ids.txt": "\n".join(IDS),
    "class_labels.txt": "\n".join(f"{name},{n}" for n, name in enumerate(IDS)),
    "image_sizes.txt": "\n".join(f"{name},{WIDTH},{HEIGHT}" for name in IDS),
    "localization.txt": "\n".join(f"{name},5,4,30,2{n}" for n, name in enumerate(IDS)),
}


def as_json(value: Any) -> bytes:
    # Numbers of any length are written as digits; lone surrogates as JSON's own escapes.
    return json.dumps(value).encode()


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value).encode("utf-8", "surrogatepass")


def write_photographs(folder: Path) -> None:
    for name in IDS:
        (folder / name).parent.mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read(truth: Path, val: Path) -> None:
    """Everything that the truth says, of every photograph."""
    reader = answered(lambda: open_truth(truth, val, IDS))
    if not isinstance(reader, UserError):
        for image_id in IDS:
            answered(partial(reader.truth, image_id))
        reader.warnings()


def one_of_lists() -> st.SearchStrategy[dict[str, bytes]]:
    def changed(name: str) -> st.SearchStrategy[dict[str, bytes]]:
        texts = scribbled(LISTS[name]).map(str.encode) | damaged(LISTS[name].encode())
        plain = {f"lists/{other}": text.encode() for other, text in LISTS.items()}
        return texts.map(lambda text: {**plain, f"lists/{name}": text})

    return st.sampled_from(sorted(LISTS)).flatmap(changed)


def yolo(described: bytes = as_yaml(DATA_YAML), labels: bytes = LABELS.encode()) -> dict[str, bytes]:
    listed = b"./images/cat/0.jpg\n"
    return {"data.yaml": described, "labels/cat/0.txt": labels, "train.txt": listed, "val.txt": listed}


Files = st.SearchStrategy[dict[str, bytes]]
KINDS: dict[str, tuple[str, Files]] = {
    "coco": (
        "truth.json",
        (misshapen(COCO).map(as_json) | damaged(as_json(COCO))).map(lambda text: {"truth.json": text}),
    ),
    "labelstudio": (
        "truth.json",
        (misshapen(TASKS).map(as_json) | damaged(as_json(TASKS))).map(lambda text: {"truth.json": text}),
    ),
    "voc": ("voc", damaged(VOC.encode()).map(lambda text: {"voc/cat/0.xml": text})),
    "yolo's description": (
        ".",
        (misshapen(DATA_YAML).map(as_yaml) | damaged(as_yaml(DATA_YAML))).map(yolo),
    ),
    "yolo's labels": (
        ".",
        (scribbled(LABELS.replace(" ", ",")).map(lambda text: text.replace(",", " ").encode()))
        .__or__(damaged(LABELS.encode()))
        .map(lambda text: yolo(labels=text)),
    ),
    "lists": ("lists", one_of_lists()),
}
"""Kind of truth -> where it lies, and its files with something wrong."""


def look_at(kind: str, data: st.DataObject) -> None:
    where, files = KINDS[kind]
    with deep_folder() as folder:
        write_photographs(folder / "set" / "val")
        truth = folder / "truth"
        write(truth, data.draw(files))
        with nothing_outside(folder.parents[2], folder / "out"):
            read(truth / where, folder / "set" / "val")
            if data.draw(st.integers(0, 9)) == 0:  # looks at the photographs, too, which takes longer
                found = answered(
                    lambda: check_data(
                        CheckCommand(str(folder / "set"), truth / where, workers=1, quiet=True)
                    )
                )
                if not isinstance(found, UserError):
                    write_check(found, folder / "out" / "check.html")
                    json.dumps(found.as_json())


@pytest.mark.parametrize("kind", KINDS)
@fuzz(12)
@given(data=st.data())
def test_truth_with_something_wrong(kind: str, data: st.DataObject) -> None:
    look_at(kind, data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@fuzz(LONG)
@given(data=st.data())
def test_much_truth_with_something_wrong(kind: str, data: st.DataObject) -> None:
    look_at(kind, data)


VALUES: dict[str, tuple[Any, str, Callable[[bytes], dict[str, bytes]], Callable[[Any], bytes]]] = {
    "coco": (COCO, "truth.json", lambda text: {"truth.json": text}, as_json),
    "labelstudio": (TASKS, "truth.json", lambda text: {"truth.json": text}, as_json),
    "yolo": (DATA_YAML, ".", yolo, as_yaml),
}
"""Kind of truth that is one value -> the value, where it lies, its files, and how it is written."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", VALUES)
def test_every_value_in_every_place(kind: str) -> None:
    whole, where, files, written = VALUES[kind]
    for place in range(len([*places(whole)])):
        for junk in JUNK:
            value = copy.deepcopy(whole)
            holder, key = [*places(value)][place]
            holder[key] = junk
            with deep_folder() as folder:
                write_photographs(folder / "val")
                write(folder, files(written(value)))
                read(folder / where, folder / "val")
