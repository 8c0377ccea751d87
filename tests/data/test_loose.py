"""Photographs of one kind in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rfga.data import open_dataset
from rfga.data.loose import lie_loose
from rfga.engine.building.box_set import BuildCommand, build_boxes
from rfga.engine.localizing.options import LocalizeOptions
from rfga.types import UserError
from tests.engine.tiny import QUIET


@pytest.fixture
def widgets(tmp_path: Path) -> Path:
    """Six pictures, wider than high, with a square each on a ground of its own."""
    folder = tmp_path / "widget"
    folder.mkdir()
    for number in range(6):
        picture = Image.new("RGB", (90, 60), (40 + 20 * number, 90, 60))
        picture.paste((250, 30, 30), (20 + 4 * number, 15, 50 + 4 * number, 45))
        picture.save(folder / f"{number}.png")
    return folder


def test_the_class_is_named_after_the_folder_or_as_asked(widgets: Path) -> None:
    dataset = open_dataset(widgets)
    assert dataset.classes == ("widget",)
    assert [(s.image_id, s.label) for s in dataset.samples("train")] == [(f"{i}.png", 0) for i in range(6)]
    assert not dataset.samples("val")
    assert open_dataset(widgets, class_name="bolt").classes == ("bolt",)


def test_photographs_beside_class_folders_are_not_a_class(widgets: Path) -> None:
    (widgets / "bolt").mkdir()
    Image.new("RGB", (9, 6)).save(widgets / "bolt" / "0.png")
    assert not lie_loose(widgets)
    with pytest.raises(UserError, match="expected class folders"):
        open_dataset(widgets)


@pytest.mark.parametrize("nested", [False, True])
def test_one_class_is_boxed_without_learning_a_class(widgets: Path, tmp_path: Path, nested: bool) -> None:
    data = widgets
    if nested:
        data = tmp_path / "photos"
        data.mkdir()
        widgets.rename(data / "widget")
    settings = {"backbone": "test_resnet", "weights": "none", "image_size": 64}
    options = LocalizeOptions(formats=("coco",), second_look=False)
    built = build_boxes(BuildCommand(str(data), tmp_path / "out", settings, localize=options), QUIET)
    assert (built.summary.inputs, built.summary.done, built.summary.failed) == (6, 6, {})
    assert built.as_json()["choices"]["image_size"] == 64
    assert set(built.as_json()) >= {"unsure", "verdict", "choices", "seconds"}


def test_other_methods_say_that_they_need_two_classes(widgets: Path, tmp_path: Path) -> None:
    settings = {"backbone": "test_resnet", "weights": "none", "method": "cam"}
    with pytest.raises(UserError, match="expected at least two classes to train on, found only 'widget'"):
        build_boxes(BuildCommand(str(widgets), tmp_path / "out", settings), QUIET)
