"""Names that are the same, and names that only look so."""

from __future__ import annotations

import pytest

from rfga.data.spelling import class_key, nearly_same, path_key

COMPOSED, DECOMPOSED = "Münster", "Mu\u0308nster"


def test_composed_and_decomposed_letters_are_one_name() -> None:
    assert COMPOSED != DECOMPOSED
    assert class_key(COMPOSED) == class_key(DECOMPOSED) == COMPOSED
    assert path_key(f"{DECOMPOSED}/a.jpg") == f"{COMPOSED}/a.jpg"


@pytest.mark.parametrize("other", ["münster", "MU\u0308NSTER", " Münster", "Münster\u00a0", "Münster\t"])
def test_case_and_surrounding_space_alone_are_told(other: str) -> None:
    assert class_key(other) != class_key(COMPOSED)
    assert nearly_same(DECOMPOSED, ["church", other]) == [other]


@pytest.mark.parametrize("other", [COMPOSED, "Munster", "M nster", "Mün ster", "Münster_"])
def test_the_same_name_and_another_one_are_not(other: str) -> None:
    assert nearly_same(DECOMPOSED, [other]) == []
