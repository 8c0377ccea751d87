"""The grid of thresholds and the other sources."""

from __future__ import annotations

import numpy as np
import pytest

from rfga.metrics.thresholds import ThresholdTable, threshold_grid
from rfga.types import UserError

PER_IOU = {"0.3": 0.2, "0.5": 0.35, "0.7": 0.123}
FROM_VAL = {"largest": PER_IOU, "all": {**PER_IOU, "0.7": 0.5}}


def test_grid_is_numpys_arange() -> None:
    assert np.array_equal(threshold_grid(0.001), np.arange(0, 1, 0.001))
    assert len(threshold_grid(0.01)) == 100
    assert threshold_grid(1 / 3).max() < 1


@pytest.mark.parametrize("step", [0.0, -0.1, 1.0, float("nan")])
def test_impossible_steps(step: float) -> None:
    with pytest.raises(UserError, match="step between 0 and 1"):
        threshold_grid(step)


def test_thresholds_off_the_grid_become_further_columns() -> None:
    table = ThresholdTable(0.1, {"val": FROM_VAL, "fixed": 0.2})
    assert table.columns[10:].tolist() == [0.123, 0.35]
    assert table.columns[table.column("val", "largest", 0.7)] == 0.123
    assert table.columns[table.column("val", "all", 0.7)] == 0.5
    assert table.column("fixed", "all", 0.3) == table.column("val", "all", 0.3) == 2


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"oracle": 0.2}, "give another name"),
        ({"fixed": 1.2}, "in \\[0, 1\\] from 'fixed', found 1.2"),
        ({"val": {"largest": PER_IOU}}, "none for 'all' at 0.3"),
        ({"val": {"largest": {"0.5": 0.1}, "all": PER_IOU}}, "none for 'largest' at 0.3"),
    ],
)
def test_bad_sources(sources: dict[str, float | dict[str, dict[str, float]]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ThresholdTable(0.1, sources)
