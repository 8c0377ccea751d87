"""Photographs as a program holds them (paths, PIL images, arrays), and what is found in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rfga.data.images import read_image, upright
from rfga.data.spelling import class_key
from rfga.geometry.refine import mask_of
from rfga.types import ByteArray, FloatArray, Prediction, UserError

Photo = str | Path | Image.Image | NDArray[np.uint8]
"""A file, a PIL image (turned upright as its metadata say), or an array (H, W, 3) of RGB bytes."""

Photos = Sequence[Photo] | NDArray[np.uint8]
"""Several of these, or an array (B, H, W, 3)."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a localizer finds in one photograph.

    Example:
        >>> score_map = np.zeros((224, 224)); score_map[56:112, 112:168] = 1.0
        >>> edges, score = np.array([[40.0, 15.0, 60.0, 30.0]]), np.array([0.8])
        >>> found = Found("tench", Prediction("a.jpg", (60, 80), 0, 0.9, edges, score, score_map, 0.2))
        >>> found.label, found.confidence, found.box
        ('tench', 0.8, (40.0, 15.0, 60.0, 30.0))
        >>> found.mask.shape, int(found.mask.max()), found.map.shape
        ((60, 80), 255, (224, 224))
    """

    label: str  # name of the class
    prediction: Prediction  # the numbers behind all of this

    @property
    def confidence(self) -> float:
        """How good the first box probably is, in [0, 1]; the class's probability where there is no box."""
        return float(self.scores[0]) if len(self.boxes) else self.prediction.probability

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """The first box: edges x0, y0, x1, y1 in pixels of the photograph; None where nothing is found."""
        if not len(self.boxes):
            return None
        x0, y0, x1, y1 = self.boxes[0].tolist()
        return x0, y0, x1, y1

    @property
    def boxes(self) -> FloatArray:
        """All boxes (n, 4), best first."""
        return self.prediction.boxes

    @property
    def scores(self) -> FloatArray:
        """Of each box, in [0, 1]: (n,)."""
        return self.prediction.scores

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at, such as several objects in the photograph."""
        return self.prediction.warnings

    @property
    def map(self) -> FloatArray:
        """The heat map of the class: (224, 224) in [0, 1], over the whole photograph."""
        score_map = self.prediction.score_map
        assert score_map is not None  # a localizer keeps it
        return score_map

    @cached_property
    def mask(self) -> ByteArray:
        """What is above the threshold: (H, W) of the photograph, 255 object, 0 background."""
        return mask_of(self.map, self.prediction.threshold, self.prediction.size_hw)


def is_one(given: object) -> TypeGuard[Photo]:
    """Whether this is a single photograph, not several.

    Example:
        >>> is_one("a.jpg"), is_one(["a.jpg"]), is_one(np.zeros((2, 60, 80, 3), np.uint8))
        (True, False, False)
    """
    return isinstance(given, str | Path | Image.Image) or (isinstance(given, np.ndarray) and given.ndim != 4)


def as_list(given: Photo | Photos) -> list[Photo]:
    """One photograph or several, as a list."""
    return [given] if is_one(given) else list(cast(Photos, given))


def as_image(given: Photo) -> Image.Image:
    """A photograph as a viewer shows it: upright and RGB.

    Raises:
        UserError: the file cannot be read, the image is damaged, or the array has another shape or type.

    Example:
        >>> as_image(np.zeros((60, 80, 3), np.uint8)).size
        (80, 60)
    """
    if isinstance(given, str | Path):
        return read_image(Path(given))
    if isinstance(given, Image.Image):
        return _decoded(given)
    if isinstance(given, np.ndarray):
        return _of_array(given)
    raise UserError(
        f"expected a path, a PIL image or an array (H, W, 3), found {type(given).__name__}: convert it"
    )


def label_indices(label: str | Sequence[str] | None, classes: Sequence[str], count: int) -> list[int] | None:
    """The class to look for in each of ``count`` photographs; None: the most probable one of each.

    Raises:
        UserError: a name that is no class, or another number of names than of photographs.

    Example:
        >>> label_indices("tench", ["perch", "tench"], 2)
        [1, 1]
    """
    if label is None:
        return None
    names = [label] * count if isinstance(label, str) else list(label)
    if len(names) != count:
        raise UserError(
            f"expected one label for each of {count} photographs, found {len(names)}: give as many, or one"
        )
    index = {class_key(name): i for i, name in enumerate(classes)}
    unknown = [name for name in names if class_key(name) not in index]
    if unknown:
        raise UserError(
            f"expected a label out of {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}, "
            f"found {unknown[0]!r}: give one of the model's classes"
        )
    return [index[class_key(name)] for name in names]


def name_of(given: Photo, position: int) -> str:
    """What to call a photograph: its path, or its place among those given.

    Example:
        >>> name_of(Path("photos/a.jpg"), 0), name_of(np.zeros((60, 80, 3), np.uint8), 7)
        ('photos/a.jpg', '7')
    """
    return Path(given).as_posix() if isinstance(given, str | Path) else str(position)


def _decoded(image: Image.Image) -> Image.Image:
    try:
        image.load()
        return upright(image)
    except Exception as error:  # damaged files make Pillow's decoders raise errors of any type
        raise UserError(f"expected a complete image, found it damaged ({error}): replace it") from error


def _of_array(array: NDArray[Any]) -> Image.Image:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise UserError(
            f"expected an array (H, W, 3) of uint8, RGB, found {array.shape} of {array.dtype}: convert it"
        )
    return Image.fromarray(np.ascontiguousarray(array))
