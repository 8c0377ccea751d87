"""The tools the synthetic pictures are drawn with: smooth outlines, exact coverage, shading, noise.

Points are (n, 2) arrays of x, y. In pixels they are continuous positions: the upper left pixel covers
[0, 1) x [0, 1). Colours are RGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from math import ceil, floor
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rfga.types import ByteArray, FloatArray

FloatImage = NDArray[np.float32]
Colour = tuple[float, float, float]
Picture = TypeVar("Picture", ByteArray, FloatImage)
Number = TypeVar("Number", np.float64, np.int32)

SUPERSAMPLING = 3
"""Sub-pixels along each axis; outlines are filled on them, then averaged, which smooths every edge."""

_FRACTION_BITS = 4  # OpenCV takes positions as integers with this many bits behind the point


def points(text: str) -> FloatArray:
    """Points written as "x,y x,y ...", (n, 2).

    Example:
        >>> points("0.5,1 2,-3").tolist()
        [[0.5, 1.0], [2.0, -3.0]]
    """
    return np.array([pair.split(",") for pair in text.split()], dtype=np.float64)


def spline(
    knots: Sequence[tuple[float, float]] | FloatArray, closed: bool = True, steps: int = 6
) -> FloatArray:
    """A smooth line through all knots (Catmull-Rom): (n, 2) -> (about n * steps, 2).

    Example:
        >>> spline([(0, 0), (1, 0), (1, 1)], steps=4).shape
        (12, 2)
        >>> spline([(0, 0), (1, 0), (1, 1)], closed=False, steps=4).shape
        (9, 2)
    """
    knots = np.asarray(knots, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([knots[:1], knots, knots[-1:]])
    pieces = len(padded) - 3
    neighbours = padded[np.arange(pieces)[:, None] + np.arange(4)]  # (pieces, 4, 2)
    line: FloatArray = (_spline_basis(steps) @ neighbours).reshape(-1, 2)
    return line if closed else np.concatenate([line, knots[-1:]])


@cache
def _spline_basis(steps: int) -> FloatArray:
    """Weights of four neighbouring points at ``steps`` positions between the middle two, (steps, 4)."""
    t = np.arange(steps)[:, None] / steps
    return 0.5 * np.hstack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    )


@cache
def blob(text: str) -> FloatArray:
    """The smooth closed outline through points written as "x,y x,y ..."; not to be changed."""
    return spline(points(text))


def ellipse(centre: tuple[float, float], radii: tuple[float, float], corners: int = 24) -> FloatArray:
    """The outline of an upright ellipse, (corners, 2)."""
    angle = np.arange(corners) * (2 * np.pi / corners)
    return np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=1)


def smoothstep(low: float, high: float, values: FloatImage) -> FloatImage:
    """0 below ``low``, 1 above ``high``, smooth between; element by element."""
    t = np.clip((values - low) / (high - low), 0, 1)
    result: FloatImage = t * t * (3 - 2 * t)
    return result


def fractal(
    rng: np.random.Generator, size_hw: tuple[int, int], cells_hw: tuple[int, int], octaves: int = 3
) -> FloatImage:
    """Cloudy noise in about [-1, 1] of shape ``size_hw``, coarsest detail in ``cells_hw`` cells."""
    total = np.zeros(size_hw, np.float32)
    for octave in range(octaves):
        rows, columns = (min(n << octave, 4096) + 1 for n in cells_hw)
        grid = rng.random((rows, columns), np.float32) * 2 - 1
        total += cv2.resize(grid, size_hw[::-1], interpolation=cv2.INTER_CUBIC) * 0.6 / (1 << octave)
    return total


def fixed_point(points: FloatArray, scale: int = 1) -> NDArray[np.int32]:
    """Continuous positions as the integers OpenCV draws with, which counts from pixel centres."""
    return np.rint((points * scale - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)


def blurred(picture: Picture, sigma: float, kernel_side: int = 0) -> Picture:
    """The picture smoothed by a Gaussian of ``sigma`` pixels, cut at ``kernel_side`` pixels if given."""
    return np.asarray(cv2.GaussianBlur(picture, (kernel_side, kernel_side), sigma), picture.dtype)


def cut_like(lines: Sequence[FloatArray], together: NDArray[Number]) -> list[NDArray[Number]]:
    """Takes apart what was put ``together`` from as many points as ``lines`` have."""
    ends = list(accumulate(len(line) for line in lines))
    return [together[end - len(line) : end] for line, end in zip(lines, ends, strict=True)]


def draw_polygon(picture: ByteArray, points: FloatArray, colour: Colour) -> None:
    """Fills an outline on an (H, W, 3) picture, edges smoothed."""
    value = tuple(255 * c for c in colour)
    cv2.fillPoly(picture, [fixed_point(points)], value, cv2.LINE_AA, _FRACTION_BITS)


@dataclass(frozen=True)
class Part:
    """What some outlines cover: the window of the picture that holds them, the share of each pixel there."""

    window: tuple[slice, slice]  # rows, columns
    coverage: FloatImage  # (h, w) of the window, in [0, 1]


@dataclass
class Canvas:
    """A picture being painted, and what of it the object covers.

    Attributes:
        picture: (H, W, 3) float32 in [0, 1].
        object_subpixels: (H * SUPERSAMPLING, W * SUPERSAMPLING) uint8, 255 where the object was painted.
    """

    picture: FloatImage
    object_subpixels: ByteArray = field(init=False)

    def __post_init__(self) -> None:
        height, width = self.picture.shape[:2]
        self.object_subpixels = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)

    def area(self, outlines: Sequence[FloatArray], margin_pixels: float = 1.0) -> Part:
        """What lies inside the outlines, which joins the object; the window is wider by the margin."""
        part, subpixels = self._blank(outlines, margin_pixels)
        corner = (part.window[1].start, part.window[0].start)
        for outline in outlines:  # one by one: together, OpenCV would leave overlaps empty
            points = fixed_point(outline - corner, SUPERSAMPLING)
            cv2.fillPoly(subpixels, [points], 255, cv2.LINE_8, _FRACTION_BITS)
        return self._joined(part, subpixels)

    def lines(self, lines: Sequence[FloatArray], width_pixels: float, *, inside: bool) -> Part:
        """What lies under lines of a width; joins the object or, with ``inside``, is cut off at its edge."""
        part, subpixels = self._blank(lines, width_pixels)
        corner = (part.window[1].start, part.window[0].start)
        # all at once: far quicker than line by line
        points = cut_like(lines, fixed_point(np.concatenate(lines) - corner, SUPERSAMPLING))
        thickness = max(1, round(width_pixels * SUPERSAMPLING))
        cv2.polylines(subpixels, points, False, 255, thickness, cv2.LINE_8, _FRACTION_BITS)
        if not inside:
            return self._joined(part, subpixels)
        return Part(part.window, average(subpixels & self.object_subpixels[_enlarged(part.window)]))

    def object_mask(self) -> ByteArray:
        """(H, W) uint8: 255 where the object covers at least half of a pixel, else 0."""
        return np.where(average(self.object_subpixels) >= 0.5, np.uint8(255), np.uint8(0))

    def paint(self, part: Part, colour: FloatImage | Colour) -> None:
        """Lays a colour, or an (h, w, 3) picture of the part's window, over the canvas."""
        below = self.picture[part.window]
        below += part.coverage[..., None] * (np.asarray(colour, np.float32) - below)

    def _blank(self, points: Sequence[FloatArray], margin_pixels: float) -> tuple[Part, ByteArray]:
        """An empty part around the points, never without pixels, and its sub-pixels."""
        together = np.concatenate(points)
        window = []
        for axis in (1, 0):
            along, limit = together[:, axis], self.picture.shape[1 - axis]
            start = min(max(floor(along.min() - margin_pixels), 0), limit - 1)
            window.append(slice(start, min(max(ceil(along.max() + margin_pixels), start + 1), limit)))
        height, width = (s.stop - s.start for s in window)
        part = Part((window[0], window[1]), np.zeros((height, width), np.float32))
        return part, np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)

    def _joined(self, part: Part, subpixels: ByteArray) -> Part:
        whole = self.object_subpixels[_enlarged(part.window)]
        cv2.bitwise_or(whole, subpixels, whole)
        return Part(part.window, average(subpixels))


def average(subpixels: ByteArray) -> FloatImage:
    """Mean over each pixel's sub-pixels: (3H, 3W) uint8 -> (H, W) float32 in [0, 1]."""
    height, width = (n // SUPERSAMPLING for n in subpixels.shape)
    mean: FloatImage = cv2.resize(subpixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    mean *= np.float32(1 / 255)
    return mean


def _enlarged(window: tuple[slice, slice]) -> tuple[slice, slice]:
    """A window in pixels as the window of the same place in sub-pixels."""
    rows, columns = (slice(s.start * SUPERSAMPLING, s.stop * SUPERSAMPLING) for s in window)
    return rows, columns


def relief(coverage: FloatImage, roundness_pixels: float, light_xy: tuple[float, float]) -> FloatImage:
    """How bright a part bulging out of the picture is, about -1 (away from the light) to 1, shape (H, W).

    The blurred coverage is taken as the height of the part; ``light_xy`` is the unit vector to the light.
    """
    height, width = coverage.shape
    shrink = max(1, round(roundness_pixels / 3))  # the blur needs no more detail than that
    sigma = roundness_pixels / shrink
    small = coverage if shrink == 1 else _resized(coverage, -(-width // shrink), -(-height // shrink))
    height_field = cv2.GaussianBlur(small, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    slope = _SLOPE_X * light_xy[0] + _SLOPE_X.T * light_xy[1]
    toward_light = np.asarray(cv2.filter2D(height_field, cv2.CV_32F, slope * (-2.5 * sigma)), np.float32)
    return toward_light if shrink == 1 else _resized(toward_light, width, height)


_SLOPE_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8  # Sobel's


def _resized(field: FloatImage, width: int, height: int) -> FloatImage:
    """Shrunk by averaging, enlarged linearly."""
    interpolation = cv2.INTER_AREA if width < field.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(field, (width, height), interpolation=interpolation), np.float32)
