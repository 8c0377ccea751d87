"""The body all synthetic birds share: plumage, wing, tail, legs, eye. Nothing here knows of species."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfga.data.synthetic.brush import Brush, Frame, Pose, mix, rotated
from rfga.data.synthetic.canvas import (
    Canvas,
    Colour,
    FloatImage,
    Part,
    average,
    blob,
    blurred,
    ellipse,
    points,
    smoothstep,
    spline,
)
from rfga.types import ByteArray, FloatArray

EYE = (0.75, -0.63)
BODY = blob(
    "0.66,-0.89 0.86,-0.81 0.97,-0.64 0.94,-0.46 0.88,-0.28 0.93,0 0.84,0.32 0.52,0.58 0.05,0.64 "
    "-0.38,0.48 -0.72,0.24 -0.84,0.04 -0.66,-0.1 -0.3,-0.3 0.05,-0.46 0.3,-0.62 0.44,-0.8"
)
WING = blob(
    "0.5,-0.2 0.52,0.02 0.36,0.24 0,0.34 -0.42,0.3 -0.86,0.24 -1.16,0.22 -0.92,0.06 -0.55,-0.14 "
    "-0.15,-0.3 0.25,-0.36"
)
COVERTS = blob("0.5,-0.2 0.5,0 0.3,0.1 -0.05,0.06 -0.38,-0.06 -0.15,-0.3 0.25,-0.36")
FLIGHT = blob("-0.3,0.31 -0.62,0.28 -1.16,0.22 -0.86,0.06 -0.58,0.02")
_FEATHERS = [
    spline(
        points("0.34,0.1 0.21,0.2425 0.02,0.325") - k * points("0.09,0.035 0.125,0.0235 0.16,0.012"), False, 3
    )
    for k in range(7)
]
_SCALES = [
    spline([(x - 0.07, y), (x, y + 0.05), (x + 0.07, y)], False, 3)
    for x, y in ((0.38, -0.12), (0.22, -0.18), (0.06, -0.18), (0.30, -0.02), (0.12, -0.06), (-0.08, -0.10))
]
_WING_BAR = spline(points("0.49,0.02 0.3,0.115 -0.05,0.075 -0.36,-0.04"), False)
HEAD_REGION = points(
    "-0.1,-0.62 -0.1,-1.45 0.75,-1.45 1.3,-1.2 2.1,-0.62 2.1,-0.25 1.15,0.16 0.6,0.1 0.42,-0.3"
)
"""Outside this outline all species are alike."""


@dataclass(frozen=True)
class Plumage:
    """Colours and markings, drawn alike for every species."""

    back: Colour
    wing: Colour
    belly: Colour
    breast: Colour
    legs: Colour
    streaks: float  # how dark the strokes on the breast are, in [0, 1]
    bars: float  # how pale the wing bar is, in [0, 1]


def paint_body(brush: Brush, plumage: Plumage, rng: np.random.Generator) -> None:
    """Paints tail, legs, body and wing; the random generator places the feather strokes."""
    _paint_tail(brush, plumage)
    _paint_legs(brush, plumage)
    body = brush.cover(brush.frame.pixels(BODY), 0.26)
    brush.shade(body, _plumage_field(brush, plumage, body.window), 0.26, 0.75)
    _paint_strokes(brush, plumage, rng)
    _paint_wing(brush, plumage)


def paint_eye(brush: Brush) -> None:
    """Paints the eye: pale lid, dark iris, highlight."""
    brush.fill(ellipse(EYE, (0.085, 0.08)), (0.80, 0.76, 0.68), 0.03, 0.1)
    iris = ellipse(EYE, (0.066, 0.066), 16)
    highlight = ellipse((EYE[0] + 0.02, EYE[1] - 0.026), (0.024, 0.024), 12)
    for outline, colour in ((iris, (0.05, 0.035, 0.03)), (highlight, (1.0, 1.0, 1.0))):
        brush.canvas.paint(brush.canvas.area([brush.frame.pixels(outline)]), colour)


def head_region(frame: Frame, size_hw: tuple[int, int]) -> ByteArray:
    """(H, W) uint8, 255 inside the outline in which species may differ, touched pixels included."""
    canvas = Canvas(np.zeros((*size_hw, 3), np.float32))
    canvas.area([frame.pixels(HEAD_REGION)])
    return np.where(average(canvas.object_subpixels) > 0, np.uint8(255), np.uint8(0))


def unit_outlines(pose: Pose) -> tuple[FloatArray, FloatArray]:
    """Points around the whole bird, and around its head, in units about the hip, before flip and scale."""
    frame = Frame(pose, (0.0, 0.0), 1.0, False)
    feet = np.array([[-0.25, pose.leg_length + 0.06], [0.3, pose.leg_length + 0.06]])
    head = frame.pixels(points("0.3,-0.9 0.3,-1.2 0.9,-1.25 1.25,-1 1.75,-0.4 0.9,-0.05"))
    return np.concatenate([frame.pixels(BODY), _tail_outline(frame), feet, head]), head


def _tail_outline(frame: Frame) -> FloatArray:
    length = frame.pose.tail_length
    tail = np.array(
        [
            (0.15, -0.13),
            (-0.4 * length, -0.15),
            (-length, -0.17),
            (-length - 0.05, 0.0),
            (-length, 0.13),
            (-0.4 * length, 0.13),
            (0.15, 0.16),
        ]
    )
    turned = rotated(tail, -frame.pose.tail_angle) + np.array([-0.72, 0.10])
    return frame.pixels(turned)


def _paint_tail(brush: Brush, plumage: Plumage) -> None:
    outline = _tail_outline(brush.frame)
    brush.fill_pixels(outline, mix(plumage.wing, (0.05, 0.05, 0.06), 0.25), 0.08)
    root = (outline[0] + outline[-1]) / 2
    for share in (0.3, 0.7):
        tip = outline[2] * (1 - share) + outline[4] * share
        line = brush.canvas.lines([np.stack([root, tip])], 0.025 * brush.frame.unit_pixels, inside=True)
        brush.canvas.paint(line, brush.lit(mix(plumage.wing, (0, 0, 0), 0.45)))


def _paint_legs(brush: Brush, plumage: Plumage) -> None:
    for offset, shade in ((0.16, 0.35), (-0.02, 0.0)):  # the far leg first, darker
        foot = (offset + 0.02, brush.frame.pose.leg_length)
        knee = (offset - 0.05, 0.22 + 0.35 * (brush.frame.pose.leg_length - 0.22))
        toes = [(foot[0] - 0.13, foot[1] + 0.02), foot, (foot[0] + 0.18, foot[1] + 0.02)]
        middle_toe = [foot, (foot[0] + 0.10, foot[1] + 0.05)]
        parts = [np.array(p) for p in ([(offset, 0.05), knee, foot], toes, middle_toe)]
        lines = [brush.frame.standing(part) for part in parts]
        leg = brush.canvas.lines(lines, 0.062 * brush.frame.unit_pixels, inside=False)
        brush.canvas.paint(leg, brush.lit(mix(plumage.legs, (0, 0, 0), shade)))


def _plumage_field(brush: Brush, plumage: Plumage, window: tuple[slice, slice]) -> FloatImage:
    """Colour of the body at the pixels of a window, (h, w, 3): back above, belly below, breast in front."""
    x, y = brush.frame.bird_coordinates(window)
    below = smoothstep(
        -0.12, 0.30, y + 0.32 * smoothstep(0.1, 0.9, x) * (1 - smoothstep(-0.7, -0.2, y) * 0.3)
    )
    front = np.minimum(1, 1.3 * np.exp(-(((x - 0.85) / 0.36) ** 2) - ((y - 0.02) / 0.34) ** 2))
    back, belly, breast = (brush.lit(colour) for colour in (plumage.back, plumage.belly, plumage.breast))
    colours: FloatImage = back + below[..., None] * (belly - back)
    colours += front[..., None] * (breast - colours)
    return colours


def _paint_strokes(brush: Brush, plumage: Plumage, rng: np.random.Generator) -> None:
    """Short strokes along the body that read as feathers, some dark, some pale."""
    start = rng.uniform((-0.55, -0.35), (0.95, 0.55), (110, 2))
    step = np.stack([np.full(110, -0.10), 0.045 + 0.05 * start[:, 0]], axis=1) * rng.uniform(
        0.6, 1.3, (110, 1)
    )
    lines = list(np.stack([start, start + step], axis=1))
    brush.lines(lines[:40], 0.02, mix(plumage.back, (0, 0, 0), 0.7), 0.30)
    brush.lines(lines[40:80], 0.02, mix(plumage.belly, (1, 1, 1), 0.6), 0.30)
    breast = [line for line in lines[80:] if line[0, 0] > 0.3]
    if breast:
        brush.lines(breast, 0.045, mix(plumage.back, (0, 0, 0), 0.5), plumage.streaks)


def _paint_wing(brush: Brush, plumage: Plumage) -> None:
    outline = WING
    _paint_wing_shadow(brush, plumage, outline + np.array([0.02, 0.07]))
    brush.fill(outline, plumage.wing, 0.10, 0.6)
    brush.fill(FLIGHT, mix(plumage.wing, (0.03, 0.03, 0.04), 0.55), 0.05, 0.3)
    brush.fill(COVERTS, mix(plumage.wing, plumage.back, 0.6), 0.09, 0.5)
    dark = mix(plumage.wing, (0, 0, 0), 0.6)
    brush.lines(_FEATHERS, 0.022, dark, 0.6)
    brush.lines(_SCALES, 0.02, dark, 0.45)
    brush.lines([_WING_BAR], 0.045, (0.96, 0.95, 0.90), plumage.bars)


def _paint_wing_shadow(brush: Brush, plumage: Plumage, outline: FloatArray) -> None:
    """The soft shadow the wing throws on the body, and only on it."""
    unit = brush.frame.unit_pixels
    whole = brush.canvas.object_subpixels.copy()
    shadow = brush.canvas.area([brush.frame.pixels(outline)], 0.12 * unit)
    brush.canvas.object_subpixels = whole
    soft = blurred(shadow.coverage, max(0.5, 0.035 * unit))
    soft *= average(whole)[shadow.window] * np.float32(0.4)
    brush.canvas.paint(Part(shadow.window, soft), brush.lit(mix(plumage.belly, (0.02, 0.02, 0.04), 0.8)))
