from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rfga.output.benchmark.table import BenchmarkTable, Row, Spread, make_table
from tests.output.benchmark.made_up import CENTRE, FEW_SHOT, benchmark, cell, grid


def row(table: BenchmarkTable, method: str, backbone: str | None = "wsol_resnet50") -> Row:
    return next(r for r in table.rows if (r.method, r.backbone) == (method, backbone))


def seeds(method: str, *values: float, backbone: str = "wsol_resnet50") -> list[dict[str, object]]:
    return [
        cell(method, backbone, seed, {"minmax": {"MaxBoxAccV2": value}}) for seed, value in enumerate(values)
    ]


def marked(cells: list[dict[str, object]]) -> dict[tuple[str, str | None], str]:
    table = make_table(benchmark(cells, normalisations=["minmax"]))
    return {(r.method, r.backbone): r.numbers["minmax", "MaxBoxAccV2"].mark for r in table.rows if r.numbers}


def test_spread_is_that_of_a_sample() -> None:
    values = (0.51, 0.57, 0.66)
    spread = Spread(values)
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.deviation == pytest.approx(np.std(values, ddof=1))
    assert Spread((0.51,)).deviation is None
    assert Spread((0.51,)).text == "51.0 ± -"


def test_the_first_entry_of_a_metric_counts_and_what_is_no_number_does_not() -> None:
    held = cell("cam", "wsol_resnet50", 0, {"minmax": {"PxAP": 0.4, "Top1Cls": math.nan}})
    table = make_table(benchmark([held], normalisations=["minmax"]))
    assert table.metrics == ("PxAP",)
    assert row(table, "cam").numbers["minmax", "PxAP"].spread.values == (0.4,)


def test_order_is_backbones_then_rank_then_baselines() -> None:
    table = make_table(grid(["cam", "rfga", "has"], ["wsol_vgg16", "wsol_resnet50"]))
    assert [r.backbone for r in table.rows] == ["wsol_vgg16"] * 4 + ["wsol_resnet50"] * 4 + [None] * 2
    for first in (0, 4):
        group = table.rows[first : first + 3]
        means = [r.numbers["minmax", "MaxBoxAccV2"].spread.mean for r in group]
        assert means == sorted(means, reverse=True)
        assert table.rows[first + 3].method == FEW_SHOT
    assert table.rows[-2].method == CENTRE


def test_best_method_of_a_backbone_is_marked_with_what_the_seeds_say() -> None:
    apart = marked([*seeds("cam", 0.50, 0.52), *seeds("rfga", 0.60, 0.62)])
    assert apart == {("rfga", "wsol_resnet50"): "apart", ("cam", "wsol_resnet50"): ""}
    overlap = marked([*seeds("cam", 0.50, 0.62), *seeds("rfga", 0.55, 0.65)])
    assert overlap["rfga", "wsol_resnet50"] == "overlap"
    single = marked([*seeds("cam", 0.50), *seeds("rfga", 0.60)])
    assert single["rfga", "wsol_resnet50"] == "unknown"
    two = marked([*seeds("cam", 0.5), *seeds("rfga", 0.6), *seeds("cam", 0.9, backbone="a")])
    assert two["rfga", "wsol_resnet50"] == "unknown"
    assert two["cam", "a"] == ""  # it has nobody to be better than


def test_baselines_are_not_ranked() -> None:
    table = make_table(grid(["cam", "rfga"]))
    marks = {r.kind: {number.mark for number in r.numbers.values()} for r in table.rows if r.kind != "method"}
    assert marks == {"few-shot": {""}, "baseline": {""}}


def test_published_numbers_and_their_sources() -> None:
    table = make_table(grid(["cam", "rfga"]))
    found = row(table, "cam").numbers["minmax", "MaxBoxAccV2"].published
    assert [table.reference(p) for p in found] == ["63.0 [1]", "62.98 [2]"]
    assert table.sources[0].startswith("Choe et al. 2020")
    assert table.has_published("minmax", "MaxBoxAccV2")
    assert not table.has_published("minmax", "MaxBoxAcc")
    assert row(table, CENTRE, None).numbers["minmax", "MaxBoxAccV2"].published[0].percent == 59.7
    assert not row(table, "rfga").numbers["minmax", "MaxBoxAccV2"].published
    unstated = [p for p in table.elsewhere if p.normalisation == "unstated"]
    assert {p.backbone for p in table.elsewhere} == {"resnet50"}
    said = [table.reference(p) for p in unstated if p.metric == "MaxBoxAccV2"]
    assert said == ["69.87 [3, normalisation not stated]", "84.88 [4, normalisation not stated]"]
    assert not {p.method for p in table.elsewhere if p.normalisation == "minmax"} & {"CAM"}


@pytest.mark.parametrize("changes", [{"dataset": "birds"}, {"split": "val"}])
def test_other_data_have_nothing_beside_them(changes: dict[str, Any]) -> None:
    table = make_table(grid(["cam"], **changes))
    assert (table.sources, table.elsewhere) == ((), ())
    assert not any(number.published for r in table.rows for number in r.numbers.values())


def test_cells_that_are_missing_leave_a_remark() -> None:
    record = grid(["cam", "rfga"], seeds=(0, 1))
    cells = {c["name"]: c for c in record["cells"]}
    cells["cam-wsol_resnet50-seed1"].update(state="failed", reason="no memory", evaluations={})
    cells["rfga-wsol_resnet50-seed0"].update(state="waiting", evaluations={})
    for held in record["cells"]:
        if held["kind"] == "few-shot":
            held.update(state="not possible", reason="no truth of val", evaluations={})
    table = make_table(record)
    assert row(table, "cam").remarks == ("seed 1 failed: no memory",)
    assert row(table, "cam").seeds == (0,)
    assert row(table, "rfga").remarks == ("seed 0 waiting",)
    few_shot = row(table, FEW_SHOT, None)
    assert few_shot.remarks == ("not possible: no truth of val",)
    assert (few_shot.numbers, few_shot.seconds, few_shot.time, few_shot.millions) == ({}, None, "-", "-")
    assert table.failed == (("cam-wsol_resnet50-seed1", "no memory"),)


def test_time_is_the_mean_of_training_and_measuring() -> None:
    cells = [
        cell("cam", "a", seed, {"minmax": {"PxAP": 0.5}}, train_seconds=seconds, evaluate_seconds=10.0)
        for seed, seconds in enumerate((20.0, 60.0))
    ]
    [found] = make_table(benchmark(cells)).rows
    assert (found.seconds, found.time, found.millions) == (50.0, "50.0 s", "3.5 M")
