"""Boxes that cannot be right: inverted, without area, outside, or all of them in another convention."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfga.data.checks.findings import Finding, Shot
from rfga.data.checks.survey import Survey
from rfga.types import FloatArray, IntArray

TOLERANCE_PIXELS = 1.0
"""Tools that round, or count pixels instead of edges, reach over an edge by so much."""

_MOST_MISFITS = 0.2  # share of boxes that do not fit, above which the convention is doubted
_LEAST_FITS = 0.95  # share of boxes that another convention has to explain
_FEWEST = 5  # boxes that a convention is judged by
_EXAMPLES = 24

XYWH, EDGES = "[x, y, width, height]", "[x0, y0, x1, y1]"

_Reading = Callable[[FloatArray, FloatArray], FloatArray]  # numbers and (n, 2) width, height to edges


@dataclass(frozen=True, slots=True)
class MarkedBox:
    """A box as it stands in a file of truth."""

    photograph: int  # index in the survey
    numbers: tuple[float, float, float, float]  # finite, in whatever convention
    where: str  # the entry of the file


def _with_size(numbers: FloatArray, wh: FloatArray) -> FloatArray:
    return np.concatenate([numbers[:, :2], numbers[:, :2] + numbers[:, 2:]], axis=1)


def _as_edges(numbers: FloatArray, wh: FloatArray) -> FloatArray:
    return numbers


def _from_centre(numbers: FloatArray, wh: FloatArray) -> FloatArray:
    return np.concatenate([numbers[:, :2] - numbers[:, 2:] / 2, numbers[:, :2] + numbers[:, 2:] / 2], axis=1)


def _swapped(reading: _Reading) -> _Reading:
    """The reading of numbers whose x and y have changed places."""
    return lambda numbers, wh: reading(numbers[:, [1, 0, 3, 2]], wh)


def _scaled(reading: _Reading) -> _Reading:
    """The reading of fractions of width and height."""
    return lambda numbers, wh: reading(numbers * np.tile(wh, 2), wh)


CONVENTIONS: dict[str, _Reading] = {
    XYWH: _with_size,
    EDGES: _as_edges,
    "[centre x, centre y, width, height]": _from_centre,
    "[x, y, width, height] as fractions": _scaled(_with_size),
    "[x0, y0, x1, y1] as fractions": _scaled(_as_edges),
    "[centre x, centre y, width, height] as fractions": _scaled(_from_centre),
    "[y, x, height, width]": _swapped(_with_size),
    "[y0, x0, y1, x1]": _swapped(_as_edges),
}
"""Convention -> what reads it; of several that explain the same boxes the first is taken."""


def likely_convention(numbers: FloatArray, sizes_hw: NDArray[Any], stated: str) -> str:
    """The convention that boxes are probably in: the stated one, unless many do not fit and another fits.

    Args:
        numbers: (n, 4) of each box.
        sizes_hw: (n, 2) of the photograph of each.
        stated: the convention that the file should have.

    Example:
        >>> edges = np.array([[50.0, 40, 90, 60], [10, 30, 80, 55], [70, 5, 95, 50]] * 2)
        >>> likely_convention(edges, np.array([[60, 100]] * 6), "[x, y, width, height]")
        '[x0, y0, x1, y1]'
    """
    if len(numbers) < _FEWEST:
        return stated
    shares = {name: fits(numbers, sizes_hw, name).mean() for name in CONVENTIONS}
    best = max(shares, key=lambda name: (shares[name] >= _LEAST_FITS, name == stated))
    doubted = shares[stated] < 1 - _MOST_MISFITS and shares[best] >= _LEAST_FITS
    return best if doubted else stated


def fits(numbers: FloatArray, sizes_hw: NDArray[Any], convention: str) -> NDArray[np.bool_]:
    """Whether each box lies inside its photograph, and covers a pixel at least, if read so.

    Example:
        >>> fits(np.array([[50.0, 40, 90, 60]]), np.array([[60, 100]]), "[x, y, width, height]")
        array([False])
    """
    wh = sizes_hw[:, ::-1].astype(np.float64)
    edges = CONVENTIONS[convention](numbers, wh)
    starts, ends = edges[:, :2], edges[:, 2:]
    good = (starts >= -TOLERANCE_PIXELS) & (ends <= wh + TOLERANCE_PIXELS) & (ends - starts >= 1)
    result: NDArray[np.bool_] = np.logical_and.reduce(good, axis=1)
    return result


def box_findings(
    survey: Survey, boxes: Sequence[MarkedBox], sizes_hw: NDArray[Any], stated: str, file: str
) -> Iterator[Finding]:
    """What is wrong with boxes.

    Args:
        survey: of the photographs.
        boxes: n boxes.
        sizes_hw: (n, 2) of the photograph of each box, as the file of truth has it.
        stated: their convention, out of ``CONVENTIONS``.
        file: the file of truth, for a finding about all boxes.
    """
    if not boxes:
        return
    numbers, wh = np.array([box.numbers for box in boxes], np.float64), sizes_hw[:, ::-1].astype(np.float64)
    likely = likely_convention(numbers, sizes_hw, stated)
    edges, meant = CONVENTIONS[stated](numbers, wh), CONVENTIONS[likely](numbers, wh)
    explained: NDArray[np.bool_] = np.zeros(len(boxes), bool)
    if likely != stated:
        explained = fits(numbers, sizes_hw, likely)
        misfits = ~fits(numbers, sizes_hw, stated)
        yield Finding(
            "box_convention",
            file,
            f"expected boxes as {stated}, found that {misfits.sum()} of {len(boxes)} do not fit their "
            f"photographs so and {explained.sum()} do as {likely}: convert them",
            shots=tuple(_examples(survey, boxes, edges, meant, np.flatnonzero(misfits & explained))),
        )
    for index, box in enumerate(boxes):
        wrong = None if explained[index] else _wrong(edges[index], wh[index])
        if wrong is not None:
            kind, said = wrong
            yield Finding(
                kind,
                survey.file(box.photograph),
                f"{said} in {box.where}: correct it",
                shots=(Shot(survey.place(box.photograph), edges[index : index + 1]),),
            )
    yield from _repeated(survey, boxes, edges)


def _wrong(edges: FloatArray, wh: FloatArray) -> tuple[str, str] | None:
    """The kind of what is wrong with a box, and the beginning of a sentence."""
    (x0, y0, x1, y1), (width, height) = edges.tolist(), wh.tolist()
    found = f"found x0, y0, x1, y1 = {x0:g}, {y0:g}, {x1:g}, {y1:g}"
    if x1 < x0 or y1 < y0:
        return "box_inverted", f"expected x0 < x1 and y0 < y1, {found}"
    if x1 == x0 or y1 == y0:
        return "box_degenerate", f"expected a box with an area, {found}"
    inside = f"expected a box inside the {width:g} x {height:g} pixels"
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        return "box_outside", f"{inside}, {found} entirely outside"
    over = max(-x0, -y0, x1 - width, y1 - height)
    if over > TOLERANCE_PIXELS:
        return "box_over_edge", f"{inside}, {found} ({over:g} over the edge)"
    return None


def _examples(
    survey: Survey, boxes: Sequence[MarkedBox], edges: FloatArray, meant: FloatArray, chosen: IntArray
) -> Iterator[Shot]:
    """The first photographs of chosen boxes, each with all of those."""
    of_photograph: dict[int, list[int]] = defaultdict(list)
    for index in chosen.tolist():
        of_photograph[boxes[index].photograph].append(index)
    for photograph, some in islice(of_photograph.items(), _EXAMPLES):
        yield Shot(survey.place(photograph), edges[some], meant[some])


def _repeated(survey: Survey, boxes: Sequence[MarkedBox], edges: FloatArray) -> Iterator[Finding]:
    times = Counter((box.photograph, box.numbers) for box in boxes)
    for index, box in enumerate(boxes):
        count = times.pop((box.photograph, box.numbers), 1)
        if count > 1:
            yield Finding(
                "box_repeated",
                survey.file(box.photograph),
                f"expected each box once, found {count} times the one in {box.where}: drop the others",
                shots=(Shot(survey.place(box.photograph), edges[index : index + 1]),),
            )
