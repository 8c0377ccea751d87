"""The table of an ablation: each variant's numbers, and its differences to the full layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rfga.output.benchmark.table import Spread, count_text, time_text
from rfga.output.table import NOTHING

METRICS = ("MaxBoxAccV2", "PxAP", "GTKnownLoc", "Top1Cls")
_FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Difference:
    """A variant less the full layer, of the same seeds and images; fractions of 1."""

    spread: Spread
    interval: tuple[float, float]  # 95 %, of the mean over the seeds, images resampled

    @property
    def is_apart(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval[0] > 0 or self.interval[1] < 0

    @property
    def text(self) -> str:
        """In percentage points, the interval in parentheses.

        Example:
            >>> Difference(Spread((-0.012, -0.008)), (-0.02, 0.001)).text
            '-1.0 ± 0.3 (-2.0 to +0.1)'
        """
        low, high = (points(end) for end in self.interval)
        return f"{points(self.spread.mean)} ± {self.spread.deviation_percent} ({low} to {high})"


def points(fraction: float) -> str:
    """A difference in percentage points, with its sign.

    Example:
        >>> points(0.0123), points(-0.0004)
        ('+1.2', '0.0')
    """
    text = f"{100 * fraction:+.1f}"
    return "0.0" if float(text) == 0 else text


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One variant."""

    name: str
    mechanism: str
    seeds: tuple[int, ...]  # that are measured
    numbers: Mapping[str, Spread]  # by metric
    differences: Mapping[str, Difference]  # by metric; none of the full layer itself
    seconds: float | None  # of a training on average
    weights: int | None  # that learn or stand by
    remarks: tuple[str, ...]

    @property
    def time(self) -> str:
        """The mean time of a training as text."""
        return time_text(self.seconds)

    @property
    def size(self) -> str:
        """The number of weights as text."""
        return count_text(self.weights)

    @property
    def seeds_text(self) -> str:
        """The seeds as text."""
        return ", ".join(map(str, self.seeds)) or NOTHING

    def number(self, metric: str) -> str:
        """A number as text."""
        return self.numbers[metric].text if metric in self.numbers else NOTHING

    def difference(self, metric: str) -> str:
        """A difference as text."""
        return self.differences[metric].text if metric in self.differences else NOTHING


@dataclass(frozen=True, slots=True)
class AblationTable:
    """Everything that the table and its page say."""

    dataset: str
    split: str
    images: int
    frozen: bool  # whether the layer and the head alone were trained
    normalisation: str
    metrics: tuple[str, ...]
    rows: tuple[AblationRow, ...]
    mechanisms: Mapping[str, str]  # name -> what it decides
    failed: tuple[tuple[str, str], ...]  # cell, reason
    settings: Mapping[str, Any]

    @property
    def groups(self) -> list[tuple[str, str, list[AblationRow]]]:
        """Mechanism, what it decides, its rows; the full layer first."""
        grouped = groupby(self.rows, key=lambda row: row.mechanism)
        return [(name, self.mechanisms.get(name, ""), list(rows)) for name, rows in grouped]


def make_ablation_table(held: Mapping[str, Any]) -> AblationTable:
    """The table of what ablation.json holds.

    Example:
        >>> number = {"values": [0.5], "seeds": [0]}
        >>> full = {"name": "full layer", "mechanism": "full layer", "seeds": [0], "remarks": [],
        ...         "metrics": {"PxAP": number}, "weights": 9_800_000, "seconds": 60.0}
        >>> made = make_ablation_table({"dataset": "birds", "split": "val", "images": 9, "settings": {},
        ...     "normalisations": ["minmax"], "mechanisms": {}, "variants": [full], "cells": []})
        >>> made.metrics, made.rows[0].number("PxAP"), made.rows[0].size
        (('PxAP',), '50.0 ± -', '9.8 M')
    """
    variants: Sequence[Mapping[str, Any]] = held["variants"]
    return AblationTable(
        dataset=held["dataset"],
        split=held["split"],
        images=held["images"],
        frozen=bool(held["settings"].get("freeze_backbone", True)),
        normalisation=held["normalisations"][0],
        metrics=tuple(m for m in METRICS if any(m in variant["metrics"] for variant in variants)),
        rows=tuple(_row(variant) for variant in variants),
        mechanisms=held["mechanisms"],
        failed=tuple((c["name"], c["reason"]) for c in held["cells"] if c["state"] == _FAILED),
        settings=held["settings"],
    )


def _row(variant: Mapping[str, Any]) -> AblationRow:
    found = variant["metrics"]
    return AblationRow(
        name=variant["name"],
        mechanism=variant["mechanism"],
        seeds=tuple(variant["seeds"]),
        numbers={metric: Spread(tuple(own["values"])) for metric, own in found.items()},
        differences={
            metric: Difference(
                Spread(tuple(own["difference"]["values"])), tuple(own["difference"]["interval"])
            )
            for metric, own in found.items()
            if "difference" in own
        },
        seconds=variant["seconds"],
        weights=variant["weights"],
        remarks=tuple(variant["remarks"]),
    )
