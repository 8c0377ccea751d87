from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rfga.output.benchmark.published import beside, published_on, read_published


def test_package_holds_the_collected_numbers_unchanged_and_then_newer_ones(shared: Path) -> None:
    with (shared / "published.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    held = read_published()
    assert len(held) > len(rows)
    newer = {found.method for found in held[len(rows) :]}
    assert newer >= {"BagCAMs on DA-WSOL", "BAS", "PSOL", "TS-CAM", "TokenCut", "LOST", "SAT", "GenPromp"}
    for row, found in zip(rows, held, strict=False):
        assert float(row["value"]) == found.percent
        for name in ("source", "method", "normalisation", "dataset", "metric", "backbone"):
            assert row[name] == getattr(found, name)


def test_every_number_names_its_source() -> None:
    for row in read_published():
        assert row.source
        assert 20 < row.percent < 100
        assert (row.metric == "PxAP") == (row.dataset == "OpenImages30k")


@pytest.mark.parametrize(("name", "count"), [("CUB", 81), ("cub", 81), ("OpenImages30k", 56), ("birds", 0)])
def test_data_sets_are_known_by_their_name_in_any_spelling(name: str, count: int) -> None:
    assert len(published_on(name, "test")) == count
    assert published_on(name, "val") == []


def test_only_the_same_method_network_and_normalisation_stand_beside() -> None:
    rows = published_on("ilsvrc", "test")
    [found] = beside(rows, "cutmix", "wsol_vgg16", "ivr", "MaxBoxAccV2")
    assert (found.method, found.normalisation, found.backbone) == ("CutMix", "ivr", "vgg16")
    for method, backbone, normalisation, metric in (
        ("rfga", "wsol_vgg16", "ivr", "MaxBoxAccV2"),
        ("cutmix", "vgg16", "ivr", "MaxBoxAccV2"),
        ("cutmix", "wsol_vgg16", "pas", "MaxBoxAccV2"),
        ("cutmix", "wsol_vgg16", "ivr", "MaxBoxAcc"),
    ):
        assert beside(rows, method, backbone, normalisation, metric) == []


def test_unstated_normalisation_stands_beside_any_and_is_told() -> None:
    rows = published_on("CUB", "test")
    for normalisation in ("minmax", "ivr"):
        [found] = beside(rows, "da-wsol", "wsol_resnet50", normalisation, "MaxBoxAccV2")
        assert found.normalisation == "unstated"


def test_baseline_without_a_network_is_quoted_once() -> None:
    rows = published_on("CUB", "test")
    [found] = beside(rows, "centre-Gaussian baseline", None, "minmax", "MaxBoxAccV2")
    assert found.percent == 59.7
