from __future__ import annotations

import base64
import hashlib
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.output.review.page import THUMBNAIL_PIXELS, Draw, ReviewItem, photograph_confidence, write_review
from rfga.types import ByteArray, Prediction
from tests.output.report.test_page import SCRIPT, Page

WIDE = np.full((300, 600, 3), 90, np.uint8)


def item(
    name: str = "tench/a.jpg",
    scores: tuple[float, ...] = (0.25,),
    class_name: str = "tench",
    photograph: Draw = lambda: WIDE,
    heated: Draw = lambda: None,
) -> ReviewItem:
    edges = np.array([[60.0, 30.0, 300.0, 270.0], [400.0, 0.0, 600.0, 100.0]])[: len(scores)]
    found = Prediction(name, (300, 600), 0, 0.5, edges, np.array(scores), None, 0.2, ("several objects?",))
    return ReviewItem(found, class_name, photograph, heated)


def written(path: Path, items: list[ReviewItem], total: int = 3) -> str:
    write_review(path / "review.html", items, total, [(SCRIPT, SCRIPT)])
    return (path / "review.html").read_text(encoding="utf-8")


def test_only_the_page_s_own_script_may_run(tmp_path: Path) -> None:
    html = written(tmp_path, [item(SCRIPT + ".jpg", class_name=SCRIPT)])
    assert SCRIPT not in html
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in Page(html).tags if a.get("http-equiv"))
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"https?://", html)
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in Page(html).tags}


def test_boxes_lie_where_they_are(tmp_path: Path) -> None:
    page = Page(written(tmp_path, [item(scores=(0.251, 0.126))]))
    boxes = [attributes for tag, attributes in page.tags if tag == "i" and "data-confidence" in attributes]
    assert [box["data-confidence"] for box in boxes] == ["25", "13"]
    assert boxes[0]["style"] == "left: 10.00%; top: 10.00%; width: 40.00%; height: 80.00%"
    frame = next(a for tag, a in page.tags if a.get("class") == "frame")
    assert frame["style"] == "aspect-ratio: 600 / 300; width: 100%"
    assert "(60, 30, 300, 270) of 600 \N{MULTIPLICATION SIGN} 300" in page.text
    assert "25 %" in page.text  # that of the largest box


def test_pictures_are_small_and_drawn_one_at_a_time(tmp_path: Path) -> None:
    drawn: list[str] = []

    def draw(name: str) -> ByteArray:
        drawn.append(name)
        return WIDE

    items = [item(n, photograph=partial(draw, f"p{n}"), heated=partial(draw, f"h{n}")) for n in "012"]
    assert not drawn
    page = Page(written(tmp_path, items))
    assert drawn == ["p0", "h0", "p1", "h1", "p2", "h2"]
    source = next(a["src"] for tag, a in page.tags if tag == "img")
    assert source is not None
    (tmp_path / "a.jpg").write_bytes(base64.b64decode(source.partition(",")[2]))
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS // 2)


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    page = Page(written(tmp_path, [item(photograph=lambda: None)]))
    assert "cannot be shown" in page.text
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert re.search(r"1 of 3 photographs: the 2 with more", page.text)


def test_marks_belong_to_these_boxes(tmp_path: Path) -> None:
    def key(items: list[ReviewItem]) -> str | None:
        return next(a["data-key"] for tag, a in Page(written(tmp_path, items)).tags if tag == "main")

    assert key([item()]) == key([item()])
    assert len({key([item()]), key([item("b.jpg")]), key([item(scores=(0.3, 0.2))])}) == 3


@pytest.mark.parametrize(("scores", "sorted_by"), [((), 0.0), ((0.7,), 0.7), ((0.7, 0.2), 0.7)])
def test_the_largest_box_decides(scores: tuple[float, ...], sorted_by: float) -> None:
    assert photograph_confidence(item(scores=scores).prediction) == sorted_by
