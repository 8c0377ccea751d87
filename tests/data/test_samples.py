"""A few samples of each class: as many as asked for, always the same, whatever holds them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rfga.data.names import LabelledNames, Names
from rfga.data.samples import SampleList, few_of_each
from rfga.types import Sample

CLASSES = ("cat", "dog", "emu")


def listed(per_class: int) -> SampleList:
    names = [f"{name}/{number}.jpg" for number in range(per_class) for name in CLASSES]
    labels = np.array([CLASSES.index(name.partition("/")[0]) for name in names])
    return SampleList(LabelledNames(Names.of(names), labels), Path("images"))


@pytest.mark.parametrize("count", [1, 4, 7, 50])
def test_at_most_so_many_of_each_class_in_their_order(count: int) -> None:
    samples = listed(7)
    few = few_of_each(samples, count)
    assert isinstance(few, SampleList)
    assert set(Counter(sample.label for sample in few).values()) == {min(count, 7)}
    places = [list(samples).index(sample) for sample in few]
    assert places == sorted(places)


def test_the_choice_depends_on_names_alone() -> None:
    samples = listed(20)
    chosen = {sample.image_id for sample in few_of_each(samples, 6)}
    plain: list[Sample] = list(samples)
    assert {sample.image_id for sample in few_of_each(plain[::-1], 6)} == chosen
    assert chosen != {f"{name}/{number}.jpg" for name in CLASSES for number in range(6)}
    # A smaller choice is part of a larger one, so that results of growing sets compare.
    assert {sample.image_id for sample in few_of_each(samples, 3)} < chosen


def test_no_samples_stay_none() -> None:
    assert list(few_of_each([], 3)) == []
