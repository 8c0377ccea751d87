"""The numbers of an evaluation as rows, the same for the terminal and the report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

MEANINGS = {
    "MaxBoxAcc": "images whose box overlaps a true box by IoU 0.5 or more",
    "MaxBoxAccV2": "images whose boxes overlap a true box, mean over IoU 0.3, 0.5 and 0.7",
    "PxAP": "average precision of the pixels, all images pooled",
    "Top1Cls": "images whose class is named right",
    "Top5Cls": "images whose class is among the first five",
    "Top1Loc": "class named right and box right (IoU 0.5)",
    "Top5Loc": "class among the first five and box right (IoU 0.5)",
    "GTKnownLoc": "box right (IoU 0.5) when the class is given",
}
NOTHING = "-"
COLUMNS = ("metric", "value %", "95 % interval", "threshold", "source", "normalisation", "contours")


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One number with everything that belongs to it."""

    metric: str  # "MaxBoxAccV2", and "MaxBoxAccV2, IoU 0.3" for its parts
    value: float  # fraction of 1
    interval: tuple[float, float] | None  # bootstrap 95 %, fractions of 1
    threshold: str
    source: str  # of the threshold: oracle, val, fixed, label-free
    normalisation: str
    contours: str

    @property
    def percent(self) -> str:
        """The value as text, one decimal: "57.3"."""
        return NOTHING if math.isnan(self.value) else f"{100 * self.value:.1f}"

    @property
    def interval_percent(self) -> str:
        """The interval as text: "54.1 to 60.2"."""
        return NOTHING if self.interval is None else " to ".join(f"{100 * end:.1f}" for end in self.interval)

    @property
    def with_interval(self) -> str:
        """Value and interval as text: "57.3 (54.1 to 60.2)"."""
        return self.percent if self.interval is None else f"{self.percent} ({self.interval_percent})"

    def cells(self) -> tuple[str, ...]:
        """Texts in the order of `COLUMNS`."""
        rule = (self.threshold, self.source, self.normalisation, self.contours)
        return (self.metric, self.percent, self.interval_percent, *rule)


def metric_rows(evaluation: Mapping[str, Any]) -> list[MetricRow]:
    """One row an entry of an evaluation's ``--json`` form, and one for each IoU of a metric that has several.

    Args:
        evaluation: ``{"metrics": {NAME: [entry, ...]}}`` with ``value``, ``interval``, ``threshold``,
            ``threshold_source``, ``normalisation``, ``contours`` and ``per_iou`` where they apply.

    Example:
        >>> entry = {"value": 0.573, "interval": [0.541, 0.602], "threshold": 0.21,
        ...          "threshold_source": "oracle", "normalisation": "minmax", "contours": "largest"}
        >>> metric_rows({"metrics": {"MaxBoxAcc": [entry]}})[0].cells()
        ('MaxBoxAcc', '57.3', '54.1 to 60.2', '0.210', 'oracle', 'minmax', 'largest')
    """
    rows = []
    for metric, entries in evaluation["metrics"].items():
        for entry in entries:
            rows.append(_row(metric, entry, entry["value"], entry.get("interval"), entry.get("threshold")))
            for iou, value in (entry.get("per_iou") or {}).items():
                threshold = entry.get("threshold")
                own = threshold.get(iou) if isinstance(threshold, Mapping) else threshold
                rows.append(_row(f"{metric}, IoU {iou}", entry, value, None, own))
    return rows


# Of the largest value in a row: its interval lies apart from the others, overlaps one, or is not known.
Mark = Literal["", "apart", "overlap", "unknown"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A method's number in a row of the comparison."""

    row: MetricRow
    mark: Mark


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """The same number of several methods; None where a method does not have it."""

    metric: str
    source: str
    normalisation: str
    contours: str
    cells: tuple[Cell | None, ...]


def compare(evaluations: Sequence[Mapping[str, Any]]) -> list[ComparisonRow]:
    """Put the rows of several methods beside each other: those that differ in nothing but the numbers.

    The larger value of a row is marked with whether its interval lies apart from every other one; values
    that are equal as printed get no mark.
    """
    tables = [_keyed(metric_rows(evaluation)) for evaluation in evaluations]
    keys = list(dict.fromkeys(key for table in tables for key in table))
    compared = []
    for key in keys:
        rows = [table.get(key) for table in tables]
        marked = zip(rows, marks(rows), strict=True)
        cells = tuple(Cell(row, mark) if row else None for row, mark in marked)
        compared.append(ComparisonRow(*key[:4], cells))
    return compared


def benchmark_rows(evaluations: Sequence[Mapping[str, Any]]) -> list[ComparisonRow]:
    """The rows of `compare` that follow the benchmark's contour rule, that of each metric's first entry.

    Example:
        >>> entries = [{"value": 0.5, "contours": rule} for rule in ("all", "largest")]
        >>> [row.contours for row in benchmark_rows([{"metrics": {"MaxBoxAccV2": entries}}])]
        ['all']
    """
    rows = compare(evaluations)
    rule: dict[str, str] = {}
    for row in rows:
        rule.setdefault(row.metric, row.contours)
    return [row for row in rows if row.contours == rule[row.metric]]


def marks(rows: Sequence[MetricRow | None]) -> list[Mark]:
    """A mark for the largest of some numbers of one kind, empty texts for the others and where none leads.

    Example:
        >>> def number(value: float, spread: float) -> MetricRow:
        ...     return MetricRow("PxAP", value, (value - spread, value + spread), "", "", "", "")
        >>> marks([number(0.5, 0.1), number(0.8, 0.1), None])
        ['', 'apart', '']
    """
    marked: list[Mark] = [""] * len(rows)
    known = [(row.value, index, row) for index, row in enumerate(rows) if row and not math.isnan(row.value)]
    if len(known) < 2:
        return marked
    (_, index, best), *others = sorted(known, key=lambda item: -item[0])
    if others[0][2].percent == best.percent:
        return marked
    if any(row.interval is None for _, _, row in known):
        marked[index] = "unknown"
        return marked
    highest = max(row.interval[1] for _, _, row in others if row.interval)
    marked[index] = "apart" if best.interval and best.interval[0] > highest else "overlap"
    return marked


def _row(metric: str, entry: Mapping[str, Any], value: Any, interval: Any, threshold: Any) -> MetricRow:
    known = interval is not None and all(end is not None and not math.isnan(end) for end in interval)
    return MetricRow(
        metric=metric,
        value=math.nan if value is None else float(value),
        interval=(float(interval[0]), float(interval[1])) if known else None,
        threshold=_threshold_text(threshold),
        source=entry.get("threshold_source") or NOTHING,
        normalisation=entry.get("normalisation") or NOTHING,
        contours=entry.get("contours") or NOTHING,
    )


def _threshold_text(threshold: Any) -> str:
    if threshold is None:
        return NOTHING
    values = threshold.values() if isinstance(threshold, Mapping) else [threshold]
    return " / ".join(f"{float(value):.3f}" for value in values)


def _keyed(rows: Sequence[MetricRow]) -> dict[tuple[str, str, str, str, int], MetricRow]:
    seen: Counter[tuple[str, str, str, str]] = Counter()
    keyed = {}
    for row in rows:
        rule = (row.metric, row.source, row.normalisation, row.contours)
        keyed[(*rule, seen[rule])] = row  # two fixed thresholds: the first beside the first
        seen[rule] += 1
    return keyed
