"""Photographs that are there more than once: in a split, across splits, in two classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rfga.data.checks.duplicates import Near, joined, near, same
from rfga.data.checks.findings import Finding, Shot
from rfga.data.checks.picture_hash import TURNS
from rfga.data.checks.survey import Survey

_NAMED = 3  # of the others, in a sentence

_WRONG = {
    "duplicate": ("each photograph once", "remove all but one"),
    "duplicate_across_splits": (
        "different photographs in the splits, so that what is measured was not learned by heart",
        "remove it from one",
    ),
    "duplicate_across_classes": ("each photograph in one class", "remove it from the class it is not of"),
}


def duplicate_findings(survey: Survey) -> list[Finding]:
    """One finding for each group of equal files, then one for each group of nearly equal photographs."""
    equal = same_files(survey)
    found = [_finding(survey, group, "", _names(survey, group[1:])) for group in equal]
    # Of equal files one stands for all, so that many copies of one file are compared once.
    copies = {index for group in equal for index in group[1:]}
    kept = np.array([i for i in np.flatnonzero(survey.comparable).tolist() if i not in copies], np.int64)
    pairs = [
        pair._replace(first=int(kept[pair.first]), second=int(kept[pair.second]))
        for pair in near(survey.shown[kept])
    ]
    copies_of = {group[0]: group[1:] for group in equal}
    nearest: dict[int | tuple[int, int], Near] = {(pair.first, pair.second): pair for pair in pairs}
    for pair in sorted(pairs, key=lambda pair: -pair.distance):  # the nearest comes last and stays
        nearest[pair.first] = nearest[pair.second] = pair
    for group in joined([(pair.first, pair.second) for pair in pairs]):
        everyone = [*group, *(copy for member in group for copy in copies_of.get(member, ()))]
        found.append(_finding(survey, everyone, "near_", _near_names(survey, group, nearest)))
    return found


def same_files(survey: Survey) -> list[list[int]]:
    """Groups of photographs whose files are equal byte for byte."""
    usable = np.flatnonzero(survey.sizes_hw.any(axis=1))
    return [usable[group].tolist() for group in same(survey.contents[usable])]


def _finding(survey: Survey, group: Sequence[int], nearly: str, others: str) -> Finding:
    places = [survey.place(index) for index in group]
    splits, labels = {place.split for place in places}, {int(survey.labels[index]) for index in group}
    kind = "duplicate"
    if len(labels) > 1:
        kind = "duplicate_across_classes"
    elif len(splits) > 1:
        kind = "duplicate_across_splits"
    expected, remedy = _WRONG[kind]
    look = "look at them and " if nearly else ""
    return Finding(
        kind=nearly + kind,
        file=survey.file(group[0]),
        sentence=f"expected {expected}, found this one {'nearly ' if nearly else ''}again as {others}: "
        f"{look}{remedy}",
        others=tuple(survey.file(index) for index in group[1:]),
        shots=tuple(map(Shot, places)),
    )


def _names(survey: Survey, others: Sequence[int]) -> str:
    named = ", ".join(survey.file(index) for index in others[:_NAMED])
    return named + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")


def _near_names(survey: Survey, group: Sequence[int], nearest: Mapping[int | tuple[int, int], Near]) -> str:
    """The others, each with how near it is to the first, or else to the nearest of the group."""
    named = []
    for index in group[1 : _NAMED + 1]:
        pair = nearest.get((group[0], index)) or nearest[index]
        turn = "" if pair.turn == next(iter(TURNS)) else f", {pair.turn}"
        named.append(f"{survey.file(index)} ({pair.distance} of 256 bits differ{turn})")
    return ", ".join(named) + (f" and {len(group) - 1 - _NAMED} more" if len(group) - 1 > _NAMED else "")
