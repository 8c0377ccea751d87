"""Curves as SVG text that needs nothing else: for a page or a file, following the page's dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rfga.output.letters import legible

# Okabe and Ito's palette in an order whose neighbours differ most, without the shades lost on white or black.
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("-", (0, (5, 1)), (0, (2, 1)), (0, (5, 1, 1, 1)))  # tell the methods apart on grey paper
_INK = "#0b0c0d"  # stands for the text colour of the page; no other part of a plot has it
_SIZE_INCHES = (6.2, 4.0)
_STRONG_IOU = "0.5"
RULES = {"largest": "largest contour", "all": "all contours"}
HISTORY = {"train_loss": ("Training loss", 1), "val_top1": ("Validation top-1 accuracy (%)", 100)}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters: small, searchable, read aloud
    "svg.hashsalt": "rfga",  # the same data, the same bytes
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def method_colours(names: Sequence[str]) -> dict[str, str]:
    """One colour a method, the same in every plot and table of a page.

    Example:
        >>> method_colours(["cam", "rfga"])
        {'cam': '#0072b2', 'rfga': '#d55e00'}
    """
    return {name: _PALETTE[index % len(_PALETTE)] for index, name in enumerate(names)}


def box_accuracy_svg(curves: Mapping[str, Mapping[str, Any]], rule: str, colours: Mapping[str, str]) -> str:
    """Box accuracy over the threshold: IoU 0.5 strong, other IoUs thin, a dot at the best threshold.

    Args:
        curves: method name to ``{"thresholds": (t,), "box_accuracy": {rule: {"0.5": (t,), ...}}}``,
            fractions of 1.
        rule: "largest" or "all", which contours of a map become boxes.
        colours: method name to colour (`method_colours`).

    Returns:
        One ``<svg>`` element.

    Example:
        >>> curve = {"thresholds": [0.0, 0.5], "box_accuracy": {"all": {"0.5": [0.2, 0.6]}}}
        >>> box_accuracy_svg({"cam": curve}, "all", method_colours(["cam"]))[:4]
        '<svg'
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        for name, curve in curves.items():
            thresholds = np.asarray(curve["thresholds"], dtype=np.float64)
            for iou, accuracy in curve["box_accuracy"][rule].items():
                percent = 100 * np.asarray(accuracy, dtype=np.float64)
                if iou != _STRONG_IOU:
                    axes.plot(thresholds, percent, color=colours[name], linewidth=0.8, alpha=0.8)
                    continue
                axes.plot(thresholds, percent, linewidth=2.4, **_line(name, colours))
                best = int(np.argmax(percent))
                axes.plot(thresholds[best], percent[best], "o", color=colours[name], markersize=7)
        axes.set(xlim=(0, 1), ylim=(0, 102), ylabel="images (%)")
        axes.set_xlabel("threshold (fraction of the map's maximum)")
        title = f"Box accuracy, {RULES.get(rule, rule)}"
        axes.set_title(title)
        _finish(figure, list(curves), colours)
        about = "Images whose box meets the IoU, over the threshold; strong line IoU 0.5, dot at its best."
        return _svg(figure, f"box-accuracy-{rule}", title, about)


def precision_recall_svg(curves: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str]) -> str:
    """Precision over recall of the pixels of all images; the area below is PxAP.

    Args:
        curves: method name to ``{"precision": (n,), "recall": (n,)}``, fractions of 1.
        colours: method name to colour (`method_colours`).

    Returns:
        One ``<svg>`` element.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        for name, curve in curves.items():
            recall = 100 * np.asarray(curve["recall"], dtype=np.float64)
            axes.plot(recall, 100 * np.asarray(curve["precision"]), linewidth=2.4, **_line(name, colours))
        axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="recall (%)", ylabel="precision (%)")
        title = "Pixel precision over recall"
        axes.set_title(title)
        _finish(figure, list(curves), colours)
        return _svg(figure, "precision-recall", title, "The area below a line is the PxAP of that method.")


def history_svg(
    histories: Mapping[str, Sequence[Mapping[str, float]]], quantity: str, colours: Mapping[str, str]
) -> str:
    """One quantity of the training over the epochs.

    Args:
        histories: method name to one mapping an epoch with ``epoch`` and, in some or all, ``quantity``.
        quantity: "train_loss", or "val_top1" (fraction of 1).
        colours: method name to colour (`method_colours`).

    Returns:
        One ``<svg>`` element.
    """
    title, scale = HISTORY[quantity]
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        for name, history in histories.items():
            known = [(entry["epoch"], scale * entry[quantity]) for entry in history if quantity in entry]
            axes.plot(
                *zip(*known, strict=True), marker="o", markersize=5, linewidth=2.4, **_line(name, colours)
            )
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _finish(figure, list(histories), colours)
        return _svg(figure, f"history-{quantity}", title, "Measured after each epoch of training.")


def spread_svg(
    metric: str, bars: Mapping[str, Sequence[tuple[float, float | None]]], groups: Mapping[str, str]
) -> str:
    """One metric of many methods as bars, with the deviation over seeds as whiskers.

    Args:
        metric: name, which stands above.
        bars: label of a method to one (mean, deviation) for each group, in percent; nan where not measured.
        groups: name of each bar of a method (the normalisation of its maps) to its colour.

    Returns:
        One ``<svg>`` element.

    Example:
        >>> spread_svg("PxAP", {"cam": [(57.3, 1.2)], "rfga": [(58.0, None)]}, {"minmax": "#0072b2"})[:4]
        '<svg'
    """
    with matplotlib.rc_context(_SETTINGS):
        thick = 0.76 / len(groups)
        figure = Figure(figsize=(_SIZE_INCHES[0], 1.3 + 0.2 * len(bars) * (1 + len(groups))))
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        for place, (name, colour) in enumerate(groups.items()):
            rows = np.arange(len(bars)) + (place - (len(groups) - 1) / 2) * thick
            means = np.array([own[place][0] for own in bars.values()], dtype=np.float64)
            spreads = np.array([own[place][1] for own in bars.values()], dtype=np.float64)  # None is nan
            axes.barh(rows, means, height=0.88 * thick, color=colour, label=name)
            axes.errorbar(means, rows, xerr=spreads, fmt="none", ecolor=_INK, elinewidth=1.2, capsize=2.5)
        axes.set(xlabel="percent", xlim=(0, 100), yticks=range(len(bars)), ylim=(len(bars) - 0.45, -0.55))
        for label, name in zip(axes.set_yticklabels([*map(legible, bars)]), bars, strict=True):
            label.set_parse_math(False)
            label.set_text(legible(name))
        axes.set_title(metric)
        axes.grid(visible=True, axis="x", color=_INK, alpha=0.13, linewidth=0.8)
        axes.set_axisbelow(True)
        if len(groups) > 1:
            handles, names = axes.get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", ncols=len(names))
        return _svg(figure, f"spread-{metric}", metric, "Mean over the seeds; whiskers show the deviation.")


def difference_svg(
    metric: str, groups: Mapping[str, Sequence[tuple[str, Sequence[float], float, float]]]
) -> str:
    """Differences to one reference as dots beside a zero line, in groups.

    Args:
        metric: name, which stands above.
        groups: name of a group to its rows: label, the differences of single runs, and the lower and upper
            end of the interval of their mean; all in percentage points.

    Returns:
        One ``<svg>`` element.

    Example:
        >>> difference_svg("PxAP", {"gate": [("softmax", [-1.2, -0.8], -1.9, -0.2)]})[:4]
        '<svg'
    """
    with matplotlib.rc_context(_SETTINGS):
        count = sum(len(rows) for rows in groups.values()) + len(groups)
        figure = Figure(figsize=(_SIZE_INCHES[0], 1.3 + 0.2 * count), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=_INK, linewidth=1.2)
        place, places, labels = 0, list[int](), list[str]()
        for (name, rows), colour in zip(groups.items(), cycle(_PALETTE), strict=False):
            places.append(place)
            labels.append(name)
            for label, values, low, high in rows:
                place += 1
                mean, apart = float(np.mean(values)), low > 0 or high < 0
                axes.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
                ticks = values if len(values) > 1 else []
                axes.plot(ticks, [place] * len(ticks), "|", color=_INK, markersize=7, markeredgewidth=1)
                face = colour if apart else "none"
                axes.plot(mean, place, "o", color=colour, markerfacecolor=face, markersize=6.5)
                places.append(place)
                labels.append(label)
            place += 1
        axes.set(
            xlabel="difference to the full layer (percentage points)", yticks=places, ylim=(place - 0.4, -0.7)
        )
        for text, name in zip(axes.set_yticklabels([*map(legible, labels)]), labels, strict=True):
            text.set_parse_math(False)
            text.set_text(legible(name))
            text.set_fontweight("bold" if name in groups else "normal")
        axes.tick_params(axis="y", length=0)
        axes.set_title(metric)
        axes.grid(visible=True, axis="x", color=_INK, alpha=0.13, linewidth=0.8)
        axes.set_axisbelow(True)
        about = "Dots: mean over the seeds, filled where the interval over images (line) leaves out zero."
        return _svg(figure, f"difference-{metric}", metric, about)


def _line(name: str, colours: Mapping[str, str]) -> dict[str, Any]:
    return {"color": colours[name], "linestyle": _DASHES[list(colours).index(name) % len(_DASHES)]}


def _finish(figure: Figure, names: Sequence[str], colours: Mapping[str, str]) -> None:
    for axes in figure.axes:
        axes.grid(visible=True, color=_INK, alpha=0.13, linewidth=0.8)
        axes.set_axisbelow(True)
    handles = [Line2D([], [], linewidth=2.4, **_line(name, colours)) for name in names]
    legend = figure.legend(handles, [" "] * len(names), loc="outside lower center", ncols=min(3, len(names)))
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)  # a name is shown as it is, dollars and leading underscores included
        text.set_text(legible(name))


def _svg(figure: Figure, name: str, title: str, about: str) -> str:
    name = re.sub(r"[^\w.-]", "-", name)  # it becomes a part of ids, where a record of runs may hold anything
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = legible(svg[svg.index("<svg") :].strip()).replace(_INK, "currentColor")
    # Several plots share a page: ids are made its own, or one plot would be cut by another's frame.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    labels = f'role="img" aria-labelledby="{name}-title {name}-about"'
    head = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-about">{escape(about)}</desc>'
    return re.sub(r"<svg ([^>]*)>", lambda match: f"<svg {labels} {match[1]}>{head}", svg, count=1)
