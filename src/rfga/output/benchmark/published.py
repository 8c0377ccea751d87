"""The literature's numbers, as ``recipes/published.csv`` holds them, and which of them stand beside ours."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

UNSTATED = "unstated"
TEST = "test"
VARIANT = "wsol_"  # how the benchmark's changed networks are called here; a plain name is timm's own network


@dataclass(frozen=True, slots=True)
class Published:
    """One published number."""

    source: str
    method: str
    normalisation: str  # of score maps; "unstated" where the source does not say
    dataset: str
    metric: str
    backbone: str
    percent: float


@cache
def read_published() -> tuple[Published, ...]:
    """Every published number that the package holds.

    Example:
        >>> found = read_published()[0]
        >>> found.method, found.dataset, found.backbone, found.percent
        ('CAM', 'ILSVRC', 'vgg16', 60.0)
    """
    text = (files("rfga") / "recipes" / "published.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(
        Published(
            source=row["source"],
            method=row["method"],
            normalisation=row["normalisation"],
            dataset=row["dataset"],
            metric=row["metric"],
            backbone=row["backbone"],
            percent=float(row["value"]),
        )
        for row in rows
    )


def published_on(dataset: str, split: str) -> list[Published]:
    """The numbers published of a data set, its name in any spelling: the literature reports on test.

    Example:
        >>> {found.dataset for found in published_on("cub", "test")}
        {'CUB'}
        >>> published_on("cub", "val")
        []
    """
    return [row for row in read_published() if split == TEST and _key(row.dataset) == _key(dataset)]


def beside(
    published: Sequence[Published], method: str, backbone: str | None, normalisation: str, metric: str
) -> list[Published]:
    """Those of a method, backbone and normalisation, or of no stated normalisation; equal ones once.

    Args:
        published: numbers on the data set.
        method: name in any spelling.
        backbone: ours; None stands for a baseline that has no network.
        normalisation: of our maps.
        metric: name.

    Example:
        >>> rows = published_on("CUB", "test")
        >>> [found.percent for found in beside(rows, "cam", "wsol_resnet50", "minmax", "MaxBoxAccV2")]
        [63.0, 62.98]
        >>> beside(rows, "cam", "resnet50", "minmax", "MaxBoxAccV2")
        []
    """
    found = [
        row
        for row in published
        if _key(row.method) == _key(method)
        and (backbone is None or backbone == VARIANT + row.backbone)
        and row.normalisation in (normalisation, UNSTATED)
        and row.metric == metric
    ]
    # A baseline without a network is printed once for each of them.
    return list({(row.source, row.normalisation, row.percent): row for row in found}.values())


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
