"""The page of a benchmark: one HTML file with the table, plots of the spread over seeds, and all sources."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from rfga.output.benchmark.table import BenchmarkTable, Row
from rfga.output.benchmark.text import ARROW, QUOTED, explanation
from rfga.output.page import write_template
from rfga.output.plots import method_colours, spread_svg
from rfga.output.table import MEANINGS

_PLOTTED = ("MaxBoxAccV2", "PxAP", "Top1Loc", "Top1Cls")  # the others follow one of these


def write_page(path: Path, table: BenchmarkTable) -> None:
    """Write one self-contained HTML page.

    Args:
        path: the page; it appears whole or not at all.
        table: from ``make_table``.

    Raises:
        UserError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from rfga.output.benchmark.table import make_table
        >>> page = Path(tempfile.mkdtemp()) / "benchmark.html"
        >>> empty = {"dataset": "<birds>", "split": "val", "images": 6, "settings": {}, "cells": []}
        >>> write_page(page, make_table({**empty, "normalisations": ["minmax"]}))
        >>> "<h1>Benchmark of &lt;birds&gt;, val</h1>" in page.read_text(encoding="utf-8")
        True
    """
    write_template(
        path,
        "benchmark/page.html.jinja",
        table=table,
        title=f"Benchmark of {table.dataset}, {table.split}",
        explanation=explanation(table),
        meanings=MEANINGS,
        plots=list(_plots(table)),
        arrow=ARROW,
        quoted=QUOTED,
    )


def _plots(table: BenchmarkTable) -> Iterator[Markup]:
    # The drawings escape the names they show (plots.py), so they enter the page as they are.
    colours = method_colours(table.normalisations)
    several = len({row.backbone for row in table.rows} - {None}) > 1
    for metric in [metric for metric in table.metrics if metric in _PLOTTED]:
        rows = [row for row in table.rows if any((how, metric) in row.numbers for how in colours)]
        bars = {_label(row, several): [_bar(row, how, metric) for how in colours] for row in rows}
        # Where the normalisation plays no part, as for the class, one bar says it all.
        same = all(len({own[0] for own in bar}) == 1 for bar in bars.values())
        shown = dict(list(colours.items())[:1]) if same else colours
        yield Markup(spread_svg(metric, bars, shown))


def _label(row: Row, several: bool) -> str:
    return row.method if row.backbone is None or not several else f"{row.method} · {row.backbone}"


def _bar(row: Row, normalisation: str, metric: str) -> tuple[float, float | None]:
    number = row.numbers.get((normalisation, metric))
    if number is None:
        return math.nan, None
    deviation = number.spread.deviation
    return 100 * number.spread.mean, None if deviation is None else 100 * deviation
