"""Names of files beside photographs: short where they can be, never twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rfga.output.export.stems import Stems


def test_short_names_first_come() -> None:
    stems = Stems()
    names = ["cat/a.jpg", "cat/a.png", "cat/A.webp", "cat/a.b.jpg", "cat/a.png.jpg", "a.jpg", "St. B/c.jpg"]
    assert [stems.of(name) for name in names] == [
        *("cat/a", "cat/a.png", "cat/A.webp", "cat/a.b", "cat/a.png.jpg", "a", "St. B/c"),
    ]


@given(st.lists(st.text("aA.bj", min_size=1, max_size=6).map(lambda text: f"c/x{text}.jpg"), unique=True))
def test_no_two_photographs_share_a_stem(names: list[str]) -> None:
    stems = Stems()
    found = [stems.of(name).casefold() for name in names]
    assert len(set(found)) == len(found)
    assert all(stem.startswith("c/x") for stem in found)
