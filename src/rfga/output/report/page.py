"""The report: one HTML page that holds everything it shows and asks nothing of any server."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rfga.output.attention.pictures import attention_data_uri
from rfga.output.attention.record import Attention
from rfga.output.attention.words import short_summary
from rfga.output.page import write_template
from rfga.output.pictures import jpeg_data_uri, overlay
from rfga.output.plots import (
    HISTORY,
    RULES,
    box_accuracy_svg,
    history_svg,
    method_colours,
    precision_recall_svg,
)
from rfga.output.table import MEANINGS, ComparisonRow, MetricRow, compare, metric_rows
from rfga.types import ByteArray, FloatArray, Truth

GALLERY_KINDS = ("best", "median", "worst")
_HEADLINES = ("MaxBoxAccV2", "PxAP", "Top1Cls")
_PICTURE_PIXELS = 420  # longer side: sharp on a phone, small in a page of dozens
_OF_NAMES = frozenset({"Top1Cls", "Top5Cls"})  # metrics that need no truth but class names


@dataclass(frozen=True, slots=True, eq=False)
class GalleryItem:
    """One photograph of the gallery with all that is drawn on it and said below it."""

    image_id: str
    image: ByteArray  # (H, W, 3) uint8, original size
    score_map: FloatArray  # (h, w) in [0, 1]
    truth: Truth  # in original pixels
    boxes: FloatArray  # (n, 4) predicted, in original pixels
    iou: float  # best over boxes, in [0, 1]; nan where it is not known
    class_name: str
    predicted_name: str
    threshold: float  # in [0, 1]
    attention: Attention | None = None  # of a photograph that the section on attention shows


@dataclass(frozen=True, slots=True, eq=False)
class MethodReport:
    """Everything the report says of one method."""

    name: str
    evaluation: Mapping[str, Any]  # the form that --json has
    curves: Mapping[str, Any] = field(default_factory=dict)  # thresholds, box_accuracy, precision, recall
    history: Sequence[Mapping[str, float]] = ()  # one entry an epoch: epoch, train_loss, val_top1
    gallery: Mapping[str, Sequence[GalleryItem]] = field(default_factory=dict)  # best, median, worst
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A photograph with the box that each method found."""

    image_id: str
    image: ByteArray  # (H, W, 3) uint8, original size
    truth: Truth | None  # in original pixels
    boxes: Mapping[str, FloatArray]  # (n, 4) by the methods' names, in original pixels


def write_report(
    path: Path,
    title: str,
    methods: Sequence[MethodReport],
    notes: Sequence[str] = (),
    examples: Sequence[Example] = (),
) -> None:
    """Write one self-contained HTML page: comparison, curves, training history, gallery, settings.

    Args:
        path: the page; it appears whole or not at all.
        title: of the page.
        methods: in the order of the columns; parts that none of them has are left out.
        notes: sentences for the reader, shown below the introduction.
        examples: photographs that open the page, each with every method's box.

    Raises:
        ValueError: no method, or two of one name.
        UserError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> entry = {"value": 0.5, "interval": [0.4, 0.6]}
        >>> numbers = {"dataset": "d", "split": "val", "images": 2, "metrics": {"Top1Cls": [entry]}}
        >>> page = Path(tempfile.mkdtemp()) / "report.html"
        >>> write_report(page, "Cats & dogs", [MethodReport("cam", numbers)])
        >>> "<h1>Cats &amp; dogs</h1>" in page.read_text(encoding="utf-8")
        True
    """
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"expected one or more methods, each of its own name, found {names}")
    colours = method_colours(names)
    measured = {name for method in methods for name in method.evaluation["metrics"]}
    write_template(
        path,
        "report/page.html.jinja",
        title=title,
        notes=[*notes, *_warnings(methods)],
        methods=methods,
        measured=measured,
        located=not measured <= _OF_NAMES,
        examples=examples,
        colours=colours,
        rules=RULES,
        headlines={method.name: _headlines(method) for method in methods},
        groups=_groups(compare([method.evaluation for method in methods])),
        plots=list(_plots(methods, colours)),
        history=list(_history(methods, colours)),
        kinds=[kind for kind in GALLERY_KINDS if any(method.gallery.get(kind) for method in methods)],
        attended={method.name: list(_attended(method)) for method in methods},
        picture=_picture,
        example_picture=_example,
        attention_picture=_attention,
        summary=short_summary,
    )


def _picture(item: GalleryItem) -> Markup:
    drawn = overlay(item.image, item.score_map, item.boxes, item.truth, max_side=_PICTURE_PIXELS)
    return Markup(jpeg_data_uri(drawn))


def _example(example: Example, method: str) -> Markup:
    drawn = overlay(example.image, None, example.boxes[method], example.truth, max_side=_PICTURE_PIXELS)
    return Markup(jpeg_data_uri(drawn))


def _attention(item: GalleryItem) -> Markup:
    assert item.attention is not None
    return Markup(attention_data_uri(item.image, item.attention, item.truth))


def _attended(method: MethodReport) -> Iterator[tuple[str, GalleryItem]]:
    """The photographs whose attention is shown, with the row of the gallery that they come from."""
    for kind in GALLERY_KINDS:
        for item in method.gallery.get(kind, ()):
            if item.attention is not None:
                yield kind, item


def _warnings(methods: Sequence[MethodReport]) -> Iterator[str]:
    keys = ("dataset", "split", "images")
    if len({tuple(method.evaluation.get(key) for key in keys) for method in methods}) > 1:
        yield "The methods were measured on different images, so their numbers cannot be compared."


def _headlines(method: MethodReport) -> list[tuple[MetricRow, str]]:
    """The first entry of the leading metrics, at a threshold that no box has chosen, with its meaning."""
    first: dict[str, MetricRow] = {}
    for row in sorted(metric_rows(method.evaluation), key=lambda row: row.source != "label-free"):
        first.setdefault(row.metric, row)
    leading = [first[name] for name in _HEADLINES if name in first]
    return [(row, MEANINGS[row.metric]) for row in leading if not math.isnan(row.value)]


def _groups(rows: Sequence[ComparisonRow]) -> list[tuple[str, str, list[ComparisonRow]]]:
    """Rows under the metric they belong to, with its meaning."""
    groups = groupby(rows, key=lambda row: row.metric.split(",")[0])
    return [(metric, MEANINGS.get(metric, ""), list(members)) for metric, members in groups]


def _plots(methods: Sequence[MethodReport], colours: Mapping[str, str]) -> Iterator[Markup]:
    # The drawings escape the names they show (plots.py), so they enter the page as they are.
    for rule in RULES:
        having = {m.name: m.curves for m in methods if rule in m.curves.get("box_accuracy", {})}
        if having:
            yield Markup(box_accuracy_svg(having, rule, colours))
    having = {m.name: m.curves for m in methods if "precision" in m.curves}
    if having:
        yield Markup(precision_recall_svg(having, colours))


def _history(methods: Sequence[MethodReport], colours: Mapping[str, str]) -> Iterator[Markup]:
    for quantity in HISTORY:
        histories = {m.name: m.history for m in methods if any(quantity in entry for entry in m.history)}
        if histories:
            yield Markup(history_svg(histories, quantity, colours))
