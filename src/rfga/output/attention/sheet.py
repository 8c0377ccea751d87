"""A sheet of paper on which panels and words are placed in inches from its upper left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from rfga.output.letters import legible
from rfga.types import FloatArray

INK, SOFT, LINE = "#1c1e21", "#5d636b", "#c9ccd1"
BOX = "#ff2dcd"  # as predicted boxes on photographs
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "svg.hashsalt": "rfga",  # the same data, the same bytes
}
_BAR = 0.11  # width of a colour bar


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure of known size; all places are (x, y) or (x, y, width, height) in inches."""

    figure: Figure
    width: float
    height: float

    def axes(self, place: tuple[float, float, float, float]) -> Axes:
        """Empty axes at a place."""
        x, y, width, height = place
        bounds = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(bounds)

    def words(self, x: float, y: float, text: str, *, math: bool = False, **style: Any) -> None:
        """Text with its upper left corner at a place (``ha``, ``va`` say otherwise); formulas if ``math``."""
        style = {"va": "top", **style}
        self.figure.text(x / self.width, 1 - y / self.height, legible(text), parse_math=math, **style)

    def bar(self, place: tuple[float, float, float], colours: ScalarMappable, label: str) -> Axes:
        """A colour bar at (x, y) of some height, with its label."""
        x, y, height = place
        axes = self.axes((x, y, _BAR, height))
        self.figure.colorbar(colours, cax=axes)
        axes.spines["outline"].set_edgecolor(SOFT)
        plain_numbers(axes)
        axes.set_ylabel(label, color=SOFT, fontsize=8.5)
        axes.tick_params(length=2.5, pad=2)
        return axes

    def table(
        self, place: tuple[float, float], rows: Sequence[Sequence[str]], columns: Sequence[float]
    ) -> float:
        """Rows of words, the first of each left-aligned, others ending at ``columns``; gives the next y."""
        x, y = place
        for index, row in enumerate(rows):
            colour = SOFT if index == 0 else INK
            self.words(x, y, row[0], fontsize=9, color=colour)
            for text, end in zip(row[1:], columns, strict=True):
                self.words(x + end, y, text, ha="right", fontsize=9, color=colour)
            y += 0.2
        return y


def plain_numbers(axes: Axes) -> None:
    """A few ticks with plain numbers along the y axis, none with an offset above the axis."""
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    axes.yaxis.set_major_formatter(formatter)


def scale_of(*arrays: FloatArray, centred: bool = False) -> Normalize:
    """One colour scale for some arrays, symmetrical around zero if asked for; never of no extent."""
    low = min(float(array.min()) for array in arrays)
    high = max(float(array.max()) for array in arrays)
    if centred:
        largest = max(abs(low), abs(high)) or 1.0
        return Normalize(-largest, largest)
    return Normalize(low, high if high > low else low + 1.0)


def draw_map(axes: Axes, values: FloatArray, scale: Normalize, colours: str) -> ScalarMappable:
    """A map as blocks of colour that fill the axes, whatever its shape."""
    image = axes.imshow(values, cmap=colours, norm=scale, aspect="auto", interpolation="nearest")
    image.set_extent((0, 1, 1, 0))
    bare(axes)
    return image


def draw_box(
    axes: Axes, boxes: FloatArray, size_hw: tuple[int, int], colour: str, *, dotted: bool = False
) -> None:
    """Boxes in pixels of a photograph on axes that run from 0 to 1 over it."""
    height, width = size_hw
    style: Any = (0, (1.2, 1.8)) if dotted else "-"
    for x0, y0, x1, y1 in boxes / np.array([width, height, width, height]):
        frame = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, lw=1.8, ls=style, clip_on=False)
        axes.add_patch(frame)


def bare(axes: Axes) -> None:
    """No ticks, a thin frame."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(LINE)
