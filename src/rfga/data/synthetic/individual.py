"""One synthetic bird in one scene: everything random about a picture except its species."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from rfga.data.synthetic.bird import Plumage, head_region, paint_body, paint_eye, unit_outlines
from rfga.data.synthetic.brush import Brush, Frame, Pose
from rfga.data.synthetic.canvas import Canvas, Colour, blurred
from rfga.data.synthetic.heads import HEADS
from rfga.data.synthetic.props import Stage
from rfga.data.synthetic.scene import SCENES, scene
from rfga.types import ByteArray, FloatArray

BLUR_SIGMA_MAX = 0.6
"""Pixels; the finished picture is blurred by up to this much, out to ``BLUR_RADIUS`` pixels."""
BLUR_RADIUS = 3

_BODY_UNITS = 2.35  # about the area of a bird in its own units squared
_COLOURS: list[tuple[Colour, Colour, Colour, Colour]] = [  # back, wing, belly, breast
    ((0.44, 0.35, 0.27), (0.34, 0.26, 0.20), (0.88, 0.83, 0.74), (0.74, 0.60, 0.46)),
    ((0.30, 0.42, 0.60), (0.22, 0.31, 0.47), (0.90, 0.89, 0.85), (0.66, 0.72, 0.78)),
    ((0.42, 0.47, 0.29), (0.31, 0.34, 0.22), (0.86, 0.83, 0.60), (0.74, 0.72, 0.45)),
    ((0.48, 0.50, 0.53), (0.33, 0.35, 0.38), (0.90, 0.90, 0.89), (0.76, 0.76, 0.77)),
    ((0.24, 0.23, 0.25), (0.17, 0.17, 0.19), (0.82, 0.80, 0.77), (0.42, 0.41, 0.42)),
    ((0.56, 0.40, 0.26), (0.40, 0.28, 0.20), (0.92, 0.86, 0.74), (0.80, 0.62, 0.42)),
    ((0.24, 0.44, 0.44), (0.18, 0.31, 0.34), (0.82, 0.85, 0.78), (0.52, 0.66, 0.62)),
    ((0.52, 0.46, 0.52), (0.36, 0.31, 0.38), (0.88, 0.82, 0.80), (0.72, 0.60, 0.60)),
]


@dataclass(frozen=True)
class Individual:
    """A bird's build, place, colours and surroundings; the same individual can be drawn as any species."""

    size_hw: tuple[int, int]
    frame: Frame
    plumage: Plumage
    scene: str
    light_xy: tuple[float, float]
    variation: tuple[float, float, float]  # of the telling part, each in [-1, 1]
    blur_sigma: float  # pixels
    grain: float  # standard deviation of the noise, the picture's range being 1
    texture_seed: int


def draw_individual(rng: np.random.Generator, longer_side_pixels: int) -> Individual:
    """A random individual; nothing of it depends on a species."""
    ratio = rng.uniform(1.15, 1.7)
    shorter = round(longer_side_pixels / ratio)
    size_hw = (shorter, longer_side_pixels) if rng.random() < 0.7 else (longer_side_pixels, shorter)
    pose = Pose(
        tilt=rng.uniform(-0.62, 0.22),
        nod=rng.uniform(-0.22, 0.28),
        plumpness=rng.uniform(0.92, 1.12),
        tail_angle=rng.uniform(-0.25, 0.35),
        tail_length=rng.uniform(0.45, 0.80),
        leg_length=rng.uniform(0.48, 0.66),
    )
    light = rng.uniform(-0.8, 0.8)
    return Individual(
        size_hw=size_hw,
        frame=_placed(pose, size_hw, rng),
        plumage=_plumage(rng),
        scene=str(rng.choice(list(SCENES))),
        light_xy=(float(np.sin(light)), -float(np.cos(light))),
        variation=(rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)),
        blur_sigma=rng.uniform(0, BLUR_SIGMA_MAX),
        grain=rng.uniform(0.004, 0.022),
        texture_seed=int(rng.integers(2**62)),
    )


def render(individual: Individual, species: str | None) -> tuple[ByteArray, ByteArray]:
    """The picture (H, W, 3) and the bird's mask (H, W), 255 or 0; without a species the scene alone."""
    rng = np.random.default_rng(individual.texture_seed)
    frame, size_hw = individual.frame, individual.size_hw
    feet = frame.standing(np.array([[0.10, frame.pose.leg_length + 0.03]]))[0]
    background, tint = scene(individual.scene, Stage(size_hw, (feet[0], feet[1]), frame.unit_pixels), rng)
    noise = rng.standard_normal((*size_hw, 1), np.float32) * np.float32(individual.grain)
    canvas = Canvas(background)
    if species is not None:
        brush = Brush(canvas, frame, individual.light_xy, tint)
        paint_body(brush, individual.plumage, rng)
        HEADS[species](brush, individual.variation)
        paint_eye(brush)
    picture = canvas.picture
    if individual.blur_sigma > 0.25:
        picture = blurred(picture, individual.blur_sigma, 2 * BLUR_RADIUS + 1)
    finished = np.clip((picture + noise) * 255 + 0.5, 0, 255).astype(np.uint8)
    return finished, canvas.object_mask()


def telling_region(individual: Individual) -> ByteArray:
    """(H, W): 255 where pictures of this individual as different species may differ, blur left out."""
    return head_region(individual.frame, individual.size_hw)


def _plumage(rng: np.random.Generator) -> Plumage:
    back, wing, belly, breast = (_jitter(c, rng) for c in _COLOURS[rng.integers(len(_COLOURS))])
    legs: list[Colour] = [(0.30, 0.26, 0.24), (0.62, 0.44, 0.36), (0.46, 0.46, 0.48), (0.56, 0.46, 0.28)]
    return Plumage(
        back,
        wing,
        belly,
        breast,
        legs[rng.integers(4)],
        streaks=max(0.0, rng.uniform(-0.5, 0.55)),
        bars=max(0.0, rng.uniform(-0.6, 0.8)),
    )


def _jitter(colour: Colour, rng: np.random.Generator) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    shifted = (hue + rng.normal(0, 0.015)) % 1, min(1, saturation * rng.uniform(0.8, 1.2))
    return colorsys.hsv_to_rgb(*shifted, min(1, value * rng.uniform(0.88, 1.1)))


def _placed(pose: Pose, size_hw: tuple[int, int], rng: np.random.Generator) -> Frame:
    """Puts the bird into the picture: the head always whole, the rest too unless the bird is very large."""
    height, width = size_hw
    share = rng.uniform(0.10, 0.24) if rng.random() < 0.85 else rng.uniform(0.24, 0.45)
    unit = float(np.sqrt(share * height * width / (_BODY_UNITS * pose.plumpness)))
    flip = bool(rng.random() < 0.5)
    outline, head = (points * [-1.0 if flip else 1.0, 1.0] for points in unit_outlines(pose))
    spare = np.array([width, height]) / unit - np.ptp(head, axis=0)
    if spare.min() < 0.1:  # a head that fills the picture: step back
        unit *= float(((np.array([width, height]) / unit) / (np.ptp(head, axis=0) + 0.1)).min())
    hip = [_position(outline[:, axis], head[:, axis], size_hw[1 - axis] / unit, rng) for axis in (0, 1)]
    return Frame(pose, (hip[0] * unit, hip[1] * unit), unit, flip)


def _position(outline: FloatArray, head: FloatArray, extent: float, rng: np.random.Generator) -> float:
    """Where the hip goes along one axis, all lengths in the bird's units."""
    place = rng.uniform(0.06, 0.94)
    low, high = -outline.min(), extent - outline.max()
    if low <= high:
        return float(low + place * (high - low))
    # too large: as much of the rest as the whole head leaves room for
    return float(np.clip((low + high) / 2, -head.min() + 0.05, extent - head.max() - 0.05))
