from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rfga.output.benchmark.page import write_page
from rfga.output.benchmark.table import make_table
from tests.output.benchmark.made_up import benchmark, cell, grid

ELEVEN = ["cam", "rfga", "has", "acol", "spg", "adl", "cutmix", "se", "eca", "cbam", "nonlocal"]
VOID = {"meta", "link", "br", "img", "input", "hr", "wbr"}


class Outline(HTMLParser):
    """Every element closed in its turn; the rows of the tables as lists of texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open) and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def page_of(record: dict[str, object], folder: Path) -> str:
    write_page(folder / "benchmark.html", make_table(record))
    return (folder / "benchmark.html").read_text(encoding="utf-8")


def test_page_of_two_methods_has_every_number(tmp_path: Path) -> None:
    record = grid(["cam", "rfga"], ["mobilenetv2_100"], (0, 1), ("minmax",), dataset="objects10", split="val")
    table, page = make_table(record), page_of(record, tmp_path)
    assert "<h1>Benchmark of objects10, val</h1>" in page
    head, *rows = Outline(page).rows[: 1 + len(table.rows)]
    assert head == ["Method", "Seeds", *table.metrics, "Time", "Weights"]
    for row, shown in zip(table.rows, rows, strict=True):
        assert len(shown) == len(head)
        assert shown[0].split()[0] == row.method.split()[0]
        for metric, text in zip(table.metrics, shown[2:], strict=False):
            number = row.numbers.get(("minmax", metric))
            assert text.split()[0] == ("-" if number is None else number.spread.percent)
            if number is not None and row.seeds:
                assert f"±\N{NO-BREAK SPACE}{number.spread.deviation_percent}" in text


@pytest.mark.slow
def test_page_of_eleven_methods_and_two_normalisations(tmp_path: Path) -> None:
    record = grid(ELEVEN, ["wsol_resnet50", "wsol_vgg16"])
    page = page_of(record, tmp_path)
    rows = [row for row in Outline(page).rows if len(row) == 9]
    assert len(rows) == 2 * (1 + 2 * (len(ELEVEN) + 1) + 2)
    assert page.count("<h2>Score maps normalised by") == 2
    [cam] = [row for row in rows if row[0].split() == ["cam", "wsol_resnet50"]][:1]
    assert "published 63.0 [1]" in cam[2]
    assert "published 62.98 [2]" in cam[2]
    assert "<li>Choe et al. 2020 (wsolevaluation main table)</li>" in page
    assert "not stated" in page


def test_page_is_whole_in_itself_and_its_plots_are_well_formed(tmp_path: Path) -> None:
    page = page_of(grid(["cam", "rfga"]), tmp_path)
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "<script" not in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 3
    for plot in plots:
        ElementTree.fromstring(plot)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all("minmax" in plot and "ivr" in plot for plot in plots[:2])
    assert "ivr" not in plots[2]  # the class does not depend on the normalisation of maps


@pytest.mark.parametrize("nasty", ['<b>$x_1$ & "y"</b>', "_hidden"])
def test_names_and_reasons_are_shown_as_they_are(nasty: str, tmp_path: Path) -> None:
    cells = [cell(nasty, nasty, seed, {"minmax": {"PxAP": 0.5}}) for seed in (0, 1)]
    failed = cell("cam", nasty, 0, {}, state="failed", reason=nasty)
    page = page_of(benchmark([*cells, failed], dataset=nasty, settings={"weights": nasty}), tmp_path)
    Outline(page)
    assert "<b>$" not in page
    assert "1 of the runs failed" in page


def test_page_before_the_first_number(tmp_path: Path) -> None:
    record = grid(["cam"], seeds=(0,))
    for held in record["cells"]:
        held.update(state="waiting", evaluations={})
    page = page_of(record, tmp_path)
    Outline(page)
    assert "waiting" in page
    assert "<svg" not in page


def test_same_table_same_bytes(tmp_path: Path) -> None:
    assert page_of(grid(["cam", "rfga"]), tmp_path) == page_of(grid(["cam", "rfga"]), tmp_path)
