"""What the command line prints: lines and tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfga.output.letters import legible

if TYPE_CHECKING:
    from rfga.engine.localizing.journal import Summary
    from rfga.output.benchmark.table import BenchmarkTable


_CLASS_FROM = {"folder": "of the folder", "file": "of the file of labels", "predicted": "the most probable"}


def say(values: Mapping[str, Any], text: str) -> None:
    """Print a line unless ``--quiet`` was given."""
    if not values.get("quiet"):
        tell(text)


def tell(text: str) -> None:
    """Print a line; names in it steer no terminal."""
    print(legible(text), flush=True)


def warn(text: str) -> None:
    """As ``tell``, where errors go."""
    print(legible(text), file=sys.stderr, flush=True)


def print_some(lines: Sequence[str], rest: str, most: int = 10) -> None:
    """The first lines of many, where errors go, and how many there are besides."""
    for line in lines[:most]:
        warn(line)
    if len(lines) > most:
        warn(f"and {len(lines) - most} {rest}")


def print_summary(summary: Summary, out: str | Path) -> None:
    """How many photographs got boxes, and the folder these are in."""
    tell(
        f"{summary.inputs} photographs: {summary.done} done, {summary.skipped} skipped (done before), "
        f"{len(summary.failed)} failed; {summary.without_box} without a box; in {out}"
    )
    if summary.class_from:
        counts = ", ".join(f"{_CLASS_FROM[name]} {count}" for name, count in summary.class_from.items())
        tell(f"class that is boxed: {counts}")
    for note in (*summary.notes, *([summary.witness] if summary.witness else [])):
        tell(f"note: {note}")


def print_metrics(evaluations: Sequence[Mapping[str, Any]]) -> None:
    """Every metric of some evaluations as a table."""
    from rfga.output.table import COLUMNS, metric_rows

    print_table(COLUMNS, [row.cells() for evaluation in evaluations for row in metric_rows(evaluation)])


def print_benchmark(table: BenchmarkTable) -> None:
    """A benchmark's table of each normalisation."""
    from rfga.output.benchmark.text import text_rows

    for normalisation in table.normalisations:
        tell(f"{table.dataset}, {table.split}, score maps normalised by {normalisation}, percent")
        print_table(*text_rows(table, normalisation))
    for number, source in enumerate(table.sources, 1):
        tell(f"[{number}] {source}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of text under headings."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A table that is not on a terminal must not be cut to a terminal's width.
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(legible(cell)) for cell in row))
    console.print(table)
