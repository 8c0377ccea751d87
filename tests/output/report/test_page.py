from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rfga.output.report.page import MethodReport, write_report
from rfga.output.table import metric_rows
from tests.output.made_up import evaluation, gallery_item, method_report

SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and that every tag is closed."""

    VOID = frozenset({"meta", "img", "br", "wbr", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def written(
    path: Path, methods: list[MethodReport], title: str = "Report", notes: tuple[str, ...] = ()
) -> str:
    write_report(path, title, methods, notes)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    methods = [method_report("cam", 0.0, per_row=2), method_report("rfga", 0.1, per_row=2)]
    return written(tmp_path_factory.mktemp("report") / "report.html", methods)


def test_page_asks_nothing_of_any_server(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            if name in {"src", "href", "xlink:href", "srcset", "data", "poster", "action"}:
                assert value is not None
                assert value.startswith(("data:image/jpeg;base64,", "#"))
    assert not re.search(r"url\((?!#)|@import", html)
    assert not re.search(r"https?://", re.sub(r'xmlns(:\w+)?="[^"]*"', "", html))


def test_page_has_every_number_of_the_terminal_table(html: str) -> None:
    text = Page(html).text
    for shift in (0.0, 0.1):
        for row in metric_rows(evaluation(shift)):
            assert row.percent in text
            assert row.interval_percent in text or row.interval is None
            assert row.threshold in text or row.threshold == "-"


def test_page_has_curves_history_and_gallery_of_each_method(html: str) -> None:
    page = Page(html)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("svg") == 5
    assert tags.count("img") == 2 * 3 * 2
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    for word in (
        "Best",
        "Median",
        "Worst",
        "IoU 0.93",
        "mobilenetv2_100",
        "named right",
        "named English springer",
    ):
        assert word in page.text


def test_ids_are_unique(html: str) -> None:
    ids = [attributes["id"] for _, attributes in Page(html).tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 0


def test_names_from_outside_cannot_become_markup(tmp_path: Path) -> None:
    item = gallery_item(1, 0.5, image_id=f'{SCRIPT}" onload="x/1.jpg', class_name=SCRIPT)
    item = dataclasses.replace(item, predicted_name='<img src="https://example.org/x.png">')
    method = dataclasses.replace(
        method_report(SCRIPT, 0.0, per_row=1), gallery={"best": [item]}, settings={SCRIPT: SCRIPT}
    )
    method = dataclasses.replace(method, evaluation=evaluation() | {"dataset": SCRIPT})
    html = written(tmp_path / "report.html", [method], title=SCRIPT, notes=(SCRIPT,))
    page = Page(html)
    assert "<script" not in html
    assert [tag for tag, _ in page.tags].count("img") == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(SCRIPT) >= 7


def test_parts_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    html = written(tmp_path / "report.html", [MethodReport("cam", evaluation())])
    for heading in ("Curves", "Training", "Gallery", "Settings"):
        assert f"<h2>{heading}</h2>" not in html
    assert 'class="mark' not in html


def test_boxes_are_said_to_be_compared_where_they_were(html: str, tmp_path: Path) -> None:
    compared = "compared with true boxes or masks"
    assert compared in html
    classes = {"dataset": "d", "split": "val", "images": 2, "metrics": {"Top1Cls": [{"value": 0.5}]}}
    only_classes = written(tmp_path / "report.html", [MethodReport("cam", classes)])
    assert compared not in only_classes
    assert "No true box or mask was given" in only_classes
    nothing = written(tmp_path / "nothing.html", [MethodReport("cam", classes | {"metrics": {}})])
    assert not any(said in nothing for said in (compared, "compared with the truth", "is a percentage"))


def test_overlapping_intervals_are_told(tmp_path: Path) -> None:
    near, far = (tmp_path / "near.html", tmp_path / "far.html")
    cam = MethodReport("cam", evaluation(0.0))
    assert "larger, overlap" in written(near, [cam, MethodReport("rfga", evaluation(0.02))])
    html = written(far, [cam, MethodReport("rfga", evaluation(0.2))])
    assert "\N{BLACK UP-POINTING TRIANGLE} larger" in Page(html).text


def test_methods_measured_on_different_images_are_not_compared_in_silence(tmp_path: Path) -> None:
    cam, rfga = MethodReport("cam", evaluation()), MethodReport("rfga", evaluation() | {"images": 3})
    assert "cannot be compared" in written(tmp_path / "a.html", [cam, rfga])
    assert "cannot be compared" not in written(tmp_path / "b.html", [cam])


@pytest.mark.parametrize("names", [[], ["cam", "cam"]])
def test_methods_need_names_of_their_own(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ValueError, match="each of its own name"):
        write_report(tmp_path / "report.html", "t", [MethodReport(name, evaluation()) for name in names])


def test_failure_in_the_gallery_leaves_the_old_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    broken = dataclasses.replace(gallery_item(1, 0.5), boxes=gallery_item(1, 0.5).boxes[0])
    method = dataclasses.replace(method_report("cam", 0.0, per_row=1), gallery={"worst": [broken]})
    with pytest.raises(ValueError, match="boxes"):
        write_report(path, "t", [method])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
