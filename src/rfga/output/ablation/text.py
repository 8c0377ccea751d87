"""The table of an ablation as Markdown for people and as CSV for programs."""

from __future__ import annotations

from collections.abc import Iterator

from rfga.output.ablation.table import AblationRow, AblationTable
from rfga.output.benchmark.text import csv_of, grid_lines, last_lines, percent_text
from rfga.output.table import MEANINGS, NOTHING

CSV_COLUMNS = (
    "dataset",
    "split",
    "mechanism",
    "variant",
    "metric",
    "mean_percent",
    "deviation_points",
    "seeds",
    "values_percent",
    "difference_points",
    "difference_deviation_points",
    "difference_low_points",
    "difference_high_points",
    "differences_points",
    "training_seconds",
    "weights",
    "remark",
)


def ablation_explanation(table: AblationTable) -> str:
    """How the numbers are to be read, in a few sentences."""
    trained = (
        "The network is frozen: the layer and the classifier alone learn, on its features of whole "
        "photographs, and their weights are counted."
        if table.frozen
        else "The whole network is trained, and its weights are counted."
    )
    return (
        f"{table.images} images of {table.dataset}, split {table.split}. Each line differs from the full "
        f"layer in one thing alone. {trained} All numbers are percentages, larger is better: mean and "
        "standard deviation (n-1) over the seeds, - for a single one; score maps are normalised by "
        f"{table.normalisation} unless a line says otherwise, and cut at the threshold that is best for "
        "these images (oracle). Differences are in percentage points, to the full layer of the same seed: "
        "mean and deviation over the seeds, and in parentheses the bootstrap interval (95 %) of the mean "
        "over images, the same images for both. A bold difference has an interval that leaves out zero. Of "
        "twenty lines without any effect about one would do so by chance; how other seeds would differ is "
        "not in the interval, but in the deviation."
    )


def ablation_markdown(table: AblationTable) -> str:
    """The whole table with what its lines and numbers mean, and failures."""
    lines = [f"# Ablation of RFGA on {table.dataset}, {table.split}", "", ablation_explanation(table), ""]
    lines += [f"- {metric}: {MEANINGS[metric]}" for metric in table.metrics]
    lines += [""]
    lines += [f"- {name}: {decides}" for name, decides, _ in table.groups if decides]
    lines += ["", *grid_lines(*text_rows(table, bold="**"))]
    return "\n".join([*lines, *last_lines(table.failed, table.settings)])


def text_rows(table: AblationTable, bold: str = "") -> tuple[list[str], list[list[str]]]:
    """Heading and rows as plain text.

    Args:
        table: the table.
        bold: put around a difference whose interval leaves out zero.
    """
    columns = [text for metric in table.metrics for text in (metric, f"{metric} difference")]
    head = ["mechanism", "variant", "seeds", *columns, "training", "weights", "remarks"]
    return head, [list(_cells(row, table, bold)) for row in table.rows]


def _cells(row: AblationRow, table: AblationTable, bold: str) -> Iterator[str]:
    yield from (row.mechanism, row.name, row.seeds_text)
    for metric in table.metrics:
        apart = metric in row.differences and row.differences[metric].is_apart
        mark = bold if apart else ""
        yield from (row.number(metric), f"{mark}{row.difference(metric)}{mark}")
    yield from (row.time, row.size, "; ".join(row.remarks))


def short_rows(table: AblationTable) -> tuple[list[str], list[list[str]]]:
    """Heading and rows that fit a terminal: means, and differences where there are any."""
    head = ["variant", "seeds"]
    for metric in table.metrics:
        head += [metric, "difference"]
    rows = []
    for row in table.rows:
        cells = [row.name, row.seeds_text]
        for metric in table.metrics:
            number = row.numbers.get(metric)
            cells += [NOTHING if number is None else number.percent, row.difference(metric)]
        rows.append(cells)
    return head, rows


def ablation_csv(table: AblationTable) -> str:
    """One line for each variant and metric, and one for each variant without numbers."""
    return csv_of(
        CSV_COLUMNS,
        (
            {
                "dataset": table.dataset,
                "split": table.split,
                "mechanism": row.mechanism,
                "variant": row.name,
                "seeds": " ".join(map(str, row.seeds)),
                "training_seconds": "" if row.seconds is None else f"{row.seconds:.1f}",
                "weights": "" if row.weights is None else row.weights,
                "remark": "; ".join(row.remarks),
                **line,
            }
            for row in table.rows
            for line in list(_csv_numbers(row)) or [{}]
        ),
    )


def _csv_numbers(row: AblationRow) -> Iterator[dict[str, str]]:
    for metric, spread in row.numbers.items():
        line = {
            "metric": metric,
            "mean_percent": percent_text(spread.mean),
            "deviation_points": percent_text(spread.deviation),
            "values_percent": " ".join(map(percent_text, spread.values)),
        }
        found = row.differences.get(metric)
        if found is not None:
            line |= {
                "difference_points": percent_text(found.spread.mean),
                "difference_deviation_points": percent_text(found.spread.deviation),
                "difference_low_points": percent_text(found.interval[0]),
                "difference_high_points": percent_text(found.interval[1]),
                "differences_points": " ".join(map(percent_text, found.spread.values)),
            }
        yield line
