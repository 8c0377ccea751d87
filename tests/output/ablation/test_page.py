from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rfga.output.ablation.page import write_ablation_page
from rfga.output.ablation.table import make_ablation_table, points
from rfga.output.ablation.text import CSV_COLUMNS, ablation_csv, ablation_markdown, short_rows, text_rows
from tests.output.ablation.made_up import number, record, variant, whole
from tests.output.benchmark.test_page import Outline

FULL = variant("full layer", "full layer", {"PxAP": number([0.5, 0.52])})


def page_of(held: dict[str, object], folder: Path) -> str:
    write_ablation_page(folder / "ablation.html", make_ablation_table(held))
    return (folder / "ablation.html").read_text(encoding="utf-8")


def lines(text: str) -> list[list[str]]:
    """The cells of every row of the tables in Markdown."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"
    ]


def test_numbers_and_differences_as_text() -> None:
    worse = variant("gate=softmax", "gate", {"PxAP": number([0.48, 0.49], ([-0.02, -0.03], 0.01))})
    alike = variant("kernel_size=5", "kernel", {"PxAP": number([0.51], ([0.0004], 0.01))}, seconds=None)
    table = make_ablation_table(record([FULL, worse, alike]))
    assert table.metrics == ("PxAP",)
    assert [row.number("PxAP") for row in table.rows] == ["51.0 ± 1.4", "48.5 ± 0.7", "51.0 ± -"]
    assert [row.difference("PxAP") for row in table.rows] == [
        "-",
        "-2.5 ± 0.7 (-3.5 to -1.5)",
        "0.0 ± - (-1.0 to +1.0)",
    ]
    assert [row.differences["PxAP"].is_apart for row in table.rows[1:]] == [True, False]
    head, *rows = lines(ablation_markdown(table))
    assert head == [
        "mechanism",
        "variant",
        "seeds",
        "PxAP",
        "PxAP difference",
        "training",
        "weights",
        "remarks",
    ]
    assert [row[4] for row in rows[1:]] == ["-", "**-2.5 ± 0.7 (-3.5 to -1.5)**", "0.0 ± - (-1.0 to +1.0)"]
    assert [row[5] for row in rows[1:]] == ["1.0 min", "1.0 min", "-"]
    assert text_rows(table)[1][1][4] == "-2.5 ± 0.7 (-3.5 to -1.5)"
    assert short_rows(table)[1][0] == ["full layer", "0, 1", "51.0", "-"]


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0126, "+1.3"), (-0.0126, "-1.3"), (0.0, "0.0"), (-0.0004, "0.0"), (0.0005, "+0.1")],
)
def test_points_have_a_sign(fraction: float, text: str) -> None:
    assert points(fraction + 1e-9) == text


def test_csv_has_every_number_with_its_digits() -> None:
    table = make_ablation_table(whole())
    rows = list(csv.DictReader(io.StringIO(ablation_csv(table))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 3 * (len(table.rows) - 2) + 2
    of = {(row["variant"], row["metric"]): row for row in rows}
    for row in table.rows:
        for metric, spread in row.numbers.items():
            own = of[row.name, metric]
            assert float(own["mean_percent"]) == pytest.approx(100 * spread.mean, abs=1e-4)
            found = row.differences.get(metric)
            low = "" if found is None else f"{100 * found.interval[0]:.4f}"
            assert own["difference_low_points"] == low
    assert of["position=-2", ""]["remark"].startswith("not possible")


def test_page_has_every_number_under_its_mechanism(tmp_path: Path) -> None:
    held = whole()
    table, page = make_ablation_table(held), page_of(held, tmp_path)
    assert "<h1>Ablation of RFGA on objects10, val</h1>" in page
    head, *rows = Outline(page).rows[: 1 + len(table.rows) + len(table.mechanisms)]
    assert len(head) == 4 + 2 * 3
    shown = {row[0].split("not possible")[0].strip(): row for row in rows if len(row) == len(head)}
    assert list(shown) == [row.name for row in table.rows]
    for row in table.rows:
        for place, metric in enumerate(table.metrics):
            number_text, difference = shown[row.name][2 + 2 * place : 4 + 2 * place]
            found = row.differences.get(metric)
            assert number_text.split()[0] == (row.numbers[metric].percent if row.numbers else "-")
            assert difference.split()[:1] == ([] if found is None else [points(found.spread.mean)])
    groups = [row[0] for row in rows if len(row) == 1]
    assert groups == [f"{name} {decides}" for name, decides in table.mechanisms.items()]


def test_page_is_whole_in_itself_and_its_plots_are_well_formed(tmp_path: Path) -> None:
    page = page_of(whole(), tmp_path)
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "<script" not in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 3
    for plot in plots:
        ElementTree.fromstring(plot)
        texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", plot))
        assert {"views", "channel+height", "no layer (CAM)", "gate", "softmax"} <= texts
        assert "position" not in texts  # nothing of it was measured
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page == page_of(whole(), tmp_path)


@pytest.mark.parametrize("nasty", ['<b>$x_1$ & "y"</b>', "_hidden"])
def test_names_and_reasons_are_shown_as_they_are(nasty: str, tmp_path: Path) -> None:
    worse = variant(nasty, nasty, {"PxAP": number([0.4], ([-0.1], 0.01))}, remarks=[nasty])
    failed = {"name": nasty, "state": "failed", "reason": nasty}
    page = page_of(
        record([FULL, worse], cells=[failed], dataset=nasty, settings={"weights": nasty}), tmp_path
    )
    Outline(page)
    assert "<b>$" not in page
    assert "1 of the runs failed" in page


def test_page_before_the_first_number_and_of_a_trained_network(tmp_path: Path) -> None:
    waiting = variant("full layer", "full layer", {}, weights=None, seconds=None, remarks=["waiting"])
    page = page_of(record([waiting], settings={"freeze_backbone": False}), tmp_path)
    Outline(page)
    assert "<svg" not in page
    assert "The whole network is trained" in page
    assert "The network is frozen" in page_of(record([FULL]), tmp_path)
