"""Pictures of what an RFGA layer did with a photograph, in the order and with the symbols of its paper.

Sohn et al., arXiv:2104.04952: the three views (X to z_c, z_h, z_w), the expanded attention M, the features
before and after calibration (X, Y), and what this changes in the class's score map and its box.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from rfga.files import replacing
from rfga.output.attention import words
from rfga.output.attention.record import Attention
from rfga.output.attention.sheet import (
    BOX,
    INK,
    SOFT,
    STYLE,
    Sheet,
    bare,
    draw_box,
    draw_map,
    scale_of,
)
from rfga.output.attention.views import TELLING_COLOURS, draw_channels, draw_legend, draw_profile
from rfga.output.pictures import fit, overlay
from rfga.types import ByteArray, FloatArray, Truth, UserError

PICTURE_FORMATS = ("png", "svg")
DOTS_PER_INCH = 130
_WIDTH, _LEFT = 12.9, 0.7  # of the sheet, in inches
_TOP, _HEAD = 1.2, 0.8  # of the first part; from a part's title to its panels
_PITCH, _FIRST = 2.11, 3.7  # of the columns of telling channels
_LARGE, _SMALL = (2.9, 2.9), (2.03, 2.2)  # most width and height of a photograph, of a map
_ATTENTION, _FEATURES, _SIGNED, _HEAT = "viridis", "magma", "RdBu_r", "inferno"
_PHOTOGRAPH_PIXELS = 480


def attention_figure(image_rgb: ByteArray, attention: Attention, truth: Truth | None = None) -> Figure:
    """One sheet on one photograph: views, attention, features before and after, score maps with boxes.

    Args:
        image_rgb: (H, W, 3) uint8, at its original size.
        attention: what the layer did with it.
        truth: boxes or mask in original pixels, drawn where it is known.

    Raises:
        ValueError: the photograph is of another size than the record says.
    """
    if image_rgb.shape[:2] != attention.size_hw:
        raise ValueError(f"expected a photograph of {attention.size_hw}, found {image_rgb.shape[:2]}")
    large, small = _within(attention.size_hw, _LARGE), _within(attention.size_hw, _SMALL)
    heights = (max(large[1] + 2.0, 3.95) + _HEAD, 3 * small[1] + 2.2, small[1] + 1.3)
    height = _TOP + sum(heights)
    with matplotlib.rc_context(STYLE):
        sheet = Sheet(Figure(figsize=(_WIDTH, height), facecolor="white"), _WIDTH, height)
        page = _Page(sheet, image_rgb, attention, truth)
        page.header()
        page.views(_TOP, large)
        page.maps(_TOP + heights[0], small)
        page.scores(_TOP + heights[0] + heights[1], small)
    return sheet.figure


def attention_picture(image_rgb: ByteArray, attention: Attention, truth: Truth | None = None) -> ByteArray:
    """The same sheet in pixels, (height, width, 3) uint8."""
    figure = attention_figure(image_rgb, attention, truth)
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": 1})
    with Image.open(buffer) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.uint8)


def attention_data_uri(image_rgb: ByteArray, attention: Attention, truth: Truth | None = None) -> str:
    """The same sheet as text that can stand in an HTML page: ``data:image/webp;base64,...``, some 250 kB."""
    buffer = io.BytesIO()
    # Words stay sharp in WebP at two fifths of a JPEG's size.
    Image.fromarray(attention_picture(image_rgb, attention, truth)).save(buffer, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def write_attention(
    path: Path, image_rgb: ByteArray, attention: Attention, truth: Truth | None = None
) -> None:
    """Write the same sheet as .png or .svg; the file appears whole or not at all.

    Raises:
        UserError: the ending is neither, or the folder cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in PICTURE_FORMATS:
        raise UserError(f"expected a picture named .png or .svg, found {path.name}: rename it")
    figure = attention_figure(image_rgb, attention, truth)
    metadata = {"Date": None} if kind == "svg" else {}
    with replacing(path) as temporary, matplotlib.rc_context(STYLE):
        figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)


@dataclass(frozen=True, eq=False)
class _Page:
    """What all parts of a sheet need."""

    sheet: Sheet
    image: ByteArray
    attention: Attention
    truth: Truth | None

    def header(self) -> None:
        """What is shown, and how the colours are to be read."""
        found, (channels, height, width) = self.attention, self.attention.shape
        right = found.class_name == found.predicted_name
        self.sheet.words(
            _LEFT, 0.22, f"{found.class_name} in {found.image_id}", fontsize=15, fontweight="bold"
        )
        named = "which is the class it names" if right else f"while it names {found.predicted_name}"
        views = " + ".join(found.form.views)
        lines = (
            f'The network looks for {found.class_name}, {named}. The layer follows "{found.form.place}": '
            f"{channels} channels of {height} x {width} values, views {views}.",
            f"Telling channels, each with a colour of its own, are the {len(found.telling)} that add most "
            "to the class's logit: its gradient times Y, summed over all positions.",
        )
        for line, text in enumerate(lines):
            self.sheet.words(_LEFT, 0.56 + 0.21 * line, text, color=SOFT)

    def views(self, y: float, size_wh: tuple[float, float]) -> None:
        """Part 1: the photograph with the profiles along its height and width, the channels, the numbers."""
        form, (width, height) = self.attention.form, size_wh
        formulas = [words.view_formula(view, form.gate) for view in form.views]
        self._title(y, "1  Three views: attention along height, width and channels", ";    ".join(formulas))
        top, right = y + _HEAD, _LEFT + width + 0.2
        photograph = self.sheet.axes((_LEFT, top, width, height))
        photograph.imshow(fit(self.image, _PHOTOGRAPH_PIXELS), aspect="auto")
        bare(photograph)
        along_height = self.sheet.axes((right, top, 1.4, height))
        along_width = self.sheet.axes((_LEFT, top + height + 0.2, width, 1.1))
        draw_profile(along_height, self.attention, "height")
        draw_profile(along_width, self.attention, "width")
        channels = self.sheet.axes((6.45, top, 2.4, max(height, 1.9)))
        draw_channels(channels, self.attention)
        draw_legend(self.sheet.axes((right, top + height + 0.62, 2.6, 0.9)))
        self._numbers(9.3, top - 0.1)

    def maps(self, y: float, size_wh: tuple[float, float]) -> None:
        """Parts 2 and 3: M, X and Y, each as the mean over the channels and for the telling channels."""
        found, form = self.attention, self.attention.form
        before, after = found.before, found.after
        self._title(y, "2  Expansion: one attention value for every element", words.expansion_formula(form))
        top, height = y + _HEAD + 0.1, size_wh[1]
        scales = scale_of(found.expanded), scale_of(found.expanded_telling)
        self._row(top, size_wh, (found.expanded, found.expanded_telling), scales, "attention M")
        self._column_titles(top)
        self._bars(top, size_wh, height, scales, _ATTENTION)
        top += height + 0.25
        self._title(top, "3  Calibration: features before (X) and after (Y)", words.calibration_formula(form))
        scales = scale_of(before.activity, after.activity), scale_of(before.telling, after.telling)
        self._row(top + 0.62, size_wh, (before.activity, before.telling), scales, "X, before")
        self._row(top + 0.72 + height, size_wh, (after.activity, after.telling), scales, "Y, after")
        self._bars(top + 0.62, size_wh, 2 * height + 0.1, scales, _FEATURES)

    def scores(self, y: float, size_wh: tuple[float, float]) -> None:
        """Part 4: the class's score map without and with the layer, and the difference."""
        found, (width, height) = self.attention, size_wh
        said = (
            f"both maps normalised to 0..1, boxes cut at {found.threshold:.3g} (line on the scale); box with "
            f"the layer magenta, without it dotted{', truth green' if self.truth else ''}"
        )
        self._title(y, f"4  What this changes in the score map S of {found.class_name}", said, math=False)
        top, sides = y + _HEAD + 0.1, (found.before, found.after)
        for index, name in enumerate(("without the layer, S(X)", "with it, S(Y)")):
            axes, side = self._panel(_LEFT + index * _PITCH, top, size_wh, name), sides[index]
            picture = overlay(self.image, side.score_map, side.boxes, self.truth, _PHOTOGRAPH_PIXELS)
            axes.imshow(picture, aspect="auto")
            bare(axes)
        place = (_LEFT + _PITCH + width + 0.07, top, height)
        bar = self.sheet.bar(place, ScalarMappable(Normalize(0, 1), _HEAT), "normalised score")
        bar.axhline(found.threshold, color="white", linewidth=1.6)
        bar.axhline(found.threshold, color=INK, linewidth=0.8)
        raw = found.after.raw_map - found.before.raw_map
        change = found.after.score_map - found.before.score_map
        for x, values, name, label in (
            (5.8, raw, "added by the layer, S(Y) - S(X)", "raw score"),
            (9.2, change, "change once both are normalised", "normalised score"),
        ):
            axes = self._panel(x, top, size_wh, name)
            drawn = draw_map(axes, values, scale_of(values, centred=True), _SIGNED)
            draw_box(axes, found.after.boxes, found.size_hw, BOX)
            draw_box(axes, found.before.boxes, found.size_hw, INK, dotted=True)
            self.sheet.bar((x + width + 0.07, top, height), drawn, label)

    def _title(self, y: float, text: str, formula: str, *, math: bool = True) -> None:
        self.sheet.words(_LEFT, y, text, fontsize=12, fontweight="bold")
        self.sheet.words(_LEFT, y + 0.27, formula, math=math, fontsize=10, color=SOFT)

    def _panel(self, x: float, y: float, size_wh: tuple[float, float], title: str) -> Axes:
        self.sheet.words(x, y - 0.06, title, va="bottom")
        return self.sheet.axes((x, y, *size_wh))

    def _column_titles(self, y: float) -> None:
        found = self.attention
        self.sheet.words(_LEFT, y - 0.06, f"mean of {found.shape[0]} channels", va="bottom")
        for index, channel in enumerate(found.telling):
            text = f"channel {channel} ({found.evidence[channel]:+.2g})"
            x, colour = _FIRST + index * _PITCH, TELLING_COLOURS[index]
            self.sheet.words(x, y - 0.06, text, va="bottom", color=colour, fontweight="bold")

    def _row(
        self,
        y: float,
        size_wh: tuple[float, float],
        values: tuple[FloatArray, FloatArray],
        scales: tuple[Normalize, Normalize],
        name: str,
    ) -> None:
        """The mean over the channels and, on a scale of their own, the telling channels."""
        (mean, telling), (width, height) = values, size_wh
        colours = _ATTENTION if name.startswith("attention") else _FEATURES
        self.sheet.words(0.45, y + height / 2, name, rotation=90, va="center", ha="center")
        draw_map(self.sheet.axes((_LEFT, y, width, height)), mean, scales[0], colours)
        for index, one in enumerate(telling):
            place = (_FIRST + index * _PITCH, y, width, height)
            draw_map(self.sheet.axes(place), one, scales[1], colours)

    def _bars(
        self,
        y: float,
        size_wh: tuple[float, float],
        length: float,
        scales: tuple[Normalize, Normalize],
        colours: str,
    ) -> None:
        """The scales of one or two rows, beside the mean and beside the last channel."""
        last = _FIRST + (len(self.attention.telling) - 1) * _PITCH
        said = ("attention",) * 2 if colours == _ATTENTION else ("mean of the positive part", "feature")
        for x, scale, label in zip((_LEFT, last), scales, said, strict=True):
            self.sheet.bar((x + size_wh[0] + 0.07, y, length), ScalarMappable(scale, colours), label)

    def _numbers(self, x: float, y: float) -> None:
        """What the pictures say, in three small tables."""
        found = self.attention
        heads = ("mean attention", "all", "class"), ("the class's map", "without", "with")
        y = self.sheet.table((x, y), [heads[0], *words.attention_rows(found)], (2.4, 3.05))
        self.sheet.words(x, y, "class: weighted by the channels' evidence", fontsize=8, color=SOFT)
        gains = [("positive features, Y against X", ""), *words.gain_rows(found)]
        y = self.sheet.table((x, y + 0.32), gains, (3.05,))
        self.sheet.table((x, y + 0.14), [heads[1], *words.score_rows(found)], (2.4, 3.05))


def _within(size_hw: tuple[int, int], most_wh: tuple[float, float]) -> tuple[float, float]:
    """The largest width and height of a photograph's shape; very long ones are squeezed to 1 : 3."""
    shape = min(max(size_hw[0] / size_hw[1], 1 / 3), 3)
    width = min(most_wh[0], most_wh[1] / shape)
    return width, width * shape
