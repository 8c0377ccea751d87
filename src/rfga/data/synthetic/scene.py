"""The backgrounds of the synthetic pictures: six scenes, none of which knows what species will be in it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from rfga.data.synthetic.canvas import Colour, FloatImage, blurred, draw_polygon, ellipse, fractal, smoothstep
from rfga.data.synthetic.props import (
    Stage,
    paint_blade,
    paint_branch,
    paint_flower,
    paint_leaf,
    paint_shadow,
    paint_stone,
)
from rfga.types import ByteArray, FloatArray


def scene(name: str, stage: Stage, rng: np.random.Generator) -> tuple[FloatImage, Colour]:
    """The picture without the bird, (H, W, 3) in [0, 1], and the colour of its light."""
    painter, tint = SCENES[name]
    picture = painter(stage, rng)
    return picture.astype(np.float32) * np.float32(1 / 255), tint


def _sky(stage: Stage, rng: np.random.Generator) -> ByteArray:
    """Blue sky with clouds; a branch."""
    blue = rng.uniform(-0.06, 0.06)
    picture = _gradient(stage.size_hw, [(0.30 + blue, 0.52 + blue, 0.84), (0.72 + blue, 0.84, 0.95)])
    clouds = fractal(rng, stage.size_hw, (3, 4), 4)
    amount = smoothstep(rng.uniform(-0.2, 0.15), 0.75, clouds)[..., None]
    shaded = np.asarray((0.98, 0.98, 0.99), np.float32) - 0.14 * smoothstep(0.2, 1.1, clouds)[..., None]
    picture += amount * (shaded - picture)
    drawn = _bytes(picture)
    paint_branch(drawn, stage, rng, leaves=int(rng.integers(3, 9)))
    return drawn


def _meadow(stage: Stage, rng: np.random.Generator) -> ByteArray:
    """Grass with flowers under a strip of sky and far trees."""
    height, width = stage.size_hw
    horizon = _horizon(stage, rng)
    green = rng.uniform(-0.06, 0.08)
    picture = _ground(
        stage,
        horizon,
        [(0.62, 0.78, 0.93), (0.86, 0.92, 0.95)],
        [(0.52 + green, 0.66, 0.32), (0.30 + green, 0.48, 0.16)],
    )
    trees = horizon - fractal(rng, (1, width), (1, 7))[0] * 0.06 * height - 0.04 * height
    _below(picture, trees, horizon, (0.26 + green, 0.40, 0.27))
    picture += fractal(rng, stage.size_hw, (8, 10))[..., None] * 0.07 * _under(stage, horizon)
    drawn = blurred(_bytes(picture), 1.2)
    paint_shadow(drawn, stage)
    for y in np.sort(rng.uniform(horizon + 0.25 * (height - horizon), height * 1.12, 70)):
        paint_blade(drawn, (rng.uniform(0, width), y), height, rng)
    for _ in range(rng.integers(0, 9)):
        paint_flower(drawn, (rng.uniform(0, width), rng.uniform(horizon + 3, height)), height, rng)
    return drawn


def _leaves(stage: Stage, rng: np.random.Generator) -> ByteArray:
    """Foliage out of focus, with spots of light; a branch with leaves."""
    height, width = stage.size_hw
    dark, bright = (0.13, 0.25, 0.12), (rng.uniform(0.45, 0.62), 0.66, 0.34)
    noise = smoothstep(-0.8, 0.9, fractal(rng, stage.size_hw, (3, 4), 3))[..., None]
    picture = _bytes(
        np.asarray(dark, np.float32) + noise * (np.asarray(bright, np.float32) - np.asarray(dark, np.float32))
    )
    layer = picture.copy()
    for _ in range(12):
        radius = rng.uniform(0.03, 0.10) * height
        spot = ellipse((rng.uniform(0, width), rng.uniform(0, height)), (radius, radius), 20)
        draw_polygon(layer, spot, (rng.uniform(0.6, 0.9), 0.85, rng.uniform(0.4, 0.6)))
    picture = blurred(np.asarray(cv2.addWeighted(picture, 0.7, layer, 0.3, 0), np.uint8), 1.6)
    for _ in range(9):
        paint_leaf(picture, (rng.uniform(0, width), rng.uniform(0, height)), 0.16 * height, rng)
    picture = blurred(picture, 1.3)
    paint_branch(picture, stage, rng, leaves=int(rng.integers(8, 18)))
    return picture


def _water(stage: Stage, rng: np.random.Generator) -> ByteArray:
    """A lake with ripples and a far shore; a stone."""
    height, width = stage.size_hw
    horizon = _horizon(stage, rng)
    picture = _ground(
        stage,
        horizon,
        [(0.66, 0.78, 0.88), (0.90, 0.92, 0.92)],
        [(0.55, 0.68, 0.76), (0.14, 0.32 + rng.uniform(0, 0.1), 0.44)],
    )
    shore = horizon - fractal(rng, (1, width), (1, 5))[0] * 0.04 * height - 0.05 * height
    _below(picture, shore, horizon, (0.34, 0.44, 0.40))
    ripples = fractal(rng, stage.size_hw, (26, 4), 3)[..., None]
    picture += (0.13 * ripples + 0.25 * smoothstep(0.5, 1.0, ripples)) * _under(stage, horizon)
    drawn = blurred(_bytes(picture), 0.8)
    paint_stone(drawn, stage, rng)
    return drawn


def _sand(stage: Stage, rng: np.random.Generator) -> ByteArray:
    """A beach with pebbles, sea behind."""
    height, width = stage.size_hw
    horizon = _horizon(stage, rng)
    warm = rng.uniform(-0.05, 0.05)
    picture = _ground(
        stage,
        horizon,
        [(0.25, 0.55, 0.66), (0.50, 0.74, 0.78)],
        [(0.88, 0.80 + warm, 0.64 + warm), (0.74, 0.64 + warm, 0.47 + warm)],
    )
    under = _under(stage, horizon)
    picture += fractal(rng, stage.size_hw, (20, 3), 3)[..., None] * (0.05 + 0.05 * (1 - under))
    foam = horizon + fractal(rng, (1, width), (1, 6))[0] * 0.02 * height
    _below(picture, foam - 0.015 * height, foam + 0.02 * height, (0.96, 0.97, 0.96))
    drawn = blurred(_bytes(picture), 0.9)
    paint_shadow(drawn, stage)
    for _ in range(24):
        y = rng.uniform(horizon + 0.06 * height, height)
        size = rng.uniform(0.006, 0.02) * height * (0.5 + (y - horizon) / (height - horizon))
        grey, x = rng.uniform(0.38, 0.7), rng.uniform(0, width)
        draw_polygon(drawn, ellipse((x, y + 0.3 * size), (1.7 * size, size), 12), (0.50, 0.43, 0.33))
        draw_polygon(drawn, ellipse((x, y), (1.5 * size, 0.9 * size), 12), (grey + 0.05, grey, grey - 0.06))
    return drawn


def _dusk(stage: Stage, rng: np.random.Generator) -> ByteArray:
    """Evening sky with a low sun over hills; a branch."""
    height, width = stage.size_hw
    picture = _gradient(stage.size_hw, [(0.30, 0.26, 0.48), (0.80, 0.46, 0.44), (0.99, 0.76, 0.45)])
    clouds = smoothstep(0.0, 0.9, fractal(rng, stage.size_hw, (10, 3), 3))[..., None]
    picture += clouds * np.asarray((0.14, 0.05, -0.02), np.float32)
    drawn = _bytes(picture)
    sun, radius = (rng.uniform(0, width), rng.uniform(0.45, 0.8) * height), rng.uniform(0.05, 0.09) * height
    draw_polygon(drawn, ellipse(sun, (radius, radius)), (1.0, 0.93, 0.72))
    picture = blurred(drawn, 1.5).astype(np.float32) * np.float32(1 / 255)
    for depth, colour in ((0.80, (0.50, 0.34, 0.42)), (0.90, (0.25, 0.20, 0.28))):
        ridge = depth * height - fractal(rng, (1, width), (1, 3))[0] * 0.09 * height
        _below(picture, ridge, height, colour)
    drawn = blurred(_bytes(picture), 0.9)
    paint_branch(drawn, stage, rng, leaves=int(rng.integers(0, 6)))
    return drawn


SCENES: dict[str, tuple[Callable[[Stage, np.random.Generator], ByteArray], Colour]] = {
    "sky": (_sky, (1.0, 1.0, 1.02)),
    "meadow": (_meadow, (1.02, 1.02, 0.94)),
    "leaves": (_leaves, (0.94, 1.0, 0.90)),
    "water": (_water, (0.97, 1.0, 1.04)),
    "sand": (_sand, (1.06, 1.02, 0.94)),
    "dusk": (_dusk, (1.02, 0.84, 0.74)),
}
"""Name -> painter and colour of the light."""


def _bytes(picture: FloatImage) -> ByteArray:
    result: ByteArray = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return result


def _gradient(size_hw: tuple[int, int], colours: list[Colour]) -> FloatImage:
    """Colours from top to bottom, (H, W, 3)."""
    positions = np.linspace(0, len(colours) - 1, size_hw[0])
    column = np.stack(
        [np.interp(positions, np.arange(len(colours)), channel) for channel in zip(*colours, strict=True)], 1
    )
    return np.repeat(column[:, None].astype(np.float32), size_hw[1], axis=1)


def _horizon(stage: Stage, rng: np.random.Generator) -> float:
    """A height in pixels above the feet, where sky and ground meet."""
    height = stage.size_hw[0]
    return float(min(rng.uniform(0.22, 0.6) * height, stage.feet_xy[1] - 0.10 * height))


def _ground(stage: Stage, horizon: float, above: list[Colour], below: list[Colour]) -> FloatImage:
    height, width = stage.size_hw
    row = int(np.clip(round(horizon), 2, height - 2))
    return np.concatenate([_gradient((row, width), above), _gradient((height - row, width), below)])


def _under(stage: Stage, horizon: float) -> FloatImage:
    """(H, 1, 1): 1 under the horizon, 0 above."""
    return (np.arange(stage.size_hw[0]) > horizon).astype(np.float32)[:, None, None]


def _below(
    picture: FloatImage, top: FloatImage | FloatArray, bottom: FloatImage | float, colour: Colour
) -> None:
    """Fills each column from ``top`` (W,) to ``bottom``, edges smoothed."""
    rows = np.arange(len(picture), dtype=np.float32)[:, None]
    amount = np.clip(rows - top, 0, 1) * np.clip(bottom - rows, 0, 1)
    picture += amount[..., None].astype(np.float32) * (np.asarray(colour, np.float32) - picture)
