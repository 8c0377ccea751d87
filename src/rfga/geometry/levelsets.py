"""Boxes of a score map at thresholds: the definition of the foreground, and all its boxes in one pass.

``u = uint8(float64(map) * 255)``; the foreground at a threshold t is ``u > int(t * max(u))``. There are at
most 256 different foregrounds however many thresholds are asked for. What a program finds that follows
contours one threshold at a time is found here in one sweep over the levels (docs/evaluation-exactness.md):

    row_units        rows cut into intervals that rise and fall       links  where neighbouring ones meet
    sides            pixels that move the sides of boxes              component_sweep  union-find over levels
    holes, areas     for the largest contour                          level_spans  all of it, for a map
                                                                      box_lists    listed by threshold
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfga.geometry.levels.box_lists import boxes_at_thresholds
from rfga.geometry.levels.spans import components_at
from rfga.types import ByteArray, FloatArray, IntArray, UserError

CONTOUR_RULES = ("largest", "all")
"""``largest``: the contour of largest area (MaxBoxAcc); ``all``: every contour, holes too (MaxBoxAccV2)."""


@dataclass(frozen=True, slots=True, eq=False)
class LevelBoxes:
    """The benchmark's boxes of one map at many thresholds; neighbouring levels with equal boxes share them.

    Example:
        >>> found = level_boxes(np.array([[0.0, 1.0, 0.5]]), [0.0, 0.1, 0.9])["largest"]
        >>> found.of_threshold.tolist(), found.boxes.tolist()
        ([0, 0, 1], [[1, 0, 2, 0], [1, 0, 2, 0]])
    """

    boxes: IntArray  # (M, 4) inclusive x0, y0, x1, y1 in map pixels, group after group
    starts: IntArray  # (F,) row of ``boxes`` where each group of boxes begins
    of_threshold: IntArray  # (T,) which group each threshold has

    def at_thresholds(self) -> list[IntArray]:
        """The (n, 4) boxes of each threshold."""
        groups = np.split(self.boxes, self.starts[1:])
        return [groups[index] for index in self.of_threshold]


def check_rules(rules: Sequence[str]) -> None:
    """Refuses names that are not in ``CONTOUR_RULES``.

    Raises:
        UserError: a rule is unknown.
    """
    unknown = [rule for rule in rules if rule not in CONTOUR_RULES]
    if unknown:
        raise UserError(
            f"expected contour rules among largest and all, found {unknown[0]!r}: give one of the two"
        )


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


def threshold_levels(thresholds: ArrayLike, maximum: int | np.int64) -> IntArray:
    """The same for many thresholds at once: (T,).

    Example:
        >>> threshold_levels([0.0, 0.5, 1.0], 255)
        array([  0, 127, 255])
    """
    return (np.asarray(thresholds, dtype=np.float64) * maximum).astype(np.int64)


def as_map(score_map: ArrayLike) -> FloatArray:
    """A map (h, w) as the kernels take it: float64 in C order.

    Raises:
        UserError: it is not two-dimensional, or has no pixel.

    Example:
        >>> as_map(np.ones((2, 3), dtype=np.float16)).dtype
        dtype('float64')
    """
    array = np.ascontiguousarray(score_map, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise UserError(
            f"expected a score map of shape (h, w), found {array.shape}: give one map with pixels"
        )
    return array


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
    check_rules(rules)
    wanted = np.ascontiguousarray(thresholds, dtype=np.float64).ravel()
    found = boxes_at_thresholds(as_map(score_map), wanted, "largest" in rules, "all" in rules)
    return {rule: LevelBoxes(*found[CONTOUR_RULES.index(rule)]) for rule in rules}


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
    return np.ascontiguousarray(components(score_map, [threshold])[0][:max_boxes, :4])


def components(score_map: ArrayLike, thresholds: ArrayLike) -> list[IntArray]:
    """The connected components above each of some thresholds, from one pass, largest contour area first.

    Args:
        score_map: (h, w) in [0, 1].
        thresholds: (T,) in [0, 1], fractions of the map's maximum.

    Returns:
        For each threshold (n, 5) int64: xmin, ymin, xmax, ymax, inclusive, as ``component_boxes`` has them,
        and twice the area of the contour.

    Example:
        >>> components(np.array([[0, 1, 1, 0, 0.5], [0, 1, 1, 0, 0]]), [0.2, 0.7])
        [array([[1, 0, 2, 1, 2],
               [4, 0, 4, 0, 0]]), array([[1, 0, 2, 1, 2]])]
    """
    wanted = np.ascontiguousarray(thresholds, dtype=np.float64).ravel()
    if not np.size(score_map):
        return [np.zeros((0, 5), dtype=np.int64) for _ in wanted]
    found = components_at(as_map(score_map), wanted)
    order = np.lexsort((-found[:, 5], -found[:, 4], found[:, 6]))  # of equal areas, the one that comes last
    parts = np.split(found[order, :5], np.searchsorted(found[:, 6], np.arange(1, len(wanted))))
    return [np.ascontiguousarray(part) for part in parts]
