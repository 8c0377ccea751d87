from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rfga.output.check.page import Item, Picture, Section, marked, write_check_page
from rfga.output.pictures import OUTLINE_RGB, PREDICTION_RGB, TRUTH_RGB
from rfga.types import ByteArray
from tests.output.report.test_page import Page

SCRIPT = "<script>alert(1)</script>"
GREY = np.full((120, 200, 3), 90, np.uint8)


def colours(picture: ByteArray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def has(picture: ByteArray, colour: tuple[int, int, int]) -> bool:
    return colour in colours(picture)


def section(count: int, pictures: bool = True, severity: str = "error") -> Section:
    items = [
        Item(f"{SCRIPT}/{k}.jpg", f"expected {SCRIPT}", [Picture(SCRIPT, lambda: GREY)] if pictures else [])
        for k in range(count)
    ]
    return Section(severity, SCRIPT, count + 5, items)


def page(path: Path, sections: list[Section]) -> str:
    write_check_page(path, f"Check of {SCRIPT}", f"2 photographs {SCRIPT}", [(SCRIPT, SCRIPT)], sections)
    return path.read_text(encoding="utf-8")


def test_the_page_is_self_contained_and_names_are_escaped(tmp_path: Path) -> None:
    seen = Page(html := page(tmp_path / "check.html", [section(3), section(2, False, "warning")]))
    assert SCRIPT not in html
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in seen.tags}
    sources = [attributes["src"] or "" for tag, attributes in seen.tags if tag == "img"]
    assert len(sources) == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in seen.tags)
    assert seen.text.count("and 5 more, which the JSON file lists") == 2
    assert {attributes.get("class") for tag, attributes in seen.tags if tag == "span"} >= {
        "severity error",
        "severity warning",
    }


def test_an_anchor_leads_to_each_section(tmp_path: Path) -> None:
    seen = Page(page(tmp_path / "check.html", [section(1), section(1)]))
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    links = [attributes["href"] for _, attributes in seen.tags if "href" in attributes]
    assert [f"#{anchor}" for anchor in ids] == links == ["#kind-1", "#kind-2"]


def test_a_photograph_that_cannot_be_read_and_a_page_without_findings(tmp_path: Path) -> None:
    unread = Section("error", "damaged", 1, [Item("a.jpg", "expected", [Picture("a.jpg", lambda: None)])])
    assert "cannot be shown" in page(tmp_path / "check.html", [unread])
    assert "What was found" not in page(tmp_path / "check.html", [])


def test_pictures_are_drawn_one_after_the_other(tmp_path: Path) -> None:
    drawn: list[int] = []

    def draw(number: int) -> ByteArray:
        drawn.append(number)
        return GREY

    items = [Item(f"{k}", "", [Picture("", partial(draw, k))]) for k in range(4)]
    page(tmp_path / "check.html", [Section("note", "", 4, items)])
    assert drawn == [0, 1, 2, 3]


def test_boxes_inside_leave_the_photograph_its_size() -> None:
    picture = marked(GREY, np.array([[20.0, 10, 150, 90]]), np.array([[30.0, 20, 100, 80]]))
    assert picture.shape == (120, 200, 3)
    assert has(picture, PREDICTION_RGB)
    assert has(picture, TRUTH_RGB)
    assert colours(marked(GREY)) == {(90, 90, 90)}


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ([150, 20, 230, 90], (120, 230)),  # to the right
        ([-40, 20, 50, 90], (120, 240)),  # to the left
        ([20, -30, 50, 150], (180, 200)),  # above and below
        ([20, 10, 5000, 90], (120, 400)),  # no more than a side
        ([-900, -900, -800, -800], (240, 400)),
    ],
)
def test_boxes_outside_are_shown_in_a_margin(box: list[float], shape: tuple[int, int]) -> None:
    picture = marked(GREY, np.array([box], float))
    assert picture.shape == (*shape, 3)
    assert has(picture, PREDICTION_RGB)
    assert (150, 150, 150) in colours(picture)


@pytest.mark.parametrize("box", [[150, 90, 20, 10], [20, 10, 20, 90], [20, 90, 150, 90]])
def test_inverted_and_degenerate_boxes_are_seen(box: list[float]) -> None:
    assert has(marked(GREY, np.array([box], float)), PREDICTION_RGB)


@pytest.mark.parametrize("value", [255, 1])
def test_masks_of_any_size_and_value_are_outlined(value: int) -> None:
    mask = np.zeros((60, 50), np.uint8)
    mask[10:40, 10:40] = value
    picture = marked(GREY, mask=mask)
    assert picture.shape == GREY.shape
    assert has(picture, TRUTH_RGB)
    assert has(picture, OUTLINE_RGB)


def test_large_photographs_are_shrunk_with_their_boxes() -> None:
    large = np.full((1200, 2000, 3), 90, np.uint8)
    picture = marked(large, np.array([[200.0, 100, 1500, 900]]))
    assert picture.shape == (180, 300, 3)
    columns = np.flatnonzero((picture == PREDICTION_RGB).all(axis=2).any(axis=0))
    assert (columns[0], columns[-1] + 1) == (30, 225)
