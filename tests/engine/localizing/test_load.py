from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import ExifTags, Image

import rfga
from rfga.data.images import read_image
from rfga.engine.localizing.localize import localize_paths
from rfga.engine.localizing.options import LocalizeCommand
from rfga.types import UserError
from tests.conftest import REPOSITORY
from tests.engine import tiny
from tests.metrics.test_alone import made_batches


@pytest.fixture(scope="module")
def find(tiny_run: Path) -> rfga.Localizer:
    return rfga.load(tiny_run, device="cpu")


@pytest.fixture(scope="module")
def pictures(birds: Path) -> list[Path]:
    return sorted((birds / "val").rglob("*.*"))[:5]


def test_a_photograph_becomes_a_label_a_box_a_mask_and_a_map(
    find: rfga.Localizer, pictures: list[Path]
) -> None:
    found = find(pictures[0])
    width, height = Image.open(pictures[0]).size
    assert width != height
    assert isinstance(found, rfga.Found)
    assert found.label in find.classes
    assert 0 < found.confidence <= 1
    assert (found.map.shape, found.mask.shape) == ((224, 224), (height, width))
    assert found.box is not None
    x0, y0, x1, y1 = found.box
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert found.mask[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].any()
    assert set(np.unique(found.mask)) <= {0, 255}


def test_the_box_is_that_of_the_command(
    find: rfga.Localizer, tiny_run: Path, pictures: list[Path], tmp_path: Path
) -> None:
    command = LocalizeCommand(tiny_run, pictures[:1], tmp_path / "boxes")
    localize_paths(command, tiny.QUIET)
    written = json.loads((tmp_path / "boxes" / "coco.json").read_text())
    [annotation] = written["annotations"]
    names = {category["id"]: category["name"] for category in written["categories"]}
    name = names[annotation["category_id"]]
    found = find(pictures[0], label=name)
    x0, y0, width, height = annotation["bbox"]
    assert found.label == name == pictures[0].parent.name
    assert found.box == pytest.approx((x0, y0, x0 + width, y0 + height), abs=0.01)
    assert found.scores[0] == pytest.approx(annotation["score"], abs=1e-3)


def test_every_way_to_give_a_photograph_says_the_same(find: rfga.Localizer, pictures: list[Path]) -> None:
    image = read_image(pictures[0])
    expected = find(pictures[0])
    for given in (str(pictures[0]), image, np.asarray(image)):
        found = find(given)
        assert (found.label, found.box) == (expected.label, expected.box)
        assert np.array_equal(found.map, expected.map)


def test_several_photographs_become_a_list(find: rfga.Localizer, pictures: list[Path]) -> None:
    whole = find(pictures)
    parts = find(pictures, batch_size=2)
    assert [found.prediction.image_id for found in parts] == [path.as_posix() for path in pictures]
    for a, b in zip(whole, parts, strict=True):
        assert a.label == b.label
        np.testing.assert_allclose(a.map, b.map, atol=1e-4)
    image = np.asarray(read_image(pictures[0]))
    mixed = find([pictures[0], image, Image.fromarray(image)])
    assert len({found.box for found in mixed}) == 1
    assert [found.prediction.image_id for found in mixed[1:]] == ["1", "2"]
    assert len(find(np.stack([image, image]))) == 2
    assert find([]) == []
    assert len(find(pictures[:1])) == 1


def test_classes_by_name(find: rfga.Localizer, pictures: list[Path]) -> None:
    wanted = [find.classes[2], find.classes[0]]
    found = find(pictures[:2], label=wanted)
    assert [one.label for one in found] == wanted
    assert find(pictures[0], label=wanted[0]).label == wanted[0]
    with pytest.raises(UserError, match=r"expected a label out of .* found 'unicorn'"):
        find(pictures[0], label="unicorn")


def test_boxes_are_those_of_the_photograph_as_a_viewer_shows_it(
    find: rfga.Localizer, pictures: list[Path], tmp_path: Path
) -> None:
    shown = read_image(pictures[0])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = shown.transpose(Image.Transpose.ROTATE_90)  # what the metadata turn back
    stored.save(tmp_path / "turned.png", exif=exif)
    expected = find(shown)
    with Image.open(tmp_path / "turned.png") as opened:
        assert opened.size != shown.size
        for given in (tmp_path / "turned.png", opened):
            assert find(given).box == expected.box
            assert find(given).mask.shape == (shown.height, shown.width)


def test_a_photograph_that_cannot_be_read(find: rfga.Localizer, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no photograph")
    with pytest.raises(UserError, match="expected an image"):
        find(tmp_path / "a.jpg")


def test_the_guide_runs(
    tiny_run: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").symlink_to(tiny_run)
    for name, picture in zip(("photo", "a", "b"), pictures, strict=False):
        Image.open(picture).convert("RGB").save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    guide = (REPOSITORY / "docs" / "export.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide.partition("## In Python")[2], re.DOTALL)
    names: dict[str, object] = {"batches": made_batches()}
    for block in blocks:
        exec(block, names)
    assert isinstance(names["found"], rfga.Found)
    assert {"value", "threshold_source"} <= cast("dict[str, object]", names["numbers"]).keys()


def test_more_boxes_and_another_threshold(find: rfga.Localizer, pictures: list[Path]) -> None:
    higher = find.with_threshold(0.9, "fixed")
    found = higher(pictures[0], max_boxes=3)
    assert 1 <= len(found.boxes) == len(found.scores) <= 3
    assert np.count_nonzero(found.mask) < np.count_nonzero(find(pictures[0]).mask)
