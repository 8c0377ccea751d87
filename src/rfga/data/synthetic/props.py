"""What stands and grows in the backgrounds of the synthetic pictures: perches, leaves, grass, flowers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rfga.data.synthetic.canvas import draw_polygon, ellipse, points, spline
from rfga.types import ByteArray


@dataclass(frozen=True)
class Stage:
    """Where the bird will stand: its feet and its size, in pixels, and the picture's size."""

    size_hw: tuple[int, int]
    feet_xy: tuple[float, float]
    unit_pixels: float


_HALF_LEAF = spline(points("0,0 0.35,0.17 0.7,0.13 1,0"), False, 4)  # along and across, in lengths


def paint_shadow(picture: ByteArray, stage: Stage) -> None:
    """A soft shadow on the ground under the bird, part of the scene and not of the bird."""
    x, y = stage.feet_xy
    layer = np.full(stage.size_hw, 255, np.uint8)
    outline = ellipse((x, y + 0.03 * stage.unit_pixels), (0.85 * stage.unit_pixels, 0.11 * stage.unit_pixels))
    cv2.fillPoly(layer, [np.rint(outline).astype(np.int32)], 130)
    soft = cv2.GaussianBlur(layer, (0, 0), 0.07 * stage.unit_pixels + 0.5)
    np.copyto(picture, cv2.multiply(picture, cv2.merge([soft] * 3), scale=1 / 255))


def paint_blade(picture: ByteArray, foot: tuple[float, float], height: int, rng: np.random.Generator) -> None:
    """A blade of grass that stands at ``foot``; its length goes by the picture's height in pixels."""
    x, y = foot
    length, lean = rng.uniform(0.07, 0.18) * height, rng.normal(0, 0.06) * height
    width = 0.006 * height
    outline = np.array(
        [
            (x - width, y),
            (x + 0.35 * lean - 0.7 * width, y - 0.55 * length),
            (x + lean, y - length),
            (x + 0.35 * lean + 0.9 * width, y - 0.55 * length),
            (x + width, y),
        ]
    )
    light = rng.uniform(0.6, 1.15)
    draw_polygon(picture, outline, (0.36 * light, 0.56 * light, 0.20 * light))


def paint_flower(
    picture: ByteArray, centre: tuple[float, float], height: int, rng: np.random.Generator
) -> None:
    """A small flower of five petals, pale or yellow or pink."""
    size = rng.uniform(0.012, 0.024) * height
    colour = ((0.97, 0.95, 0.92), (0.93, 0.80, 0.25), (0.72, 0.52, 0.82), (0.88, 0.55, 0.62))[rng.integers(4)]
    for angle in np.arange(5) * (2 * np.pi / 5):
        petal = (centre[0] + size * np.cos(angle), centre[1] + 0.8 * size * np.sin(angle))
        draw_polygon(picture, ellipse(petal, (0.62 * size, 0.55 * size), 10), colour)
    draw_polygon(picture, ellipse(centre, (0.45 * size, 0.4 * size), 10), (0.80, 0.58, 0.16))


def paint_leaf(
    picture: ByteArray, root: tuple[float, float], length: float, rng: np.random.Generator
) -> None:
    """A leaf with a lighter half, in a random direction from its root."""
    angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.12, 0.12)
    light, tone = rng.uniform(0.65, 1.15), rng.uniform(0.25, 0.42)
    along = np.array([np.cos(angle), np.sin(angle)]) * length
    across = np.array([-along[1], along[0]])
    upper, lower = (
        np.array(root) + half[:, :1] * along + (half[:, 1:] + bend * half[:, :1] ** 2) * across
        for half in (_HALF_LEAF, _HALF_LEAF[::-1] * [1, -1])
    )
    rib = (upper[::-1] + lower) / 2
    draw_polygon(picture, np.concatenate([upper, lower]), (tone * light, 0.52 * light, 0.18 * light))
    draw_polygon(picture, np.concatenate([upper, rib]), (tone * light * 1.2, 0.60 * light, 0.24 * light))


def paint_branch(picture: ByteArray, stage: Stage, rng: np.random.Generator, leaves: int) -> None:
    """A branch under the feet, across the picture, with twigs of leaves."""
    width, (x, y), unit = stage.size_hw[1], stage.feet_xy, stage.unit_pixels
    half = rng.uniform(0.07, 0.12) * unit
    slope, wave = rng.normal(0, 0.08), rng.uniform(-0.05, 0.05) * unit
    xs = np.linspace(-8, width + 8, 16)
    middle = y + half + slope * (xs - x) + wave * np.sin((xs - x) / (0.9 * unit))
    thick = half * (1 + 0.12 * np.sin(xs / (0.37 * unit) + rng.uniform(0, 6)))
    anchors = rng.uniform(0, width, leaves)
    for anchor in anchors[::2]:
        paint_leaf(
            picture, (anchor, float(np.interp(anchor, xs, middle))), rng.uniform(0.3, 0.55) * unit, rng
        )
    brown = rng.uniform(0.8, 1.15)
    for low, high, shade in ((-1.0, 1.0, 0.26), (-1.0, 0.45, 0.36), (-0.95, -0.1, 0.46)):
        outline = np.concatenate(
            [np.stack([xs, middle + low * thick], 1), np.stack([xs, middle + high * thick], 1)[::-1]]
        )
        draw_polygon(picture, outline, (shade * brown, 0.78 * shade * brown, 0.60 * shade * brown))
    for anchor in anchors[1::2]:
        spot = float(np.interp(anchor, xs, middle + 0.5 * thick))
        paint_leaf(picture, (anchor, spot), rng.uniform(0.25, 0.45) * unit, rng)


def paint_stone(picture: ByteArray, stage: Stage, rng: np.random.Generator) -> None:
    """A wet stone under the feet."""
    (x, y), unit = stage.feet_xy, stage.unit_pixels
    grey, wide = rng.uniform(0.42, 0.58), rng.uniform(0.75, 1.1) * unit
    for lift, size, light in ((0.10, 1.12, 0.45), (0.0, 1.0, 0.72), (-0.03, 0.8, 1.0)):
        bumps = ellipse((x, y + (0.24 + lift) * unit), (wide * size, 0.28 * unit * size), 14)
        bumps += rng.normal(0, 0.012 * unit, bumps.shape)
        draw_polygon(
            picture, spline(bumps, steps=3), (grey * light, grey * light * 0.98, grey * light * 0.94)
        )
