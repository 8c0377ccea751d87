from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data.checks.look import look_at_file, look_at_picture
from rfga.data.images import read_image, read_size
from tests.data.checks.folders_to_check import photograph, put
from tests.odd_photographs import BAD, GOOD

EXPECTED = {
    "palette.png": set(),
    "cmyk.jpg": {"cmyk"},
    "16 bit.png": {"sixteen_bit"},
    "animated.gif": {"animated"},
    "rotated.jpg": {"exif_rotated"},
}
BAD_KINDS = {
    "truncated.jpg": "damaged",
    "empty.jpg": "empty",
    "text.jpg": "unreadable",
    "bomb.png": "unreadable",
}


def kinds(path: Path) -> list[str]:
    return [kind for kind, _ in look_at_file(path).remarks]


@pytest.mark.parametrize("name", GOOD)
def test_odd_photographs_are_read_and_noted(name: str, tmp_path: Path) -> None:
    GOOD[name](tmp_path / name)
    look = look_at_file(tmp_path / name)
    assert look.size_hw == read_size(tmp_path / name)
    assert look.shown is not None
    assert {kind for kind, _ in look.remarks} - {"tiny"} == EXPECTED.get(name, set())  # 28 pixels high


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_apart(name: str, tmp_path: Path) -> None:
    write, said = BAD[name]
    write(tmp_path / name)
    look = look_at_file(tmp_path / name)
    assert look.size_hw is None
    ((kind, sentence),) = look.remarks
    assert kind == BAD_KINDS[name]
    assert said in sentence
    assert look_at_file(tmp_path / "lost.jpg").remarks[0][0] == "unreadable"


@pytest.mark.parametrize("lost", [1, 10, 200])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_missing_end_is_noticed_though_it_is_decoded_small(
    lost: int, options: dict[str, bool], tmp_path: Path
) -> None:
    path = put(tmp_path / "large.jpg", photograph(1, (1200, 700)), **options)
    assert kinds(path) == []
    path.write_bytes(path.read_bytes()[: -1000 * lost // 10])
    with pytest.raises(Exception, match="truncated"):
        read_image(path)
    assert kinds(path) == ["damaged"]


def test_the_size_is_that_of_the_upright_photograph(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    turned = look_at_file(put(tmp_path / "turned.jpg", photograph(2, (90, 50)), exif=exif))
    assert (turned.size_hw, turned.stored_hw) == ((90, 50), (50, 90))
    upright = look_at_file(put(tmp_path / "upright.jpg", photograph(2, (90, 50)).rotate(90, expand=True)))
    assert turned.shown is not None
    assert upright.shown is not None
    assert np.bitwise_count(turned.shown ^ upright.shown).sum() <= 12


SAVED: dict[str, tuple[Callable[[], Image.Image], str, list[str]]] = {
    "small.png": (lambda: photograph(1, (31, 90)), "PNG", ["tiny"]),
    "long.png": (lambda: photograph(1, (400, 60)), "PNG", ["extreme_aspect"]),
    "named wrongly.jpg": (lambda: photograph(1), "PNG", ["wrong_extension"]),
    "named wrongly.png": (lambda: photograph(1), "JPEG", ["wrong_extension"]),
    "white.png": (lambda: Image.new("RGB", (64, 48), "white"), "PNG", ["blank"]),
    "fine.JPEG": (lambda: photograph(1), "JPEG", []),
    "fine.tif": (lambda: photograph(1), "TIFF", []),
    "fine.webp": (lambda: photograph(1), "WEBP", []),
}


@pytest.mark.parametrize("name", SAVED)
def test_sizes_and_names(name: str, tmp_path: Path) -> None:
    make, file_format, expected = SAVED[name]
    path = put(tmp_path / name, make(), format=file_format)
    assert kinds(path) == expected


def test_the_remedy_names_the_right_ending(tmp_path: Path) -> None:
    path = put(tmp_path / "a.b.jpg", photograph(1), format="PNG")
    ((_, sentence),) = look_at_file(path).remarks
    assert "(PNG), found a.b.jpg: rename it to a.b.png" in sentence


def test_pictures_in_memory() -> None:
    look, again, other = (look_at_picture(photograph(seed)) for seed in (1, 1, 2))
    assert look.size_hw == (48, 64)
    assert look.content == again.content != other.content
    assert not look.remarks
