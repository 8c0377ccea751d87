from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rfga.data.checks import duplicates
from rfga.data.checks.duplicates import FIRST_BITS_DISTANCE, MAX_DISTANCE, Near, joined, near, same
from rfga.data.checks.picture_hash import TURNS, WordArray, turned
from rfga.types import IntArray


def random_hashes(rng: np.random.Generator, count: int) -> WordArray:
    return rng.integers(0, 2**64, (count, 4), dtype=np.uint64)


def flipped(hashes: WordArray, rng: np.random.Generator, first: int, others: int) -> WordArray:
    """Each hash with so many bits changed in its first word, and so many in the other three."""
    changed = hashes.copy()
    for row in changed:
        for bit in rng.permutation(64)[:first].tolist():
            row[0] ^= np.uint64(1 << bit)
        for bit in rng.permutation(192)[:others].tolist():
            row[1 + bit // 64] ^= np.uint64(1 << bit % 64)
    return changed


def by_brute_force(hashes: WordArray) -> set[tuple[int, int]]:
    """Pairs in any turn, by comparing every two."""
    found = set()
    for turn in TURNS:
        asked = turned(hashes, turn)
        for i in range(len(hashes)):
            bits = np.bitwise_count(asked[i] ^ hashes[i + 1 :])
            close = (bits[:, 0] <= FIRST_BITS_DISTANCE) & (bits.sum(axis=1) <= MAX_DISTANCE)
            found |= {(i, i + 1 + int(j)) for j in np.flatnonzero(close)}
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_pairs_are_those_of_comparing_every_two(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = random_hashes(rng, 60)
    # Around both limits, in all turns, and many that share parts of their first word.
    alike = [flipped(base[i::6], rng, 5 + i % 4, 50 + 3 * i) for i in range(6)]
    twisted = [turned(part, turn) for part, turn in zip(alike, list(TURNS)[1:7], strict=True)]
    crowded = random_hashes(rng, 80)
    crowded[:, 0] = crowded[:, 0] & np.uint64(0xFFFF_0003)
    hashes = np.concatenate([base, *alike, *twisted, crowded])
    pairs = near(hashes)
    expected = by_brute_force(hashes)
    assert len(expected) > 60
    assert {(pair.first, pair.second) for pair in pairs} == expected
    assert len(pairs) == len(expected)


def test_the_turn_and_the_distance_are_told() -> None:
    rng = np.random.default_rng(1)
    base = random_hashes(rng, 1)
    quarter = turned(flipped(base, rng, 2, 9), "turned by 90 degrees")
    assert near(np.concatenate([base, quarter])) == [Near(0, 1, 11, "turned by 90 degrees")]
    assert near(np.concatenate([quarter, base])) == [Near(0, 1, 11, "turned by 270 degrees")]
    assert near(np.concatenate([base, quarter]), max_distance=10) == []


def test_few_of_many_pairs_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    hashes = random_hashes(rng, 10_000)
    hashes[8_000:8_100] = flipped(hashes[:100], rng, 7, 30)
    compared: list[int] = []

    def counted(keys: IntArray, starts: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        for rows, places in expanded(keys, starts):
            compared.append(len(rows))
            yield rows, places

    expanded = duplicates._expanded
    monkeypatch.setattr(duplicates, "_expanded", counted)
    pairs = near(hashes)
    assert {(pair.first, pair.second) for pair in pairs} == {(i, 8_000 + i) for i in range(100)}
    # 17 of 65,536 values of a part are near, in four parts and eight turns: 0.8 % of n * n, instead of 800 %.
    assert 0 < sum(compared) < 0.01 * len(hashes) ** 2


def test_equal_contents_form_groups() -> None:
    rows = np.array([[9, 1], [2, 2], [9, 1], [3, 3], [2, 2], [9, 1], [1, 9]], np.uint64)
    assert same(rows) == [[0, 2, 5], [1, 4]]
    assert same(np.zeros((0, 2), np.uint64)) == []
    assert near(np.zeros((0, 4), np.uint64)) == []


def test_pairs_join_into_groups() -> None:
    assert joined([(0, 5), (7, 6), (5, 6), (1, 2)]) == [[0, 5, 6, 7], [1, 2]]
    assert joined([]) == []
