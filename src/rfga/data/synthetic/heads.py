"""The telling parts: what alone distinguishes the synthetic species, all of it on the head.

Each function paints one species' head onto the shared bird, inside ``HEAD_REGION``. ``variation`` holds a
few numbers in [-1, 1] of the individual, the same whatever its species.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rfga.data.synthetic.bird import EYE
from rfga.data.synthetic.brush import Brush
from rfga.data.synthetic.canvas import Colour, blob, ellipse, points, spline

Variation = Sequence[float]

WHITE = (0.97, 0.96, 0.93)
BLACK = (0.05, 0.05, 0.06)


def hookbeak(brush: Brush, variation: Variation) -> None:
    """A heavy dark hooked beak under a yellow cere, and yellow skin around the eye."""
    yellow = _vary((0.98, 0.82, 0.10), variation[2])
    brush.fill(ellipse((EYE[0] - 0.005, EYE[1] + 0.005), (0.165, 0.15)), yellow, 0.05, 0.25)
    brush.fill(blob("0.88,-0.48 1.02,-0.42 1.12,-0.36 1,-0.32 0.88,-0.36"), (0.16, 0.15, 0.17), 0.04)
    upper = points("0.88,-0.77 1.07,-0.78 1.25,-0.63 1.29,-0.44 1.22,-0.22 1.15,-0.4 1.02,-0.45 0.89,-0.46")
    upper[4, 1] += 0.07 * variation[0]
    brush.fill(spline(upper), (0.21, 0.20, 0.23), 0.07, 0.8)
    brush.fill(blob("0.84,-0.75 0.96,-0.83 1.06,-0.78 1.04,-0.6 0.98,-0.46 0.86,-0.48"), yellow, 0.05)


def hornhelm(brush: Brush, variation: Variation) -> None:
    """A big pale bill that carries a casque, blue skin at its base."""
    blue = _vary((0.16, 0.44, 0.86), variation[2])
    brush.fill(blob("0.62,-0.74 0.8,-0.8 0.97,-0.7 0.96,-0.44 0.82,-0.4 0.66,-0.5"), blue, 0.06, 0.3)
    bill = points("0.89,-0.72 1.12,-0.71 1.34,-0.58 1.47,-0.31 1.24,-0.4 1.06,-0.42 0.89,-0.41")
    bill[3, 0] += 0.06 * variation[0]
    brush.fill(spline(bill), _vary((0.97, 0.86, 0.55), 0.5 * variation[2]), 0.07, 0.6)
    casque = points("0.58,-0.84 0.66,-1 0.88,-1.1 1.12,-1.02 1.26,-0.84 1.22,-0.66 1.02,-0.66 0.8,-0.76")
    casque[1:4, 1] -= 0.05 * variation[1]
    brush.fill(spline(casque), _vary((0.93, 0.62, 0.12), variation[2]), 0.08, 0.6)
    brush.lines([spline(points("0.9,-0.55 1.12,-0.54 1.4,-0.38"), False)], 0.022, (0.35, 0.26, 0.14), 0.8)


def maskbrow(brush: Brush, variation: Variation) -> None:
    """A black mask through the eye between a broad white brow and a white cheek."""
    face = blob(
        "0.36,-0.66 0.52,-0.78 0.74,-0.86 0.9,-0.79 0.98,-0.63 0.94,-0.42 0.82,-0.26 0.62,-0.27 0.44,-0.4"
    )
    brush.fill(face, WHITE, 0.10, 0.5)
    stripe = points("0.28,-0.54 0.46,-0.65 0.68,-0.75 0.88,-0.71 0.98,-0.62 0.94,-0.51 0.76,-0.52 0.52,-0.47")
    stripe[:, 1] = EYE[1] + (stripe[:, 1] - EYE[1]) * (1 + 0.15 * variation[0])
    brush.fill(spline(stripe), BLACK, 0.06, 0.2)
    _short_bill(brush)


def needlebill(brush: Brush, variation: Variation) -> None:
    """A long thin curved red bill with a black tip, and a white cheek."""
    brush.fill(blob("0.56,-0.56 0.7,-0.54 0.93,-0.53 0.91,-0.38 0.76,-0.29 0.58,-0.38"), WHITE, 0.08, 0.3)
    bill = points("0.9,-0.69 1.24,-0.62 1.54,-0.5 1.8,-0.36 1.52,-0.44 1.22,-0.49 0.9,-0.46")
    bill[2:5] += np.array([[0.6, 0.4], [1.0, 1.0], [0.6, 0.4]]) * (0.06 * variation[1], 0.05 * variation[0])
    brush.fill(spline(bill), _vary((0.88, 0.20, 0.14), variation[2]), 0.05)
    brush.fill(spline(bill[2:5]), BLACK, 0.03)


def plumecrest(brush: Brush, variation: Variation) -> None:
    """A fan of orange plumes on the crown."""
    plume = points("0,-0.06 0.55,-0.085 1,0 0.55,0.085 0,0.06")  # along and across
    for k in range(6):
        angle = np.deg2rad(196 + 17 * k + 5 * variation[0])
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        length = 0.46 + 0.05 * variation[1] - 0.016 * (k - 2) ** 2
        root = np.array([0.50 + 0.055 * k, -0.78 - 0.012 * k])
        outline = root + plume[:, :1] * length * along + plume[:, 1:] * across
        brush.fill(spline(outline), _vary((0.98, 0.42 if k % 2 else 0.27, 0.06), variation[2]), 0.05, 0.5)
    orange = _vary((0.93, 0.30, 0.05), variation[2])
    brush.fill(blob("0.42,-0.8 0.62,-0.91 0.86,-0.84 0.72,-0.74 0.52,-0.7"), orange, 0.05)
    _short_bill(brush)


def rubybib(brush: Brush, variation: Variation) -> None:
    """A ruby red face, throat and upper breast."""
    bib = points(
        "0.8,-0.55 0.95,-0.62 0.955,-0.46 0.895,-0.27 0.915,-0.08 0.84,0.04 0.66,0.02 0.53,-0.14 "
        "0.54,-0.34 0.66,-0.48"
    )
    bib[5:7, 1] += 0.05 * variation[0]
    brush.fill(spline(bib), _vary((0.80, 0.03, 0.14), variation[2]), 0.12, 0.6)
    feathers = [
        spline(points("-0.05,0 0,0.035 0.05,0") + place, False, 3)
        for place in points("0.65,-0.36 0.79,-0.34 0.64,-0.2 0.78,-0.2 0.7,-0.08")
    ]
    brush.lines(feathers, 0.022, (1.0, 0.42, 0.40), 0.5)
    _short_bill(brush)


HEADS: dict[str, Callable[[Brush, Variation], None]] = {
    "hookbeak": hookbeak,
    "hornhelm": hornhelm,
    "maskbrow": maskbrow,
    "needlebill": needlebill,
    "plumecrest": plumecrest,
    "rubybib": rubybib,
}
"""Species name -> the function that paints its head; the order is the class order."""


def _short_bill(brush: Brush) -> None:
    brush.fill(blob("0.9,-0.66 1.02,-0.63 1.19,-0.52 1.03,-0.49 0.91,-0.48"), (0.27, 0.25, 0.25), 0.04, 0.7)
    brush.lines([spline(points("0.92,-0.56 1.04,-0.555 1.17,-0.52"), False, 3)], 0.015, BLACK, 0.8)


def _vary(colour: Colour, amount: float) -> Colour:
    """The same colour a little darker or lighter, ``amount`` in [-1, 1]."""
    red, green, blue = (min(1.0, c * (1 + 0.10 * amount)) for c in colour)
    return red, green, blue
