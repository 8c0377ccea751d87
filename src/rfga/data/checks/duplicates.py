"""Which photographs are the same, or nearly so, without comparing every two of them.

Near ones are found by multi-index hashing (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with
Multi-Index Hashing", CVPR 2012): two hashes whose first 64 bits differ in 7 at most have one of four 16-bit
parts that differs in one bit at most, so only those that share such a part are compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from rfga.data.checks.picture_hash import TURNS, WordArray, turned
from rfga.types import IntArray

FIRST_BITS_DISTANCE = 7
"""Bits of the first 64 in which near duplicates may differ, found without fail up to it."""

MAX_DISTANCE = 64
"""Bits of all 256 in which near duplicates may differ; unrelated photographs differ in 80 and more."""

_PARTS, _PART_BITS = 4, 16
_BLOCK = 1 << 17  # pairs compared at once: what a processor keeps near


class Near(NamedTuple):
    """Two photographs that show nearly the same."""

    first: int
    second: int  # above ``first``
    distance: int  # of 256 bits
    turn: str  # what makes the first into the second, out of TURNS


def same(contents: WordArray) -> list[list[int]]:
    """Groups of equal rows among ``contents`` (n, k), each sorted, in the order of their first members.

    Example:
        >>> same(np.array([[1, 2], [3, 4], [1, 2]], np.uint64))
        [[0, 2]]
    """
    if not len(contents):
        return []
    _, group, sizes = np.unique(contents, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    found = np.split(order, np.cumsum(sizes)[:-1])
    return sorted(members.tolist() for members in found if len(members) > 1)


def near(hashes: WordArray, max_distance: int = MAX_DISTANCE) -> list[Near]:
    """Pairs of rows of ``hashes`` (n, 4) that are alike in any of the eight turns, each pair once.

    Example:
        >>> hashes = np.array([[7, 0, 0, 0], [6, 1, 0, 0], [0, 2**64 - 1, 2**64 - 1, 0]], np.uint64)
        >>> near(hashes)[0]
        Near(first=0, second=1, distance=2, turn='as it is')
    """
    best: dict[tuple[int, int], Near] = {}
    for turn in TURNS:
        for first, second, distance in _near_as(turned(hashes, turn), hashes, max_distance):
            pair = (first, second)
            if pair not in best or distance < best[pair].distance:
                best[pair] = Near(first, second, distance, turn)
    return [best[pair] for pair in sorted(best)]


def joined(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Groups that pairs make together, each sorted, in the order of their first members.

    Example:
        >>> joined([(4, 1), (2, 3), (1, 7)])
        [[1, 4, 7], [2, 3]]
    """
    above: dict[int, int] = {}

    def top(member: int) -> int:
        while above.setdefault(member, member) != member:
            above[member] = member = above[above[member]]
        return member

    for one, other in pairs:
        low, high = sorted((top(one), top(other)))
        above[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for member in sorted(above):
        groups[top(member)].append(member)
    return sorted(groups.values())


def _near_as(asked: WordArray, known: WordArray, max_distance: int) -> Iterator[tuple[int, int, int]]:
    """Pairs (row of ``asked``, later row of ``known``, distance); a pair may come several times."""
    probes = [0, *(1 << bit for bit in range(_PART_BITS))]
    first = np.ascontiguousarray(asked[:, 0])
    for part in range(_PARTS):
        asked_keys, known_keys = _keys(asked, part), _keys(known, part)
        order = np.argsort(known_keys, kind="stable")
        ordered = known[order, 0]
        starts = np.concatenate([[0], np.cumsum(np.bincount(known_keys, minlength=1 << _PART_BITS))])
        for probe in probes:
            for rows, places in _expanded(asked_keys ^ probe, starts):
                alike = np.bitwise_count(first[rows] ^ ordered[places]) <= FIRST_BITS_DISTANCE
                ones, others = rows[alike], order[places[alike]]
                distances = np.bitwise_count(asked[ones] ^ known[others]).sum(axis=1, dtype=np.int64)
                kept = (distances <= max_distance) & (others > ones)
                yield from zip(
                    ones[kept].tolist(), others[kept].tolist(), distances[kept].tolist(), strict=True
                )


def _keys(hashes: WordArray, part: int) -> IntArray:
    return ((hashes[:, 0] >> np.uint64(_PART_BITS * part)) & np.uint64((1 << _PART_BITS) - 1)).astype(
        np.int64
    )


def _expanded(keys: IntArray, starts: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Every (row, place in its key's bucket), about ``_BLOCK`` of them at a time."""
    sizes = starts[keys + 1] - starts[keys]
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(keys):
        before = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, before + _BLOCK, side="right")))
        some = sizes[begin:stop]
        rows = np.repeat(np.arange(begin, stop), some)
        shift = starts[keys[begin:stop]] - (ends[begin:stop] - some - before)
        places = np.repeat(shift, some)
        places += np.arange(len(rows))
        yield rows, places
        begin = stop
