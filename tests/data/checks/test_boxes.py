from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rfga.data.checks.boxes import CONVENTIONS, EDGES, XYWH, MarkedBox, box_findings, fits, likely_convention
from rfga.data.checks.findings import Finding
from rfga.types import FloatArray
from tests.data.checks.folders_to_check import HEIGHT, WIDTH, clean_folders, surveyed

SIZE_HW = (120, 200)


def written_as(convention: str, edges: FloatArray) -> FloatArray:
    """Boxes as a tool of that convention writes them."""
    if convention.endswith("as fractions"):
        edges = edges / np.array([SIZE_HW[1], SIZE_HW[0]] * 2)
    x0, y0, x1, y1 = edges.T
    numbers = {
        "[x,": (x0, y0, x1 - x0, y1 - y0),
        "[x0,": (x0, y0, x1, y1),
        "[centre": ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0),
        "[y,": (y0, x0, y1 - y0, x1 - x0),
        "[y0,": (y0, x0, y1, x1),
    }[convention.split(maxsplit=1)[0]]
    return np.stack(numbers, axis=1)


@pytest.fixture(scope="module")
def edges() -> FloatArray:
    """Boxes of all sizes and places in photographs of 200 x 120 pixels."""
    rng = np.random.default_rng(0)
    width, height = rng.uniform(20, 190, 200), rng.uniform(15, 110, 200)
    x0, y0 = rng.uniform(0, 200 - width), rng.uniform(0, 120 - height)
    return np.stack([x0, y0, x0 + width, y0 + height], axis=1)


@pytest.mark.parametrize("stated", [XYWH, EDGES])
@pytest.mark.parametrize("truly", CONVENTIONS)
def test_each_convention_is_told_from_the_stated_one(stated: str, truly: str, edges: FloatArray) -> None:
    sizes_hw = np.array([SIZE_HW] * len(edges))
    numbers = written_as(truly, edges)
    assert likely_convention(numbers, sizes_hw, stated) == truly
    wh = sizes_hw[:, ::-1].astype(float)
    assert np.allclose(CONVENTIONS[truly](numbers, wh), edges)
    assert fits(numbers, sizes_hw, truly).all()


def test_a_tenth_of_wrong_boxes_does_not_change_the_convention(edges: FloatArray) -> None:
    numbers = written_as(XYWH, edges)
    numbers[:20, 2] += 500
    assert likely_convention(numbers, np.array([SIZE_HW] * 200), XYWH) == XYWH
    nonsense = np.random.default_rng(0).uniform(-900, 900, (50, 4))
    assert likely_convention(nonsense, np.array([SIZE_HW] * 50), XYWH) == XYWH
    assert likely_convention(edges[:4] + 70, np.array([SIZE_HW] * 4), XYWH) == XYWH  # too few to tell


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_folders(tmp_path_factory.mktemp("boxes") / "data", train=1, val=1)


def found(folders: Path, *numbers: tuple[float, float, float, float], stated: str = EDGES) -> list[Finding]:
    survey = surveyed(folders)[1]
    boxes = [MarkedBox(2, box, f"line {number}") for number, box in enumerate(numbers)]
    return list(box_findings(survey, boxes, np.array([[HEIGHT, WIDTH]] * len(boxes)), stated, "boxes.json"))


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((40, 5, 20, 25), "box_inverted"),
        ((4, 25, 20, 5), "box_inverted"),
        ((4, 5, 4, 25), "box_degenerate"),
        ((4, 25, 20, 25), "box_degenerate"),
        ((WIDTH, 5, WIDTH + 9, 25), "box_outside"),
        ((-20, -30, -1, 0), "box_outside"),
        ((40, 5, WIDTH + 1.5, 25), "box_over_edge"),
        ((40, -2, 50, 25), "box_over_edge"),
    ],
)
def test_each_wrong_box(folders: Path, box: tuple[float, float, float, float], kind: str) -> None:
    (one,) = found(folders, box)
    assert (one.kind, one.file) == (kind, "val/cat/0.jpg")
    assert f"found x0, y0, x1, y1 = {', '.join(f'{value:g}' for value in box)}" in one.sentence
    assert one.sentence.endswith("in line 0: correct it")
    (shot,) = one.shots
    assert shot.boxes is not None
    assert shot.boxes.tolist() == [list(box)]


def test_right_boxes_and_rounding_are_no_findings(folders: Path) -> None:
    assert found(folders, (0, 0, WIDTH, HEIGHT), (-1, -0.5, WIDTH + 1, HEIGHT + 1), (3, 3, 3.2, 3.2)) == []
    assert found(folders) == []


def test_a_box_that_is_there_twice(folders: Path) -> None:
    (one,) = found(folders, (1, 2, 30, 40), (5, 6, 30, 40), (1, 2, 30, 40), (1, 2, 30, 40))
    assert one.kind == "box_repeated"
    assert "found 3 times the one in line 0" in one.sentence


def test_another_convention_is_one_finding_and_the_boxes_it_explains_are_none(folders: Path) -> None:
    boxes = [(30, 20, 60, 40), (20, 10, 50, 44), (25, 15, 64, 48), (3, 2, 20, 20), (40, 40, 63, 47)] * 4
    distinct = [(x0 + n / 100, y0, x1 - n / 100, y1) for n, (x0, y0, x1, y1) in enumerate(boxes)]
    convention, wrong = found(folders, *distinct, (60.0, 5.0, 30.0, 20.0), stated=XYWH)
    assert convention.kind == "box_convention"
    assert convention.file == "boxes.json"
    assert f"expected boxes as {XYWH}, found that 17 of 21" in convention.sentence
    assert f"20 do as {EDGES}: convert them" in convention.sentence
    first = convention.shots[0]
    assert first.boxes is not None
    assert first.meant is not None
    assert (first.boxes[0].tolist(), first.meant[0].tolist()) == ([30, 20, 90, 60], [30, 20, 60, 40])
    assert len(convention.shots) == 1  # all boxes are of one photograph
    assert len(first.boxes) == 16
    assert (wrong.kind, wrong.file) == ("box_over_edge", "val/cat/0.jpg")


def test_the_reverse_widths_read_as_edges(folders: Path) -> None:
    boxes = [(30 + n / 9, 20, 12, 9 + n / 9) for n in range(8)]
    (one,) = found(folders, *boxes)
    assert one.kind == "box_convention"
    assert f"8 do as {XYWH}" in one.sentence
