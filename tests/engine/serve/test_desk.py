from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rfga.engine.localizing.localizer import Localizer
from rfga.engine.serve.desk import SHOWN_PIXELS, Desk, View
from rfga.engine.serve.limits import Choices, Limits
from rfga.types import Prediction

PLAIN = Choices(0.3)


@pytest.fixture(scope="module")
def localizer(tiny_run: Path) -> Localizer:
    return Localizer.load(tiny_run, device="cpu")


@pytest.fixture
def photographs(birds: Path) -> list[Path]:
    found = sorted((birds / "val").rglob("*.*"))[::3]
    assert all(Image.open(path).width != Image.open(path).height for path in found)
    return found


@pytest.fixture
def dropped(tmp_path: Path) -> Callable[..., list[tuple[Path, str]]]:
    """Copies of files, as uploads with their names."""

    def drop(*files: Path) -> list[tuple[Path, str]]:
        folder = tmp_path / "uploads"
        folder.mkdir(exist_ok=True)
        numbered = [(Path(shutil.copy(file, folder / f"{i}")), file.name) for i, file in enumerate(files)]
        return numbered

    return drop


@pytest.fixture
def desk(localizer: Localizer, tmp_path: Path) -> Desk:
    return Desk(localizer, Limits(), tmp_path / "pages")


def same(found: Prediction, expected: Prediction) -> None:
    assert (found.size_hw, found.label) == (expected.size_hw, expected.label)
    assert found.boxes == pytest.approx(expected.boxes)
    assert found.scores == pytest.approx(expected.scores)
    assert found.probability == pytest.approx(expected.probability)


def test_boxes_are_those_of_the_localizer(desk: Desk, photographs: list[Path], dropped: Any) -> None:
    view = desk.add("me", dropped(*photographs), PLAIN)
    expected = desk.localizer.with_threshold(0.3, "fixed")(photographs)
    assert len(view.pictures) == len(photographs) == 4
    for found, one, picture in zip(view.predictions, expected, view.pictures, strict=True):
        same(found, one.prediction)
        assert Image.open(picture).size == found.size_hw[::-1]


def test_only_another_class_runs_the_network(
    desk: Desk, photographs: list[Path], dropped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("me", dropped(*photographs), PLAIN)
    plain, calls = Localizer.score, []

    def counted(self: Localizer, *args: Any) -> Any:
        calls.append(1)
        return plain(self, *args)

    monkeypatch.setattr(Localizer, "score", counted)
    for threshold in (0.0, 0.5, 0.8):
        view = desk.show("me", Choices(threshold, max_boxes=3))
        expected = desk.localizer.with_threshold(threshold, "fixed")
        monkeypatch.setattr(Localizer, "score", plain)
        for found, one in zip(view.predictions, expected(photographs, max_boxes=3), strict=True):
            same(found, one.prediction)
        monkeypatch.setattr(Localizer, "score", counted)
    assert not calls
    other = desk.show("me", Choices(0.3, label=4))
    assert len(calls) == 1
    assert {found.label for found in other.predictions} == {4}
    name = desk.localizer.classes[4]
    for found, one in zip(
        other.predictions, desk.localizer.with_threshold(0.3, "")(photographs, label=name), strict=True
    ):
        same(found, one.prediction)


def test_further_photographs_join_those_that_are_there(
    desk: Desk, photographs: list[Path], dropped: Any
) -> None:
    desk.add("me", dropped(photographs[0]), PLAIN)
    view = desk.add("me", dropped(photographs[1], photographs[0]), Choices(0.3, label=2))
    names = [photographs[0].name, photographs[1].name]
    again = f"{photographs[0].stem} (2){photographs[0].suffix}"
    if names[0] == names[1]:
        pytest.fail("the photographs need names of their own")
    assert [found.image_id for found in view.predictions] == [*names, again]
    assert {found.label for found in view.predictions} == {2}
    assert view.predictions[0].boxes == pytest.approx(view.predictions[2].boxes)


def test_what_cannot_be_taken_is_told_and_the_rest_shown(
    desk: Desk, photographs: list[Path], dropped: Any, tmp_path: Path
) -> None:
    text = tmp_path / "<b>text<b>.jpg"
    text.write_text("no picture")
    view = desk.add("me", dropped(text, photographs[0]), PLAIN)
    assert [found.image_id for found in view.predictions] == [photographs[0].name]
    (said,) = view.left_out
    assert "found that <b>text<b>.jpg is none or has a damaged beginning" in said
    assert desk.show("me", PLAIN).left_out == []


def test_uploads_go_and_few_views_stay(desk: Desk, photographs: list[Path], dropped: Any) -> None:
    uploads = dropped(*photographs)
    desk.add("me", uploads, PLAIN)
    assert not any(path.exists() for path, _ in uploads)
    for step in range(5):
        view = desk.show("me", Choices(step / 10))
    views = [folder for folder in desk.folder.rglob("*") if (folder / "coco.json").is_file()]
    assert len(views) == 2
    assert all(path.is_file() for path in view.pictures)
    desk.forget("me")
    assert not list(desk.folder.rglob("*"))
    assert desk.show("me", PLAIN).predictions == []


def test_so_many_photographs_and_visitors(
    localizer: Localizer, photographs: list[Path], dropped: Any, tmp_path: Path
) -> None:
    desk = Desk(localizer, Limits(max_photographs=2, max_visitors=2), tmp_path / "pages")
    view = desk.add("a", dropped(*photographs[:3]), PLAIN)
    assert len(view.predictions) == 2
    assert "expected at most 2 photographs on the page" in view.left_out[0]
    desk.add("b", dropped(photographs[0]), PLAIN)
    assert len(desk.show("a", PLAIN).predictions) == 2
    desk.add("c", dropped(photographs[0]), PLAIN)
    assert len(list(desk.folder.iterdir())) == 2
    assert desk.show("b", PLAIN).predictions == []  # away longest


def test_a_large_photograph_keeps_its_aspect(desk: Desk, tmp_path: Path, dropped: Any) -> None:
    Image.linear_gradient("L").convert("RGB").resize((3000, 750)).save(tmp_path / "wide.png")
    view = desk.add("me", dropped(tmp_path / "wide.png"), PLAIN)
    assert Image.open(view.pictures[0]).size == (SHOWN_PIXELS, SHOWN_PIXELS // 4)
    assert view.predictions[0].size_hw == (750, 3000)
    assert view.coco is not None
    assert json.loads(view.coco.read_text())["images"][0]["width"] == 3000


def test_the_box_is_drawn_where_it_is_found(desk: Desk, photographs: list[Path], dropped: Any) -> None:
    desk.add("me", dropped(photographs[0]), PLAIN)

    def pixels(heat: bool, threshold: float) -> Any:
        view: View = desk.show("me", Choices(threshold, heat=heat))
        return np.asarray(Image.open(view.pictures[0])).astype(int), view.predictions[0].boxes

    shown, ((x0, y0, x1, y1),) = pixels(False, 0.6)
    original = np.asarray(Image.open(photographs[0]).convert("RGB")).astype(int)
    changed = np.abs(shown - original).max(2) > 60
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] == pytest.approx([x0, y0, x1, y1], abs=2)
    heated, _ = pixels(True, 0.6)
    assert np.abs(heated - shown).mean() > 5
