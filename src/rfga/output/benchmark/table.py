"""The table of a benchmark: mean and spread over the seeds of each method, beside the literature."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rfga.output.benchmark.published import UNSTATED, VARIANT, Published, beside, published_on
from rfga.output.table import NOTHING, Mark, MetricRow, marks

METRICS = ("MaxBoxAccV2", "PxAP", "MaxBoxAcc", "Top1Loc", "GTKnownLoc", "Top1Cls")
_KINDS = ("method", "few-shot", "baseline")  # in the order of the table
_DONE, _FAILED, _WAITING = "done", "failed", "waiting"


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of several seeds; fractions of 1."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of all seeds."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation with n - 1; None for a single seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def percent(self) -> str:
        """The mean as text: "57.3"."""
        return f"{100 * self.mean:.1f}"

    @property
    def deviation_percent(self) -> str:
        """The deviation as text, "-" for a single seed."""
        return NOTHING if self.deviation is None else f"{100 * self.deviation:.1f}"

    @property
    def text(self) -> str:
        """Both: "57.3 ± 1.2".

        Example:
            >>> Spread((0.56, 0.58)).text, Spread((0.56,)).text
            ('57.0 ± 1.4', '56.0 ± -')
        """
        return f"{self.percent} ± {self.deviation_percent}"


def time_text(seconds: float | None) -> str:
    """A time in its fitting unit: "1.5 min"."""
    if seconds is None:
        return NOTHING
    units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
    size, unit = next((u for u in units if seconds >= u[0]), units[-1])
    return f"{seconds / size:.1f} {unit}"


def count_text(weights: int | None) -> str:
    """A number of weights: "23.9 M", or in thousands below a million."""
    if not weights:
        return NOTHING
    return f"{weights / 1e6:.1f} M" if weights >= 1e6 else f"{weights / 1e3:.1f} k"


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a row, what the literature has beside it, and whether it leads among the methods."""

    spread: Spread
    published: tuple[Published, ...] = ()
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A method on a backbone, or a baseline."""

    kind: str
    method: str
    backbone: str | None
    seeds: tuple[int, ...]  # that are measured
    numbers: Mapping[tuple[str, str], Number]  # by normalisation and metric
    seconds: float | None  # of a cell on average, training and measuring
    weights: int | None
    remarks: tuple[str, ...]  # on cells that are missing

    @property
    def time(self) -> str:
        """The mean time of a cell as text.

        Example:
            >>> Row("method", "cam", "resnet50", (0,), {}, 90.0, 23_918_000, ()).time
            '1.5 min'
        """
        return time_text(self.seconds)

    @property
    def millions(self) -> str:
        """The number of weights as text: "23.9 M"."""
        return count_text(self.weights)

    @property
    def seeds_text(self) -> str:
        """The seeds as text."""
        return ", ".join(map(str, self.seeds)) or NOTHING


@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    """Everything that the table and its page say."""

    dataset: str
    split: str
    images: int
    metrics: tuple[str, ...]
    normalisations: tuple[str, ...]
    rows: tuple[Row, ...]
    sources: tuple[str, ...]  # of published numbers, in the order in which they are counted from 1
    elsewhere: tuple[Published, ...]  # published for these backbones, without a number of ours beside it
    failed: tuple[tuple[str, str], ...]  # cell, reason
    settings: Mapping[str, Any]

    def reference(self, published: Published) -> str:
        """A published number with the mark of its source, and with what is not known of it."""
        digits = 1 if math.isclose(published.percent, round(published.percent, 1)) else 2
        unsaid = "" if published.normalisation in self.normalisations else ", normalisation not stated"
        return f"{published.percent:.{digits}f} [{self.sources.index(published.source) + 1}{unsaid}]"

    def has_published(self, normalisation: str, metric: str) -> bool:
        """Whether any row has a published number there."""
        found = [row.numbers.get((normalisation, metric)) for row in self.rows]
        return any(number.published for number in found if number is not None)


def make_table(benchmark: Mapping[str, Any]) -> BenchmarkTable:
    """The table of what benchmark.json holds.

    Backbones stand in the order of the cells; on each the methods from the largest mean of the leading
    metric down, then the few-shot baseline, and in the end the baselines without a network. The largest
    mean of the methods on a backbone is marked: "apart" where no other's mean and deviation reach its own.

    Args:
        benchmark: with ``dataset``, ``split``, ``images``, ``normalisations``, ``settings`` and ``cells``.

    Example:
        >>> numbers = {"minmax": {"metrics": {"PxAP": [{"value": 0.5}]}}}
        >>> cell = {"kind": "method", "method": "cam", "backbone": "resnet50", "seed": 0, "state": "done",
        ...         "name": "cam-0", "evaluations": numbers, "train_seconds": 60.0, "evaluate_seconds": 30.0,
        ...         "weights": 23_500_000}
        >>> made = make_table({"dataset": "birds", "split": "val", "images": 9, "settings": {},
        ...                    "normalisations": ["minmax"], "cells": [cell]})
        >>> made.metrics, made.rows[0].numbers["minmax", "PxAP"].spread.text
        (('PxAP',), '50.0 ± -')
    """
    cells: Sequence[Mapping[str, Any]] = benchmark["cells"]
    published = published_on(benchmark["dataset"], benchmark["split"])
    normalisations = tuple(benchmark["normalisations"])
    rows = [_row(members, normalisations, published) for members in _groups(cells)]
    metrics = tuple(metric for metric in METRICS if any(key[1] == metric for r in rows for key in r.numbers))
    rows = _marked(_sorted(rows, metrics, normalisations))
    shown = [p for row in rows for number in row.numbers.values() for p in number.published]
    elsewhere = tuple(_elsewhere(published, shown, rows, normalisations))
    return BenchmarkTable(
        dataset=benchmark["dataset"],
        split=benchmark["split"],
        images=benchmark["images"],
        metrics=metrics,
        normalisations=normalisations,
        rows=tuple(rows),
        sources=tuple(dict.fromkeys(p.source for p in (*shown, *elsewhere))),
        elsewhere=elsewhere,
        failed=tuple((c["name"], c["reason"]) for c in cells if c["state"] == _FAILED),
        settings=benchmark["settings"],
    )


def _groups(cells: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The cells of each row: those that differ in nothing but the seed."""
    groups: dict[tuple[str, str, str | None], list[Mapping[str, Any]]] = {}
    for cell in cells:
        possible = cell["state"] in (_DONE, _FAILED, _WAITING)
        # What cannot be done at all is said once, not for every backbone.
        key = (cell["kind"], cell["method"], cell["backbone"] if possible else None)
        groups.setdefault(key, []).append(cell)
    return list(groups.values())


def _row(
    cells: Sequence[Mapping[str, Any]], normalisations: Sequence[str], published: Sequence[Published]
) -> Row:
    first = cells[0]
    done = [cell for cell in cells if cell["state"] == _DONE]
    backbone = first["backbone"] if first["state"] in (_DONE, _FAILED, _WAITING) else None
    numbers = {}
    for how in normalisations:
        for metric in METRICS:
            values = tuple(_values(done, how, metric))
            if values:
                found = beside(published, first["method"], backbone, how, metric)
                numbers[how, metric] = Number(Spread(values), tuple(found))
    return Row(
        kind=first["kind"],
        method=first["method"],
        backbone=backbone,
        seeds=tuple(cell["seed"] for cell in done if cell["seed"] is not None),
        numbers=numbers,
        seconds=_mean([cell["train_seconds"] + cell["evaluate_seconds"] for cell in done]),
        weights=done[0]["weights"] if done else None,
        remarks=tuple(dict.fromkeys(remarks(cells))),
    )


def _values(cells: Sequence[Mapping[str, Any]], normalisation: str, metric: str) -> Iterator[float]:
    """The benchmark's own definition of a metric, its first entry, of each cell that has it."""
    for cell in cells:
        entries = cell["evaluations"].get(normalisation, {}).get("metrics", {}).get(metric)
        if entries and entries[0]["value"] is not None and not math.isnan(entries[0]["value"]):
            yield float(entries[0]["value"])


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def remarks(cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A sentence on each of a row's cells that has no numbers."""
    for cell in cells:
        which = f"seed {cell['seed']} " if cell["state"] in (_FAILED, _WAITING) and len(cells) > 1 else ""
        if cell["state"] != _DONE:
            reason = f": {cell['reason']}" if cell.get("reason") else ""
            yield f"{which}{cell['state']}{reason}"


def _sorted(rows: Sequence[Row], metrics: Sequence[str], normalisations: Sequence[str]) -> list[Row]:
    places = list(dict.fromkeys(row.backbone for row in rows))

    def order(row: Row) -> tuple[bool, int, int, float]:
        leading = [row.numbers.get((normalisations[0], metric)) for metric in metrics[:1]]
        value = leading[0].spread.mean if leading and leading[0] else -1.0
        return (row.backbone is None, places.index(row.backbone), _KINDS.index(row.kind), -value)

    return sorted(rows, key=order)


def _marked(rows: Sequence[Row]) -> list[Row]:
    """The largest mean in each column among the methods on each backbone."""
    numbers = [dict(row.numbers) for row in rows]
    keys = dict.fromkeys(key for row in rows for key in row.numbers)
    for backbone in dict.fromkeys(row.backbone for row in rows):
        group = [i for i, row in enumerate(rows) if row.backbone == backbone and row.kind == "method"]
        for key in keys:
            found = [numbers[i].get(key) for i in group]
            as_rows = [None if number is None else _metric_row(key, number.spread) for number in found]
            for i, number, mark in zip(group, found, marks(as_rows), strict=True):
                if number is not None:
                    numbers[i][key] = replace(number, mark=mark)
    return [replace(row, numbers=own) for row, own in zip(rows, numbers, strict=True)]


def _metric_row(key: tuple[str, str], spread: Spread) -> MetricRow:
    mean, deviation = spread.mean, spread.deviation
    interval = None if deviation is None else (mean - deviation, mean + deviation)
    return MetricRow(key[1], mean, interval, NOTHING, NOTHING, key[0], NOTHING)


def _elsewhere(
    published: Sequence[Published],
    shown: Sequence[Published],
    rows: Sequence[Row],
    normalisations: Sequence[str],
) -> Iterator[Published]:
    backbones = {row.backbone for row in rows}

    for row in published:
        comparable = row.normalisation in (*normalisations, UNSTATED)
        if comparable and VARIANT + row.backbone in backbones and row not in shown:
            yield row
