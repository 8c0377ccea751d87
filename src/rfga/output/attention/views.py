"""The three views of an attention layer as curves: along height, along width, and over the channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rfga.output.attention.record import Attention
from rfga.output.attention.sheet import INK, SOFT, bare, plain_numbers
from rfga.output.attention.words import SYMBOLS, neutral_level
from rfga.types import FloatArray

TELLING_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # of Okabe and Ito's palette
_BAND = "#dfe1e4"
_NEUTRAL: dict[str, Any] = {"color": SOFT, "linewidth": 0.8, "linestyle": (0, (4, 2))}
_MEAN: dict[str, Any] = {"color": INK, "linewidth": 2}


def draw_profile(axes: Axes, attention: Attention, view: str) -> None:
    """The attention of the view "height" or "width" along the photograph's side that the axes lie at.

    The mean over the channels, a band that holds the middle half of them, and the telling channels.
    """
    if view not in attention.values:
        _say_off(axes, view)
        return
    upright, values = view == "height", attention.values[view]
    places = np.arange(values.shape[1]) + 0.5
    low, high = np.percentile(values, (25, 75), axis=0)
    fill = axes.fill_betweenx if upright else axes.fill_between
    fill(places, low, high, color=_BAND, linewidth=0)

    def line(profile: FloatArray, **style: Any) -> None:
        axes.plot(*((profile, places) if upright else (places, profile)), **style)

    for channel, colour in zip(attention.telling, TELLING_COLOURS, strict=False):
        line(values[channel], color=colour, linewidth=1.1, marker=".", markersize=4)
    line(values.mean(0), marker="." if len(places) == 1 else "", **_MEAN)
    name, neutral = f"attention ${SYMBOLS[view]}$", neutral_level(view, attention)
    if upright:
        axes.axvline(neutral, **_NEUTRAL)
        axes.set(ylim=(len(places), 0), xlabel=name, ylabel=f"row i of {len(places)}")
        axes.yaxis.set_label_position("right")
        axes.yaxis.tick_right()
    else:
        axes.axhline(neutral, **_NEUTRAL)
        axes.set(xlim=(0, len(places)), ylabel=name, xlabel=f"column j of {len(places)}")
    _scale_attention(axes, attention, "x" if upright else "y")
    (axes.yaxis if upright else axes.xaxis).set_major_locator(MaxNLocator(5, integer=True))


def draw_channels(axes: Axes, attention: Attention) -> None:
    """The attention of all channels, sorted, with the telling channels marked."""
    if "channel" not in attention.values:
        _say_off(axes, "channel")
        return
    values = attention.values["channel"]
    order = np.argsort(values, kind="stable")
    axes.fill_between(np.arange(len(values)), values[order], color=_BAND, linewidth=0)
    axes.plot(values[order], color=INK, linewidth=1.6)
    axes.axhline(neutral_level("channel", attention), **_NEUTRAL)
    for channel, colour in zip(attention.telling, TELLING_COLOURS, strict=False):
        rank = int(np.flatnonzero(order == channel)[0])
        axes.plot(rank, values[channel], "o", color=colour, markersize=7, markeredgecolor="white")
    edge = len(values) / 40  # so that the marks of the highest channels are whole
    axes.set(
        xlim=(-edge, len(values) + edge), xlabel="channels, sorted by attention", ylabel="attention $z_c$"
    )
    _scale_attention(axes, attention, "y")


def draw_legend(axes: Axes) -> None:
    """What the lines, the band and the dots of the other axes mean."""
    axes.set(xlim=(0, 1), ylim=(4, 0))
    axes.axis("off")
    kinds: dict[str, dict[str, Any]] = {
        "mean over the channels": _MEAN,
        "middle half of the channels": {"color": _BAND, "linewidth": 8},
        "telling channels": {},
        "a gate without preference": _NEUTRAL,
    }
    for row, (text, style) in enumerate(kinds.items()):
        if style:
            axes.plot((0, 0.14), (row + 0.5, row + 0.5), **style)
        else:
            for index, colour in enumerate(TELLING_COLOURS):
                axes.plot(0.01 + 0.04 * index, row + 0.5, "o", color=colour, markersize=5)
        axes.text(0.2, row + 0.5, text, va="center", fontsize=9)


def _scale_attention(axes: Axes, attention: Attention, axis: str) -> None:
    """All views of sigmoid gates share the scale from 0 to 1; shares of one begin at 0."""
    limits = (0.0, 1.0) if attention.form.gate == "sigmoid" else (0.0, None)
    axes.set(**{f"{axis}lim": limits})
    if axis == "y":
        plain_numbers(axes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.spines[["top", "right"] if axis == "y" else ["top"]].set_visible(False)


def _say_off(axes: Axes, view: str) -> None:
    bare(axes)
    axes.text(0.5, 0.5, f"no {view} view", ha="center", va="center", color=SOFT, transform=axes.transAxes)
