"""The table of a benchmark as Markdown for people and as CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rfga.output.benchmark.table import BenchmarkTable, Row
from rfga.output.table import MEANINGS, NOTHING

CSV_COLUMNS = (
    "dataset",
    "split",
    "method",
    "backbone",
    "normalisation",
    "metric",
    "mean_percent",
    "deviation_points",
    "seeds",
    "values_percent",
    "published_percent",
    "published_normalisation",
    "published_source",
    "seconds_per_run",
    "weights",
    "remark",
)
QUOTED = "Published numbers are quoted, not measured here, and may come of other settings of training."
ARROW = "\N{BLACK UP-POINTING TRIANGLE}"


def explanation(table: BenchmarkTable) -> str:
    """How the numbers are to be read, in a few sentences.

    Example:
        >>> from rfga.output.benchmark.table import make_table
        >>> empty = {"dataset": "birds", "split": "val", "images": 6, "settings": {}, "cells": []}
        >>> explanation(make_table({**empty, "normalisations": ["minmax"]}))[:45]
        '6 images of birds, split val. All numbers are'
    """
    return (
        f"{table.images} images of {table.dataset}, split {table.split}. All numbers are percentages, larger "
        "is better: mean and standard deviation (n-1) over the seeds, - for a single one. Each follows the "
        "benchmark's own definition, with the threshold that is best for these very images (oracle). All "
        "methods have the same settings and the same normalisation of score maps. The best method on a "
        f"backbone is bold, with {ARROW} where its mean less its deviation lies above every other's mean and "
        "deviation; elsewhere the order may be chance. Baselines are not ranked: the few-shot one learns "
        "from boxes or masks. Time is that of a run, training and measuring."
    )


def markdown(table: BenchmarkTable) -> str:
    """The whole table: a part for each normalisation, then sources, other published numbers and failures."""
    lines = [f"# Benchmark of {table.dataset}, {table.split}", "", explanation(table), ""]
    lines += [f"- {metric}: {MEANINGS[metric]}" for metric in table.metrics]
    for normalisation in table.normalisations:
        lines += ["", f"## Score maps normalised by {normalisation}", ""]
        lines += grid_lines(_header(table, normalisation), _body(table, normalisation))
    if table.elsewhere:
        lines += ["", "## Published elsewhere on these backbones", ""]
        rows = [
            (p.method, p.backbone, p.normalisation, p.metric, table.reference(p)) for p in table.elsewhere
        ]
        lines += grid_lines(("method", "backbone", "normalisation", "metric", "published"), rows)
    if table.sources:
        lines += ["", QUOTED, ""]
        lines += [f"[{number}] {source}  " for number, source in enumerate(table.sources, 1)]
    return "\n".join([*lines, *last_lines(table.failed, table.settings)])


def text_rows(table: BenchmarkTable, normalisation: str) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of one normalisation as plain text, for the terminal."""
    return list(_header(table, normalisation)), [
        [cell.replace("**", "") for cell in row] for row in _body(table, normalisation)
    ]


def csv_text(table: BenchmarkTable) -> str:
    """One line for each row, normalisation and metric, and one for each row without numbers."""
    return csv_of(
        CSV_COLUMNS,
        (
            {
                "dataset": table.dataset,
                "split": table.split,
                "method": row.method,
                "backbone": row.backbone or "",
                "seconds_per_run": "" if row.seconds is None else f"{row.seconds:.1f}",
                "weights": "" if row.weights is None else row.weights,
                "remark": "; ".join(row.remarks),
                **line,
            }
            for row in table.rows
            for line in list(_csv_numbers(row)) or [{}]
        ),
    )


def csv_of(columns: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> str:
    """Lines as CSV under their columns; what a line does not have stays empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _csv_numbers(row: Row) -> Iterator[dict[str, str]]:
    for (normalisation, metric), number in row.numbers.items():
        spread = number.spread
        yield {
            "normalisation": normalisation,
            "metric": metric,
            "mean_percent": percent_text(spread.mean),
            "deviation_points": percent_text(spread.deviation),
            "seeds": " ".join(map(str, row.seeds)),
            "values_percent": " ".join(map(percent_text, spread.values)),
            "published_percent": "; ".join(str(p.percent) for p in number.published),
            "published_normalisation": "; ".join(p.normalisation for p in number.published),
            "published_source": "; ".join(p.source for p in number.published),
        }


def _header(table: BenchmarkTable, normalisation: str) -> Iterator[str]:
    yield from ("method", "backbone", "seeds")
    for metric in table.metrics:
        yield metric
        if table.has_published(normalisation, metric):
            yield f"{metric} published"
    yield from ("time", "weights", "remarks")


def _body(table: BenchmarkTable, normalisation: str) -> Iterator[list[str]]:
    for row in table.rows:
        cells = [row.method, row.backbone or NOTHING, row.seeds_text]
        for metric in table.metrics:
            number = row.numbers.get((normalisation, metric))
            text = NOTHING if number is None else number.spread.text if row.seeds else number.spread.percent
            if number is not None and number.mark:
                text = f"**{text}**" + (f" {ARROW}" if number.mark == "apart" else "")
            cells.append(text)
            if table.has_published(normalisation, metric):
                published = () if number is None else number.published
                cells.append(", ".join(table.reference(p) for p in published) or NOTHING)
        yield [*cells, row.time, row.millions, "; ".join(row.remarks)]


def grid_lines(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def last_lines(failed: Sequence[tuple[str, str]], settings: Mapping[str, Any]) -> list[str]:
    """The end of a page in Markdown: what failed and why, and the settings of all runs."""
    lines = ["", "## Failed", "", *(f"- {name}: {reason}" for name, reason in failed)] if failed else []
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    return [*lines, *(["", f"Settings of all runs: {said}.", ""] if said else [""])]


def percent_text(fraction: float | None) -> str:
    """A fraction of 1 as programs read it, in percent or percentage points; empty where there is none."""
    return "" if fraction is None else f"{100 * fraction:.4f}"
