"""Where a synthetic bird stands in its picture, and the brush that paints its parts there.

A bird is described in its own units, facing right, y down, hip near (0.05, 0.4), head around (0.66, -0.56).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rfga.data.synthetic.canvas import Canvas, Colour, FloatImage, Part, cut_like, relief
from rfga.types import FloatArray

HIP = (0.05, 0.40)
NECK = (0.45, -0.30)


@dataclass(frozen=True)
class Pose:
    """How a bird stands; angles in radians, lengths in its own units."""

    tilt: float  # of the body, positive: tail up
    nod: float  # of the head against the body
    plumpness: float  # height of the body, 1 is usual
    tail_angle: float
    tail_length: float
    leg_length: float


@dataclass(frozen=True)
class Frame:
    """Where a bird stands in the picture: its units to pixels."""

    pose: Pose
    hip_xy: tuple[float, float]  # pixels
    unit_pixels: float
    flip: bool

    def standing(self, points: FloatArray) -> FloatArray:
        """Points relative to the hip that do not tilt with the body (legs), in pixels, (n, 2) -> (n, 2)."""
        scale = (-self.unit_pixels if self.flip else self.unit_pixels, self.unit_pixels)
        return np.add(np.multiply(points, scale), self.hip_xy)

    def pixels(self, points: Sequence[tuple[float, float]] | FloatArray) -> FloatArray:
        """Points of the bird in pixels, (n, 2) -> (n, 2)."""
        xy = np.array(points, dtype=np.float64)
        # the head turns about the neck; its influence fades over the neck, so that the outline bends
        weight = np.clip((xy[:, 0] * 0.55 - xy[:, 1] - 0.38) / 0.35, 0, 1)
        xy = rotated(xy - NECK, self.pose.nod * weight) + NECK - HIP
        xy[:, 1] *= 1 + (self.pose.plumpness - 1) * (1 - weight)
        return self.standing(rotated(xy, self.pose.tilt))

    def bird_coordinates(self, window: tuple[slice, slice]) -> tuple[FloatImage, FloatImage]:
        """X and y of the pixels of a window in the bird's own units (head's turn left out), each (h, w)."""
        rows, columns = np.mgrid[window].astype(np.float32) + np.float32(0.5)
        x = (columns - self.hip_xy[0]) * ((-1.0 if self.flip else 1.0) / self.unit_pixels)
        y = (rows - self.hip_xy[1]) * (1 / self.unit_pixels)
        cos, sin = np.float32(np.cos(self.pose.tilt)), np.float32(np.sin(self.pose.tilt))
        return cos * x + sin * y + np.float32(HIP[0]), cos * y - sin * x + np.float32(HIP[1])


@dataclass(frozen=True)
class Brush:
    """Paints parts of a bird, given in its own units, onto a canvas under one light."""

    canvas: Canvas
    frame: Frame
    light_xy: tuple[float, float]  # unit vector to the light, in the picture
    tint: Colour  # of the light

    def lit(self, colour: Colour) -> FloatImage:
        """A colour as it looks in this light, (3,)."""
        return np.asarray(colour, np.float32) * np.asarray(self.tint, np.float32)

    def fill(self, outline: FloatArray, colour: Colour, roundness: float, depth: float = 0.45) -> None:
        """Paints one closed part that bulges over ``roundness`` units, light and shade ``depth`` strong."""
        self.fill_pixels(self.frame.pixels(outline), colour, roundness, depth)

    def fill_pixels(self, outline: FloatArray, colour: Colour, roundness: float, depth: float = 0.45) -> None:
        """As ``fill``, the outline given in pixels."""
        self.shade(self.cover(outline, roundness), self.lit(colour), roundness, depth)

    def cover(self, outline: FloatArray, roundness: float) -> Part:
        """The pixels of an outline given in pixels, in a window wide enough for its shading."""
        return self.canvas.area([outline], 1 + 2 * roundness * self.frame.unit_pixels)

    def shade(self, part: Part, colour: FloatImage, roundness: float, depth: float) -> None:
        """Paints a part with a colour (3,) or (h, w, 3) under the light."""
        roundness_pixels = max(0.7, roundness * self.frame.unit_pixels)
        light = 1 + depth * relief(part.coverage, roundness_pixels, self.light_xy)
        self.canvas.paint(part, np.minimum(np.maximum(light, 0)[..., None] * colour, 1))

    def lines(self, lines: Sequence[FloatArray], width: float, colour: Colour, strength: float = 1.0) -> None:
        """Paints lines of a width in the bird's units onto the bird, ``strength`` in [0, 1] opaque."""
        pixels = cut_like(lines, self.frame.pixels(np.concatenate(lines)))
        part = self.canvas.lines(pixels, width * self.frame.unit_pixels, inside=True)
        self.canvas.paint(Part(part.window, part.coverage * np.float32(strength)), self.lit(colour))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``share`` of the second colour in the first."""
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return red, green, blue


def rotated(xy: FloatArray, angle: FloatArray | float) -> FloatArray:
    """Points (n, 2) turned about the origin by an angle, or by (n,) angles, in radians."""
    turned = np.ascontiguousarray(xy).view(np.complex128)[:, 0] * np.exp(1j * np.asarray(angle))
    return turned.view(np.float64).reshape(-1, 2)
