"""What a score map tells of its boxes: how good each may be, and whether there are several objects.

Nothing here knows a truth; what the numbers are worth is measured in docs/confidence.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rfga.geometry.boxes import iou
from rfga.geometry.levelsets import as_map, components
from rfga.types import FloatArray, IntArray

EVIDENCE = ("log_odds", "contrast", "fill", "stable_below", "stable_above", "log_area", "borders", "level")
"""Columns of ``box_evidence``.

``log_odds`` of the class; ``contrast``: the map's mean inside the box less that outside; ``fill``: fraction
of the box above the threshold; ``stable_below``, ``stable_above``: IoU with the nearest box at 0.7 and 1.3
times the threshold; ``log_area`` of the box as a fraction of the map; ``borders``: how many sides of the map
it touches; ``level``: mean of the raw map as a fraction of its maximum.
"""

BELOW, ABOVE = 0.7, 1.3  # times the threshold, where a box is compared with itself
SEVERAL_LEVEL = 0.7
"""Fraction of a map's maximum at which components are taken for different objects."""
SEVERAL_AREA = 0.2
"""So large, as a fraction of the largest, is the second component of a photograph with several objects."""

_LARGEST_LOG_ODDS = 9.0  # a probability within 1e-4 of 0 or 1 says no more


@dataclass(frozen=True, slots=True, eq=False)
class MapBoxes:
    """The components of a map at the levels that matter, largest first, as edges in map pixels.

    Example:
        >>> score_map = np.zeros((8, 16)); score_map[1:7, 1:7] = 1.0; score_map[2:6, 9:13] = 0.9
        >>> found = find_boxes(score_map, 0.5, max_boxes=2)
        >>> found.boxes.tolist(), found.several
        ([[1.0, 1.0, 7.0, 7.0], [9.0, 2.0, 13.0, 6.0]], True)
    """

    boxes: FloatArray  # (n, 4) above the threshold
    shares: FloatArray  # (n,) contour area as a fraction of the largest one's, in [0, 1]
    below: FloatArray  # (m, 4) at the lower threshold
    above: FloatArray  # (k, 4) at the higher one; may be empty
    several: bool  # whether there seem to be several objects, whatever the threshold


def find_boxes(score_map: ArrayLike, threshold: float, max_boxes: int = 1) -> MapBoxes:
    """Boxes of a map (h, w) in [0, 1] with what is needed to judge them, from one pass over it.

    Args:
        score_map: (h, w) in [0, 1].
        threshold: in [0, 1], a fraction of the map's maximum.
        max_boxes: how many boxes at most.
    """
    levels = (threshold, BELOW * threshold, min(ABOVE * threshold, 1.0), SEVERAL_LEVEL)
    found, below, above, strong = components(score_map, levels)
    # A component one pixel thin encloses nothing, so areas count one more.
    areas, strong_areas = found[:max_boxes, 4] + 1.0, strong[:, 4] + 1.0
    return MapBoxes(
        boxes=_edges(found[:max_boxes]),
        shares=areas / areas.max(initial=1.0),
        below=_edges(below),
        above=_edges(above),
        several=len(strong) > 1 and bool(strong_areas[1] >= SEVERAL_AREA * strong_areas[0]),
    )


def box_evidence(
    score_map: ArrayLike, found: MapBoxes, threshold: float, raw_map: ArrayLike, probability: float
) -> FloatArray:
    """The evidence of each box of a map.

    Args:
        score_map: (h, w) in [0, 1].
        found: its boxes, from ``find_boxes``.
        threshold: at which they were found, a fraction of the map's maximum.
        raw_map: the same map as the network gave it, of any size.
        probability: of the class, in [0, 1].

    Returns:
        (n, 8) finite; the columns are ``EVIDENCE``.

    Example:
        >>> score_map = np.zeros((4, 8)); score_map[1:3, 2:6] = 1.0
        >>> found = find_boxes(score_map, 0.5)
        >>> dict(zip(EVIDENCE, box_evidence(score_map, found, 0.5, score_map, 0.5)[0].round(2).tolist()))
        {'log_odds': 0.0, 'contrast': 1.0, 'fill': 1.0, 'stable_below': 1.0, 'stable_above': 1.0,
         'log_area': -1.39, 'borders': 0.0, 'level': 0.25}
    """
    pixels = as_map(score_map)
    height, width = pixels.shape
    total, cut = pixels.sum(), threshold * pixels.max()
    evidence = np.zeros((len(found.boxes), len(EVIDENCE)))
    if not len(evidence):
        return evidence
    for row, edges in enumerate(found.boxes):
        x0, y0, x1, y1 = edges.astype(int)
        inside = pixels[y0:y1, x0:x1]
        outside = (total - inside.sum()) / max(1, pixels.size - inside.size)
        borders = int(x0 == 0) + int(y0 == 0) + int(x1 == width) + int(y1 == height)
        log_area = np.log(inside.size / pixels.size)
        evidence[row, 1:3] = inside.mean() - outside, (inside > cut).mean()
        evidence[row, 5:7] = log_area, borders
    evidence[:, 0] = log_odds(probability)
    evidence[:, 3] = iou(found.boxes, found.below).max(axis=1, initial=0.0)
    evidence[:, 4] = iou(found.boxes, found.above).max(axis=1, initial=0.0)
    evidence[:, 7] = map_level(raw_map)
    return evidence


def map_level(raw_map: ArrayLike) -> float:
    """The mean of a raw map as a fraction of its maximum, in [-1, 1]; 0 without a positive, finite maximum.

    Small objects leave most of a map low, so that its mean is far below its maximum.

    Example:
        >>> map_level([[0.0, 4.0]]), map_level([[0.0, 0.0]])
        (0.5, 0.0)
    """
    raw = np.asarray(raw_map, dtype=np.float64)
    highest = raw.max(initial=0.0)
    if not (highest > 0 and np.isfinite(raw).all()):
        return 0.0
    return float(np.clip(raw.mean() / highest, -1.0, 1.0))


def log_odds(probability: float) -> float:
    """log(p / (1 - p)), cut where a probability is within about 1e-4 of 0 or 1.

    Example:
        >>> log_odds(0.5), log_odds(1.0)
        (0.0, 9.0)
    """
    with np.errstate(divide="ignore"):
        odds = np.log(probability) - np.log1p(-probability)
    return float(np.clip(odds, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS))


def _edges(found: IntArray) -> FloatArray:
    """Edges (n, 4) in map pixels of inclusive pixel extents (n, 4 or more)."""
    edges: FloatArray = found[:, :4] + np.array([0.0, 0.0, 1.0, 1.0])
    return edges
