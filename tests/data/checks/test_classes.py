from __future__ import annotations

import numpy as np
import pytest

from rfga.data.checks.classes import class_findings

CLASSES = ("cat", "dog", "eel")


def found(**counts: list[int]) -> list[tuple[str, str]]:
    by_split = {split: np.array(count) for split, count in counts.items()}
    return [(finding.kind, finding.file) for finding in class_findings(CLASSES, by_split)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"train": [30, 25, 40], "val": [1, 1, 1]}, []),
        ({}, []),
        ({"train": [30, 30, 0]}, [("empty_class", "train/eel")]),
        ({"train": [30, 30, 0], "val": [3, 3, 3]}, [("class_not_in_train", "eel")]),
        ({"train": [30, 30, 30], "val": [3, 0, 3]}, [("class_not_in_split", "val")]),
        ({"train": [30, 19, 30]}, [("few_photographs", "train/dog")]),
        ({"train": [90, 40, 40]}, [("class_dominates", "train/cat")]),
        ({"train": [200, 20, 190]}, [("imbalance", "train/dog")]),
        ({"val": [30, 30, 30]}, []),
        ({"train": [30, 0, 0], "val": [9, 9, 9]},
         [("one_class", "train"), ("class_not_in_train", "dog"), ("class_not_in_train", "eel")]),
    ],
)  # fmt: skip
def test_each_kind(counts: dict[str, list[int]], expected: list[tuple[str, str]]) -> None:
    assert found(**counts) == expected


def test_the_limits_are_exact() -> None:
    assert found(train=[50, 25, 25]) == []  # half is not more than half
    assert [kind for kind, _ in found(train=[52, 25, 26])] == ["class_dominates"]
    assert found(train=[199, 20, 200])[-1] == ("imbalance", "train/dog")
    assert found(train=[195, 20, 199]) == []


def test_two_classes_may_differ_without_one_dominating() -> None:
    (only,) = class_findings(("cat", "dog"), {"train": np.array([20, 200])})
    assert only.kind == "imbalance"
    assert "found 20 here and 200 of dog" in only.sentence
