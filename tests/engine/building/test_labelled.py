"""Class folders of links from labels: every class of a photograph, from tables and from COCO."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from rfga.cli import main
from rfga.data.folder import FolderDataset
from rfga.engine.building.labelled import link_photographs
from rfga.types import UserError


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for name in ("a.png", "deep/b.png", "c.png"):
        path = tmp_path / "photographs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20)).save(path)
    return tmp_path / "photographs"


def links(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink()}


WANTED = {"cat/a.png", "dog/a.png", "dog/deep/b.png"}


@pytest.mark.parametrize(
    "text",
    [
        "a.png,cat\na.png,dog\ndeep/b.png,dog\nlost.png,dog\na.png,cat\n",
        "label;image;by\ncat;a.png;me\ndog;a.png;me\n\ndog;deep/b.png;you\ndog;lost.png;you\n",
    ],
    ids=["lines", "columns"],
)
def test_tables(photographs: Path, tmp_path: Path, text: str) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "classes"
    labels.write_text(text)
    assert main(["data", "link", str(labels), str(photographs), "--out", str(out)]) == 0
    assert links(out) == WANTED
    assert all(path.is_file() for path in (out / name for name in WANTED))
    both = FolderDataset(out).several_classes("train")
    assert {path.relative_to(out).as_posix(): classes for path, classes in both.items()} == {
        "cat/a.png": (0, 1),
        "dog/a.png": (0, 1),
    }


def test_categories_without_boxes(photographs: Path, tmp_path: Path) -> None:
    pairs = [(0, 0), (0, 1), (1, 1)]
    content = {
        "images": [{"id": 0, "file_name": "a.png"}, {"id": 1, "file_name": "deep/b.png"}],
        "annotations": [{"id": n, "image_id": i, "category_id": c} for n, (i, c) in enumerate(pairs)],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    linked = link_photographs(tmp_path / "labels.json", photographs, tmp_path / "classes")
    assert links(tmp_path / "classes") == WANTED
    assert (linked.classes, linked.several, linked.missing) == ({"cat": 1, "dog": 2}, 1, ())


@pytest.mark.parametrize("line", ["../a.png,cat", "/a.png,cat", "a.png,..", "a.png,x/y", "a.png,", "a.png"])
def test_what_leads_outside_is_refused(photographs: Path, tmp_path: Path, line: str) -> None:
    (tmp_path / "labels.csv").write_text(f"c.png,cat\n{line}\n")
    with pytest.raises(UserError, match="expected"):
        link_photographs(tmp_path / "labels.csv", photographs, tmp_path / "classes")
    assert not (tmp_path / "classes").exists()


def test_other_files_are_left_alone(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("lost.png,cat\n")
    with pytest.raises(UserError, match="found none of the 1 that it names"):
        link_photographs(tmp_path / "labels.csv", photographs, tmp_path / "classes")
    (tmp_path / "labels.csv").write_text("a.png,cat\n")
    with pytest.raises(UserError, match="in use: choose another --out"):
        link_photographs(tmp_path / "labels.csv", photographs, photographs)
