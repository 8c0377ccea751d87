from __future__ import annotations

import pytest

from rfga.output.table import COLUMNS, compare, metric_rows
from tests.output.made_up import evaluation


def test_every_entry_and_every_iou_is_a_row() -> None:
    rows = metric_rows(evaluation())
    assert [row.metric for row in rows] == [
        "MaxBoxAcc",
        "MaxBoxAcc",
        "MaxBoxAccV2",
        "MaxBoxAccV2, IoU 0.3",
        "MaxBoxAccV2, IoU 0.5",
        "MaxBoxAccV2, IoU 0.7",
        "Top1Cls",
        "Top1Loc",
        "GTKnownLoc",
    ]
    assert rows[0].cells() == ("MaxBoxAcc", "61.2", "58.2 to 64.2", "0.231", "oracle", "minmax", "largest")
    assert rows[2].threshold == "0.180 / 0.240 / 0.310"
    assert rows[4].cells()[:4] == ("MaxBoxAccV2, IoU 0.5", "62.0", "-", "0.240")
    assert all(len(row.cells()) == len(COLUMNS) for row in rows)


def test_what_an_entry_does_not_have_is_a_dash() -> None:
    row = metric_rows({"metrics": {"Top1Cls": [{"value": 0.5}]}})[0]
    assert row.cells() == ("Top1Cls", "50.0", "-", "-", "-", "-", "-")
    unknown = {"value": None, "interval": [float("nan"), float("nan")], "threshold": None}
    assert metric_rows({"metrics": {"New": [unknown]}})[0].cells()[:4] == ("New", "-", "-", "-")


def test_rows_of_methods_meet_although_their_thresholds_differ() -> None:
    rows = compare([evaluation(0.0), evaluation(0.1)])
    assert len(rows) == 9
    first, second = rows[0].cells
    assert first is not None
    assert second is not None
    assert (first.row.threshold, second.row.threshold) == ("0.231", "0.331")


def test_metric_that_one_method_lacks() -> None:
    less = evaluation()
    del less["metrics"]["Top1Loc"]
    row = next(row for row in compare([less, evaluation()]) if row.metric == "Top1Loc")
    assert row.cells[0] is None
    assert row.cells[1] is not None
    assert row.cells[1].mark == ""


@pytest.mark.parametrize(
    ("values", "intervals", "marks"),
    [
        ([0.5, 0.7], [(0.45, 0.55), (0.65, 0.75)], ["", "apart"]),
        ([0.5, 0.7], [(0.40, 0.66), (0.65, 0.75)], ["", "overlap"]),
        ([0.7, 0.5], [None, (0.45, 0.55)], ["unknown", ""]),
        ([0.70001, 0.7], [(0.7, 0.7), (0.7, 0.7)], ["", ""]),
        ([0.5, 0.7, 0.2], [(0.4, 0.6), (0.65, 0.75), (0.1, 0.68)], ["", "overlap", ""]),
        ([0.5], [(0.4, 0.6)], [""]),
    ],
)
def test_larger_value_is_marked_with_how_sure_it_is(
    values: list[float], intervals: list[tuple[float, float] | None], marks: list[str]
) -> None:
    entries = [
        {"metrics": {"PxAP": [{"value": value, "interval": interval}]}}
        for value, interval in zip(values, intervals, strict=True)
    ]
    (row,) = compare(entries)
    assert [cell.mark for cell in row.cells if cell] == marks


def test_two_fixed_thresholds_stay_two_rows() -> None:
    entry = {"value": 0.5, "threshold_source": "fixed"}
    both = {"metrics": {"MaxBoxAcc": [entry | {"threshold": 0.1}, entry | {"threshold": 0.2}]}}
    rows = compare([both, both])
    assert [[cell.row.threshold for cell in row.cells if cell] for row in rows] == [
        ["0.100"] * 2,
        ["0.200"] * 2,
    ]
