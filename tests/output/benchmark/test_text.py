from __future__ import annotations

import csv

import numpy as np
import pytest

from rfga.output.benchmark.table import make_table
from rfga.output.benchmark.text import CSV_COLUMNS, csv_text, markdown, text_rows
from tests.output.benchmark.made_up import CENTRE, benchmark, cell, grid


def table_lines(text: str, heading: str) -> list[list[str]]:
    part = text.split(f"## {heading}")[1].split("##", maxsplit=1)[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    return [[entry.strip() for entry in row.strip("|").split(" | ")] for row in rows]


def test_markdown_has_a_whole_table_for_each_normalisation() -> None:
    table = make_table(grid(["cam", "rfga"]))
    text = markdown(table)
    for normalisation in ("minmax", "ivr"):
        head, rule, *rows = table_lines(text, f"Score maps normalised by {normalisation}")
        assert len(rows) == len(table.rows)
        assert {len(row) for row in (head, rule, *rows)} == {len(head)}
        assert head[:5] == ["method", "backbone", "seeds", "MaxBoxAccV2", "MaxBoxAccV2 published"]
    assert "[1] Choe et al. 2020 (wsolevaluation main table)" in text
    assert "69.87 [3, normalisation not stated]" in text
    assert "epochs 50" in text


def test_best_is_bold_and_a_single_seed_has_no_deviation() -> None:
    cells = [
        cell(name, "a", 0, {"minmax": {"PxAP": value}}) for name, value in (("cam", 0.5), ("rfga", 0.61))
    ]
    text = markdown(make_table(benchmark(cells, normalisations=["minmax"])))
    assert "| rfga | a | 0 | **61.0 ± -** |" in text
    assert "| cam | a | 0 | 50.0 ± - |" in text


def test_baseline_without_seeds_is_one_number() -> None:
    _, _, *rows = table_lines(markdown(make_table(grid(["cam"]))), "Score maps normalised by minmax")
    [centre] = [row for row in rows if row[0] == CENTRE]
    assert centre[3:5] == ["59.7", "59.7 [1]"]


def test_reasons_cannot_break_the_table() -> None:
    record = grid(["cam"], seeds=(0,))
    record["cells"][0].update(state="failed", reason="a | b", evaluations={})
    assert "| failed: a \\| b |" in markdown(make_table(record))


def test_csv_has_every_number_exactly() -> None:
    record = grid(["cam", "rfga"])
    rows = list(csv.DictReader(csv_text(make_table(record)).splitlines()))
    assert tuple(rows[0]) == CSV_COLUMNS
    [found] = [
        r for r in rows if (r["method"], r["normalisation"], r["metric"]) == ("rfga", "ivr", "Top1Loc")
    ]
    values = [
        100 * c["evaluations"]["ivr"]["metrics"]["Top1Loc"][0]["value"]
        for c in record["cells"]
        if c["method"] == "rfga"
    ]
    assert [float(v) for v in found["values_percent"].split()] == pytest.approx(values, abs=1e-4)
    assert float(found["mean_percent"]) == pytest.approx(np.mean(values), abs=1e-4)
    assert float(found["deviation_points"]) == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert (found["seeds"], found["weights"], found["seconds_per_run"]) == ("0 1 2", "3500000", "360.0")


def test_csv_keeps_rows_without_numbers() -> None:
    record = grid(["cam"], seeds=(0,))
    record["cells"][0].update(state="failed", reason='no "memory", at all', evaluations={})
    rows = list(csv.DictReader(csv_text(make_table(record)).splitlines()))
    [failed] = [row for row in rows if row["method"] == "cam"]
    assert (failed["remark"], failed["metric"]) == ('failed: no "memory", at all', "")


def test_terminal_has_the_same_rows_without_stars() -> None:
    head, rows = text_rows(make_table(grid(["cam", "rfga"])), "minmax")
    assert all(len(row) == len(head) for row in rows)
    assert not any("**" in text for row in rows for text in row)
