"""Localizing in folders as people have them: what becomes of each photograph, and what is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.journal import Summary
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.files import claimed, held_in, is_output
from rfga.output.export.formats import FORMATS
from rfga.types import UserError
from tests.engine import tiny

LONG = "ü" * 125 + "a.png"  # 255 bytes


@pytest.fixture(scope="module")
def localizer(tiny_run: Path) -> Localizer:
    return Localizer.load(tiny_run, device="cpu")


@pytest.fixture
def photos(birds: Path, tmp_path: Path) -> Path:
    """Two photographs of each class in folders without splits, and one beside them."""
    for folder in sorted((birds / "val").iterdir()):
        for name in sorted(path.name for path in folder.iterdir())[:2]:
            (tmp_path / "photos" / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, tmp_path / "photos" / folder.name / name)
    shutil.copy(folder / name, tmp_path / "photos" / "cover.png")
    return tmp_path / "photos"


def done(localizer: Localizer, given: Path, out: Path, **options: Any) -> Summary:
    photographs = find_photographs([given], localizer.classes, outputs=out)
    return localize(localizer, photographs, out, LocalizeOptions(**options), runtime=tiny.QUIET)


def boxes(out: Path) -> dict[str, tuple[str, list[float]]]:
    held = json.loads((out / "coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in held["images"]}
    classes = {category["id"]: category["name"] for category in held["categories"]}
    return {names[a["image_id"]]: (classes[a["category_id"]], a["bbox"]) for a in held["annotations"]}


def test_each_photograph_has_the_class_of_its_folder_else_the_most_probable(
    localizer: Localizer, photos: Path, tmp_path: Path
) -> None:
    summary = done(localizer, photos, tmp_path / "out")
    in_folders = 2 * len(localizer.classes)
    assert summary.inputs == in_folders + 1
    assert summary.class_from == {"folder": in_folders, "predicted": 1}
    found = boxes(tmp_path / "out")
    loose = found.pop("cover.png")
    assert {name: name.partition("/")[0] for name in found} == {name: of for name, (of, _) in found.items()}
    alone = localizer(photos / "cover.png")
    assert loose[0] == alone.label
    x0, y0, x1, y1 = alone.box
    assert loose[1] == pytest.approx([x0, y0, x1 - x0, y1 - y0])
    held = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert held["class_from"] == summary.class_from


def test_a_name_that_leaves_no_room_costs_no_box(localizer: Localizer, photos: Path, tmp_path: Path) -> None:
    folder = photos / localizer.classes[0]
    name = f"{folder.name}/{LONG}"
    next(folder.iterdir()).rename(folder / LONG)
    out = tmp_path / "out"
    summary = done(localizer, photos, out, formats=tuple(FORMATS), masks=True, maps=True)
    assert summary.failed == {}
    assert name in boxes(out)
    short = summary.shorter_names[name]
    assert list(summary.shorter_names) == [name]
    for part, ending in (("pictures", ".jpg"), ("maps", ".npy"), ("masks", ".png")):
        assert (out / part / short).with_suffix(ending).is_file()
    (labels,) = (out / "yolo" / "labels" / folder.name).glob("ü*.txt")
    (image,) = (out / "yolo" / "images" / folder.name).glob("ü*.png")
    assert labels.stem == image.stem
    (_,) = (out / "voc" / folder.name).glob("ü*.xml")
    assert any("found 1 without (first" in note for note in summary.notes)
    assert str(folder.name) in (out / "review.html").read_text()


def test_pictures_that_are_not_read_are_in_the_account(
    localizer: Localizer, photos: Path, tmp_path: Path
) -> None:
    (photos / localizer.classes[0] / "IMG_1.CR2").write_bytes(b"II*\0 a preview stands here")
    summary = done(localizer, photos, tmp_path / "out")
    (reason,) = summary.failed.values()
    assert summary.inputs == summary.done + 1 == 2 * len(localizer.classes) + 2
    assert reason.endswith("convert it to JPEG")


def test_output_among_the_photographs_is_no_input(localizer: Localizer, photos: Path, tmp_path: Path) -> None:
    first = done(localizer, photos, photos / "found")
    assert is_output(photos / "found")
    assert done(localizer, photos, tmp_path / "out").inputs == first.inputs
    assert boxes(tmp_path / "out") == boxes(photos / "found")


def test_two_at_once_in_one_folder(localizer: Localizer, photos: Path, tmp_path: Path) -> None:
    with (
        claimed(tmp_path / "out", "rfga localize"),
        pytest.raises(UserError, match=r"expected one rfga localize at a time in .*out, found that"),
    ):
        done(localizer, photos, tmp_path / "out")
    assert held_in(tmp_path / "out") == []
    assert done(localizer, photos, tmp_path / "out").failed == {}
