"""A shelf gives back what was put on it, as far as there is room."""

from __future__ import annotations

from pathlib import Path

import torch

from rfga.backbones.layout import Watch
from rfga.engine.learning.shelf import Shelf

PIXELS = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).to(torch.uint8)
LAST, EARLY, TOKEN = torch.rand(2, 5, 1, 1), torch.rand(2, 2, 2, 2), torch.rand(2, 1, 2)
EACH = 3 * 4 * 4 + 4 * (5 + 2 * 2 * 2 + 2)  # bytes


def seen() -> Watch:
    other = torch.zeros(2, 9, 9, 9)
    places = {"early": (EARLY, TOKEN), "unasked": (other, TOKEN)}
    return Watch(True, places, {"early"}, images=torch.zeros(2), maps=LAST)


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", 7)
    shelf.keep(PIXELS, seen(), [3, 6])
    assert [place for place in range(7) if place in shelf] == [3, 6]
    assert torch.equal(shelf.pixels([6, 3]), PIXELS.flip(0))
    images, memory = torch.zeros(2, 3, 4, 4), Watch(True)
    shelf.recall(memory, images, [6, 3])
    assert memory.images is images
    assert memory.maps is not None
    assert torch.equal(memory.maps, LAST.flip(0))
    assert memory.seen.keys() == {"early"}
    for found, kept in zip(memory.seen["early"], (EARLY, TOKEN), strict=True):
        assert torch.equal(found, kept.flip(0))


def test_room_ends_at_the_limit(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", 7, limit_bytes=4 * EACH + EACH // 2)
    shelf.keep(PIXELS, seen(), [3, 4])
    assert 3 in shelf
    assert 4 not in shelf
    none = Shelf(tmp_path / "none", 7, limit_bytes=EACH - 1)
    none.keep(PIXELS, seen(), [0, 1])
    assert 0 not in none
    assert not none.path.exists()


def test_what_a_later_look_asks_for_besides_is_not_kept_by_half(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", 7)
    shelf.keep(PIXELS, seen(), [0, 1])
    more = seen()
    more.asked.add("unasked")
    shelf.keep(PIXELS, more, [2, 3])
    assert 2 not in shelf


def test_a_file_of_before_goes_and_so_does_its_own(tmp_path: Path) -> None:
    (tmp_path / "shelf").write_text("left by a killed run")
    shelf = Shelf(tmp_path / "shelf", 7)
    assert not shelf.path.exists()
    shelf.keep(PIXELS, seen(), [0, 1])
    shelf.remove()
    assert not shelf.path.exists()
    assert 0 not in shelf
