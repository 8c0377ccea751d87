from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from rfga.data.checks.picture_hash import BITS, SIDE, TURNS, WordArray, picture_hash, turned
from rfga.types import FloatArray
from tests.data.checks.folders_to_check import photograph

ARRAYS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "mirrored left to right": np.fliplr,
    "mirrored top to bottom": np.flipud,
    "turned by 180 degrees": lambda grey: np.rot90(grey, 2),
    "mirrored diagonally": np.transpose,
    "turned by 90 degrees": lambda grey: np.rot90(grey, -1),  # numpy turns against the clock
    "turned by 270 degrees": np.rot90,
    "mirrored on the other diagonal": lambda grey: np.rot90(grey.T, 2),
}


def shrunken(picture: Image.Image) -> FloatArray:
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def hashed(grey: FloatArray) -> WordArray:
    words = picture_hash(grey)
    assert words is not None
    return words


def differing(one: WordArray, other: WordArray) -> int:
    return sum(int(a ^ b).bit_count() for a, b in zip(one.tolist(), other.tolist(), strict=True))


@pytest.mark.parametrize("turn", TURNS)
def test_turns_of_the_hash_are_turns_of_the_photograph(turn: str) -> None:
    grey = shrunken(photograph(3))
    other = ARRAYS[turn](grey) if turn in ARRAYS else grey
    assert differing(turned(hashed(grey)[None], turn)[0], hashed(other)) <= 1  # rounding at zero
    assert turn == "as it is" or differing(hashed(grey), hashed(other)) > 80


def test_unrelated_photographs_differ_in_half_of_the_bits() -> None:
    hashes = [hashed(shrunken(photograph(seed))) for seed in range(40)]
    distances = [differing(hashes[i], hashes[j]) for i in range(40) for j in range(i)]
    assert min(distances) > 80
    assert np.mean(distances) == pytest.approx(BITS / 2, abs=5)


@pytest.mark.parametrize("size_wh", [(320, 240), (37, 51), (1000, 90)])
def test_size_and_aspect_do_not_matter(size_wh: tuple[int, int]) -> None:
    picture = photograph(5, (400, 300))
    resized = picture.resize(size_wh, Image.Resampling.LANCZOS)
    assert differing(hashed(shrunken(picture)), hashed(shrunken(resized))) <= 24


def test_the_first_word_has_the_lowest_frequencies() -> None:
    rows = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * 2)  # frequency 2 alone
    low = picture_hash(100 + 50 * np.add.outer(rows, 2 * rows))
    assert low is not None
    high = picture_hash(100 + 50 * np.add.outer(-rows, -2 * rows))
    assert high is not None
    changed = [int(a ^ b).bit_count() for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    assert changed[0] >= 2


def test_nothing_to_see_and_wrong_shapes() -> None:
    assert picture_hash(np.full((SIDE, SIDE), 90.0)) is None
    with pytest.raises(ValueError, match=r"shape \(32, 32\), found \(32, 31\)"):
        picture_hash(np.zeros((SIDE, SIDE - 1)))
