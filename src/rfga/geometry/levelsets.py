"""Boxes of a score map at thresholds: one definition of the foreground, one place that follows contours.

``u = uint8(float64(map) * 255)``; the foreground at a threshold t is ``u > int(t * max(u))``. There are
at most 256 different foregrounds however many thresholds are asked for, so ``level_boxes`` takes all
thresholds at once and looks at each foreground once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfga.types import ByteArray, FloatArray, IntArray, UserError

CONTOUR_RULES = ("largest", "all")
"""``largest``: the contour of largest area (MaxBoxAcc); ``all``: every contour, holes too (MaxBoxAccV2)."""

_Contour = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class LevelBoxes:
    """The benchmark's boxes of one map at many thresholds, each distinct foreground held once.

    Example:
        >>> found = level_boxes(np.array([[0.0, 1.0, 0.5]]), [0.0, 0.1, 0.9])["largest"]
        >>> found.of_threshold.tolist(), found.boxes.tolist()
        ([0, 0, 1], [[1, 0, 2, 0], [1, 0, 2, 0]])
    """

    boxes: IntArray  # (M, 4) inclusive x0, y0, x1, y1 in map pixels, foreground after foreground
    starts: IntArray  # (F,) row of ``boxes`` where the boxes of each distinct foreground begin
    of_threshold: IntArray  # (T,) which foreground each threshold has

    def at_thresholds(self) -> list[IntArray]:
        """The (n, 4) boxes of each threshold."""
        groups = np.split(self.boxes, self.starts[1:])
        return [groups[index] for index in self.of_threshold]

    def best_at_thresholds(self, box_values: FloatArray) -> FloatArray:
        """The largest of ``box_values`` (M,) among the boxes of each threshold: (T,)."""
        best: FloatArray = np.maximum.reduceat(box_values, self.starts)[self.of_threshold]
        return best


def quantise(score_map: ArrayLike) -> ByteArray:
    """A map in [0, 1] as grey values 0 to 255, cut (not rounded) in float64.

    Example:
        >>> quantise([[0.0, 0.5, 1.0]])
        array([[  0, 127, 255]], dtype=uint8)
    """
    return (np.asarray(score_map, dtype=np.float64) * 255).astype(np.uint8)


def threshold_level(threshold: float, maximum: int) -> int:
    """The grey value above which a pixel is foreground, for a threshold in [0, 1] of a map's ``maximum``.

    Example:
        >>> threshold_level(0.5, 255)
        127
    """
    return int(threshold * maximum)


def foreground(score_map: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """The pixels of a map (h, w) in [0, 1] above a threshold in [0, 1] of its maximum: (h, w) bool.

    Example:
        >>> foreground([[0.1, 0.2, 0.4]], 0.5)
        array([[False, False,  True]])
    """
    grey = quantise(score_map)
    return grey > threshold_level(threshold, int(grey.max(initial=0)))


def level_boxes(
    score_map: ArrayLike, thresholds: ArrayLike, rules: Sequence[str] = CONTOUR_RULES
) -> dict[str, LevelBoxes]:
    """The benchmark's boxes of a map at all thresholds, for each contour rule, from one pass.

    Args:
        score_map: (h, w) in [0, 1].
        thresholds: (T,) in [0, 1], fractions of the map's maximum.
        rules: names in ``CONTOUR_RULES``.

    Returns:
        Rule -> boxes.

    Raises:
        UserError: a rule is unknown.

    Example:
        >>> ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1.0]])
        >>> len(level_boxes(ring, [0.5])["all"].boxes)
        2
    """
    unknown = [rule for rule in rules if rule not in CONTOUR_RULES]
    if unknown:
        raise UserError(
            f"expected contour rules among largest and all, found {unknown[0]!r}: give one of the two"
        )
    grey = quantise(score_map)
    present = np.unique(grey)
    levels = (np.asarray(thresholds, dtype=np.float64) * present[-1]).astype(np.int64)
    # Two levels with no grey value between them have the same foreground.
    below = np.searchsorted(present, levels, side="right")
    distinct, of_threshold = np.unique(below, return_inverse=True)
    groups: dict[str, list[list[list[int]]]] = {rule: [] for rule in rules}
    for count in distinct:
        contours, outermost = _contours(grey, int(present[count - 1]) if count else -1)
        for rule in rules:
            chosen = _by_area(outermost, 1) if rule == "largest" else contours
            groups[rule].append([_benchmark_box(contour, grey.shape) for contour in chosen] or [[0, 0, 0, 0]])
    return {rule: _joined(found, of_threshold) for rule, found in groups.items()}


def benchmark_boxes(score_map: ArrayLike, thresholds: ArrayLike, rule: str) -> list[IntArray]:
    """The boxes of a map at each threshold as the benchmark's program gives them.

    They are inclusive integers with x1 = min(x + w, W - 1), one more than the last pixel: the benchmark's own
    convention. Where nothing is above the threshold the only box is [0, 0, 0, 0].

    Args:
        score_map: (h, w) in [0, 1].
        thresholds: (T,) in [0, 1], fractions of the map's maximum.
        rule: a name in ``CONTOUR_RULES``.

    Returns:
        T arrays (n, 4) int64; the order of boxes within a threshold has no meaning.

    Raises:
        UserError: the rule is unknown.

    Example:
        >>> benchmark_boxes(np.array([[0, 1, 0, 0.5, 0]]), [0.2, 0.7], "largest")
        [array([[3, 0, 4, 0]]), array([[1, 0, 2, 0]])]
    """
    return level_boxes(score_map, thresholds, (rule,))[rule].at_thresholds()


def component_boxes(score_map: ArrayLike, threshold: float, max_boxes: int = 1) -> IntArray:
    """Pixel extents of the largest connected components above a threshold, largest contour area first.

    Components that lie in another's hole are part of it. Unlike the benchmark's boxes these end at the
    component's last pixel, ready for ``boxes.boxes_from_pixels``.

    Args:
        score_map: (h, w) in [0, 1].
        threshold: in [0, 1], a fraction of the map's maximum.
        max_boxes: how many components at most.

    Returns:
        (n, 4) int64 xmin, ymin, xmax, ymax, inclusive; (0, 4) where nothing is above the threshold.

    Example:
        >>> component_boxes(np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0.9]]), 0.5)
        array([[1, 0, 3, 2]])
    """
    grey = quantise(score_map)
    if not grey.size:
        return np.zeros((0, 4), dtype=np.int64)
    level = threshold_level(threshold, int(grey.max()))
    found = _by_area(_contours(grey, level)[1], max_boxes)
    extents = [(x, y, x + w - 1, y + h - 1) for x, y, w, h in map(cv2.boundingRect, found)]
    return np.array(extents, dtype=np.int64).reshape(-1, 4)


def _contours(grey: ByteArray, level: int) -> tuple[Sequence[_Contour], Sequence[_Contour]]:
    """Borders of the 8-connected components of ``grey > level`` and their holes; then the outermost alone."""
    above = (grey > level).view(np.uint8)
    found, tree = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2:]
    contours = cast("Sequence[_Contour]", found)
    if not len(contours):
        return (), ()
    parents = tree[0, :, 3].tolist()
    return contours, [contour for contour, parent in zip(contours, parents, strict=True) if parent < 0]


def _by_area(contours: Sequence[_Contour], count: int) -> list[_Contour]:
    """The ``count`` largest, in order; of equals, the one that a raster scan meets last comes first.

    Only outermost contours may be passed: a thin ring's hole has the ring's area, and must not win.
    """
    areas = [cv2.contourArea(contour) for contour in contours]
    # Looking for first pixels is slow, so only those that can still be among the winners are ranked by them.
    least = sorted(areas)[-count] if len(areas) > count else 0.0
    rivals = [(area, contour) for area, contour in zip(areas, contours, strict=True) if area >= least]
    if len(rivals) > 1:
        rivals.sort(key=lambda rival: (rival[0], _first_pixel(rival[1])), reverse=True)
    return [contour for _, contour in rivals[:count]]


def _first_pixel(contour: _Contour) -> tuple[int, int]:
    """Row and column of the topmost, then leftmost pixel."""
    y, x = min((y, x) for x, y in contour[:, 0].tolist())
    return y, x


def _benchmark_box(contour: _Contour, map_hw: tuple[int, ...]) -> list[int]:
    x, y, width, height = cv2.boundingRect(contour)
    return [x, y, min(x + width, map_hw[1] - 1), min(y + height, map_hw[0] - 1)]


def _joined(groups: list[list[list[int]]], of_threshold: NDArray[np.intp]) -> LevelBoxes:
    counts = [len(group) for group in groups]
    return LevelBoxes(
        boxes=np.array([box for group in groups for box in group], dtype=np.int64).reshape(-1, 4),
        starts=np.cumsum([0, *counts[:-1]]),
        of_threshold=of_threshold.astype(np.int64),
    )
