"""Names in pages stay names: no element and no attribute is made of one, and none looks like another."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from rfga.engine.ablation.variants import FULL
from rfga.engine.export.model_card import model_card
from rfga.engine.localizing.localizer import Localizer
from rfga.output.ablation.page import write_ablation_page
from rfga.output.ablation.table import make_ablation_table
from rfga.output.attention.pictures import write_attention
from rfga.output.benchmark.page import write_page
from rfga.output.benchmark.table import make_table
from rfga.output.check.page import Item, Picture, Section, write_check_page
from rfga.output.export.labelstudio import labelling_config
from rfga.output.letters import legible
from rfga.output.report.page import GalleryItem, MethodReport, write_report
from rfga.output.review.page import ReviewItem, write_review
from rfga.types import Prediction, Truth
from tests.output.ablation import made_up as made_up_ablation
from tests.output.attention.made_up import attention
from tests.output.benchmark import made_up as made_up_benchmark
from tests.security.doors import run

NAMES = (
    "<script>alert(1)</script>\"><img src=x onerror='alert(2)'>",
    "' onmouseover='alert(3)' x='&lt;b>--><!--]]><i>",
    "{{ 7 * 7 }}{% include 'x' %}</title></style></svg></desc>",
    '$x^2$ \\alpha _a_ url(#a) id="b" href="#c"`*|#~',
    "\u202egnp.exe\u2066\x1b[2J\x07javascript:alert(4)",
)
DRAWN = {
    "svg",
    "title",
    "desc",
    "metadata",
    "rdf:rdf",
    "cc:work",
    "dc:type",
    "defs",
    "style",
    "g",
    "text",
    "path",
}
DRAWN |= {"use", "clippath", "rect"}
SOME = [
    pytest.param(name, marks=() if place in (0, 4) else pytest.mark.slow) for place, name in enumerate(NAMES)
]
"""The names, of which the first and the last are tried in a short test, too."""
TURNING = set("\u202e\u2066\x1b\x07")
GREY = np.full((30, 50, 3), 90, np.uint8)
BOXES = np.array([[5.0, 4.0, 30.0, 20.0]])
NUMBERS = {"value": 0.5, "interval": [0.4, 0.6], "threshold": 0.2, "threshold_source": "oracle"}


class Page(HTMLParser):
    """What a browser makes of a page: its elements with the names of their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []  # those in drawings aside
        self.drawing = False
        self.drawn: set[str] = set()
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.drawing |= tag == "svg"
        if self.drawing:  # how many ticks it has depends on the room that a name leaves them
            self.drawn.add(tag)
        else:
            self.elements.append((tag, *(name for name, _ in attrs)))
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        self.drawing &= tag != "svg"

    def handle_data(self, data: str) -> None:
        self.text += data


def plain_like(name: str) -> str:
    """A harmless name with its folders at the same places."""
    return re.sub(r"[^/]", "x", name)


def report(path: Path, name: str) -> None:
    curve = {"thresholds": [0.0, 0.5], "box_accuracy": {"largest": {"0.5": [0.2, 0.6]}}}
    truth, heat = Truth((30, 50), boxes=BOXES), np.ones((8, 8))
    shown = GalleryItem(f"{name}/{name}", GREY, heat, truth, BOXES, 0.5, name, name + "2", 0.2)
    numbers: dict[str, Any] = {"dataset": name, "split": name, "images": 2}
    numbers["metrics"] = {"MaxBoxAccV2": [{**NUMBERS, "contours": "largest", "normalisation": name}]}
    method = MethodReport(
        name,
        numbers,
        curve,
        history=[{"epoch": 1, "train_loss": 0.5}],
        gallery={"best": [shown]},
        settings={name: name},
    )
    write_report(path, name, [method], notes=[name])


def check(path: Path, name: str) -> None:
    items = [Item(name, name, [Picture(f"{name}/{name}", lambda: GREY)]), Item(name, name)]
    write_check_page(path, name, name, [(name, name)], [Section("error", name, 9, items)])


def benchmark(path: Path, name: str) -> None:
    cells = [
        made_up_benchmark.cell(name, name, 0, {"minmax": {"MaxBoxAccV2": 0.5, name: 0.4}}, remarks=[name]),
        made_up_benchmark.cell(name + "2", name, 0, {}, state="failed", reason=name),
    ]
    settings = {name: name}
    write_page(
        path, make_table(made_up_benchmark.benchmark(cells, dataset=name, split=name, settings=settings))
    )


def ablation(path: Path, name: str) -> None:
    full = made_up_ablation.variant(FULL, "", {"MaxBoxAccV2": made_up_ablation.number([0.5])}, remarks=[name])
    metrics = {"MaxBoxAccV2": made_up_ablation.number([0.4], ([-0.1], 0.05))}
    other = made_up_ablation.variant(name, name, metrics, remarks=[name])
    record = made_up_ablation.record(
        [full, other], dataset=name, mechanisms={name: name}, settings={name: name}
    )
    write_ablation_page(path, make_ablation_table(record))


def review(path: Path, name: str) -> None:
    found = Prediction(
        f"{name}/{name}", (30, 50), 0, 0.9, BOXES, np.array([0.5]), None, 0.2, warnings=(name, name)
    )
    write_review(path, [ReviewItem(found, name, lambda: GREY, lambda: GREY)], 2, [(name, name)])


PAGES: dict[str, Callable[[Path, str], None]] = {
    "report": report,
    "check": check,
    "benchmark": benchmark,
    "ablation": ablation,
    "review": review,
}


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_has_nothing_made_of_a_name(kind: str, name: str, tmp_path: Path) -> None:
    texts = []
    for number, called in enumerate((plain_like(name), name)):
        PAGES[kind](tmp_path / f"{number}.html", called)
        texts.append((tmp_path / f"{number}.html").read_text(encoding="utf-8"))
    plain, nasty = map(Page, texts)
    assert nasty.elements == plain.elements
    assert nasty.drawn <= DRAWN
    assert not nasty.drawing
    assert not [name for name, _ in nasty.attributes if name.startswith("on")]
    targets = [value or "" for name, value in nasty.attributes if name in ("href", "src", "xlink:href")]
    assert all(re.match(r"data:image/|#[\w.-]+$", target) for target in targets), targets
    assert legible(name) in nasty.text, "the name is not shown"
    require_closed(nasty, kind)
    if kind == "review":  # what its script saves as names stays exact
        texts[1] = re.sub(r'data-name="[^"]*"', "", texts[1])
    assert not set(texts[1]) & TURNING


def require_closed(page: Page, kind: str) -> None:
    """The page may load nothing, and run nothing but the one script that is ours."""
    (policy,) = [value for _, value in page.attributes if value and value.startswith("default-src")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    scripts = [element for element in page.elements if element[0] == "script"]
    assert len(scripts) == policy.count("script-src 'sha256-") == (kind == "review")
    assert policy.count("unsafe") == 1


@pytest.mark.parametrize("name", SOME[1:])
def test_an_attention_sheet_is_sound_xml_without_foreign_elements(name: str, tmp_path: Path) -> None:
    held = attention((30, 50), image_id=f"{name}/a.jpg", class_name=name, predicted_name=name + "2")
    write_attention(tmp_path / "sheet.svg", GREY, held)
    root = ElementTree.parse(tmp_path / "sheet.svg").getroot()
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "img", "i", "b", "foreignObject", "a"}


@pytest.mark.parametrize("nasty_name", NAMES)
def test_a_model_card_has_no_markup_of_names(nasty_name: str, tiny_run: Path) -> None:
    localizer = Localizer.load(tiny_run, device="cpu")
    evaluation = {"dataset": "", "split": "val", "images": 3, "metrics": {"PxAP": [NUMBERS]}}
    cards = []
    for name in (plain_like(nasty_name), nasty_name):
        localizer.classes = (name, "b")
        held = {**evaluation, "dataset": name}
        cards.append(model_card(localizer, {"name": name}, {"evaluations": {"val": held}}))
    plain, nasty = (re.sub(r"\\.", "", card.split("---\n", 2)[2]) for card in cards)
    for mark in "<>`*|[]#":
        assert nasty.count(mark) == plain.count(mark), mark
    assert not set(cards[1]) & TURNING
    head = yaml.safe_load(cards[1].split("---\n", 2)[1])
    assert set(head) == {"library_name", "pipeline_tag", "tags", "model-index"}


def test_a_labelling_configuration_has_one_element_for_each_class() -> None:
    root = ElementTree.fromstring(labelling_config(NAMES[:2]))
    assert [element.tag for element in root.iter()] == ["View", "Image", "RectangleLabels", "Label", "Label"]


def test_a_sentence_does_not_steer_the_terminal(tmp_path: Path) -> None:
    ended = run("localize", tmp_path / "\x1b]0;evil\x07\x1b[2J\u202e", "x.jpg", "--out", tmp_path / "out")
    assert ended.status == 1
    assert "\\u001b]0;evil\\u0007\\u001b[2J\\u202e" in ended.said
    assert ended.said.rstrip("\n").isprintable()
