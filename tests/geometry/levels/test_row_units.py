"""Rows cut into units, drawn by hand and checked by definition."""

from __future__ import annotations

import numpy as np

from rfga.geometry.levels.row_units import OUTSIDE, cut_rows, padded_grey


def plane_of(greys: list[list[int]]) -> np.ndarray:
    return padded_grey(np.array(greys) / 255 + 1e-9)[0]


def test_a_row_is_cut_at_its_valleys_and_at_its_summits() -> None:
    plane = plane_of([[2, 5, 5, 3, 1, 1, 4, 9, 6]])
    fore, back = cut_rows(plane)
    # columns count the border: the first pixel stands in column 1
    assert fore.start.tolist() == [1, 7]
    assert fore.summit.tolist() == [3, 8]
    assert fore.height.tolist() == [5, 9]
    assert fore.first.tolist() == [0, 0, 2, 2]
    of_row = slice(back.first[1], back.first[2])
    assert back.start[of_row].tolist() == [0, 4, 9]
    assert back.summit[of_row].tolist()[1] == 6  # the end of the valley
    assert back.node[of_row].tolist() == [OUTSIDE, 1, OUTSIDE]
    assert back.height[1] == 255 - 1


def test_the_part_of_a_unit_above_any_level_is_one_run(rng: np.random.Generator) -> None:
    plane = plane_of(rng.integers(0, 9, (12, 31)).tolist())
    fore, back = cut_rows(plane)
    for units, rows in ((fore, plane), (back, 255 - plane)):
        for y in range(len(plane)):
            for unit in range(units.first[y], units.first[y + 1]):
                end = units.start[unit + 1] if unit + 1 < units.first[y + 1] else plane.shape[1]
                part = rows[y, units.start[unit] : end]
                if units.node[unit] != OUTSIDE or units is fore:
                    assert part.max() == rows[y, units.summit[unit]]
                for level in range(255):
                    inside = np.flatnonzero(part > level)
                    assert len(inside) == 0 or inside[-1] - inside[0] + 1 == len(inside)


def test_the_border_is_zero_and_rows_are_cut_for_the_compiler() -> None:
    plane, highest = padded_grey(np.full((3, 5), 0.5))
    assert highest == 127
    assert plane.shape == (5, 32)
    assert plane[1:4, 1:6].tolist() == [[127] * 5] * 3
    assert plane.sum() == 127 * 15
