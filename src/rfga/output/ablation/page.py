"""The page of an ablation: one HTML file with plots of the differences to the full layer, and the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from rfga.output.ablation.table import AblationTable, points
from rfga.output.ablation.text import ablation_explanation
from rfga.output.page import write_template
from rfga.output.plots import difference_svg
from rfga.output.table import MEANINGS


def write_ablation_page(path: Path, table: AblationTable) -> None:
    """Write one self-contained HTML page.

    Args:
        path: the page; it appears whole or not at all.
        table: from ``make_ablation_table``.

    Raises:
        UserError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from rfga.output.ablation.table import make_ablation_table
        >>> page = Path(tempfile.mkdtemp()) / "ablation.html"
        >>> empty = {"dataset": "<birds>", "split": "val", "images": 6, "settings": {}, "cells": []}
        >>> empty |= {"normalisations": ["minmax"], "mechanisms": {}, "variants": []}
        >>> write_ablation_page(page, make_ablation_table(empty))
        >>> "<h1>Ablation of RFGA on &lt;birds&gt;, val</h1>" in page.read_text(encoding="utf-8")
        True
    """
    write_template(
        path,
        "ablation/page.html.jinja",
        table=table,
        title=f"Ablation of RFGA on {table.dataset}, {table.split}",
        explanation=ablation_explanation(table),
        meanings=MEANINGS,
        plots=list(_plots(table)),
        points=points,
    )


def _plots(table: AblationTable) -> Iterator[Markup]:
    # The drawings escape the names they show (plots.py), so they enter the page as they are.
    for metric in table.metrics:
        groups: dict[str, list[tuple[str, list[float], float, float]]] = {}
        for row in table.rows:
            found = row.differences.get(metric)
            if found is not None:
                low, high = (100 * end for end in found.interval)
                values = [100 * value for value in found.spread.values]
                groups.setdefault(row.mechanism, []).append((_label(row.name), values, low, high))
        if groups:
            yield Markup(difference_svg(metric, groups))


def _label(name: str) -> str:
    """The value alone, since the mechanism stands above.

    Example:
        >>> _label("views=channel+height"), _label("no layer (CAM)")
        ('channel+height', 'no layer (CAM)')
    """
    return name.partition("=")[2] or name
