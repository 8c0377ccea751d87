from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rfga.engine.serve.limits import MAX_BOXES, Choices, Limits, plain_name, read_upload
from rfga.types import UserError
from tests.odd_photographs import BAD, GOOD, SIZE_WH, picture


@pytest.mark.parametrize("name", GOOD)
def test_every_photograph_is_read_under_any_name(name: str, tmp_path: Path) -> None:
    GOOD[name](tmp_path / name)
    (tmp_path / name).rename(tmp_path / "upload.txt")
    image = read_upload(tmp_path / "upload.txt", name, Limits())
    assert (image.mode, image.size) == ("RGB", SIZE_WH)


@pytest.mark.parametrize("name", BAD)
def test_other_files_are_refused_by_their_own_names(name: str, tmp_path: Path) -> None:
    write, reason = BAD[name]
    write(tmp_path / name)
    (tmp_path / name).rename(tmp_path / "upload")
    with pytest.raises(UserError, match="expected") as caught:
        read_upload(tmp_path / "upload", f"<i>{name}", Limits())
    assert reason in str(caught.value)
    assert f"<i>{name}" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_large_photograph_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    picture(size_wh=(60, 40)).save(file)
    assert read_upload(file, "a.png", Limits(max_pixels=2400)).size == (60, 40)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UserError, match=r"at most 2,399 pixels, found 60 x 40 in a\.png: shrink it"):
        read_upload(file, "a.png", Limits(max_pixels=2399))


def test_a_file_of_many_bytes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    picture(size_wh=(600, 400)).save(file)
    with pytest.raises(UserError, match=r"at most 0\.001 MB, found 0\.\d MB in a\.png: shrink it"):
        read_upload(file, "a.png", Limits(max_upload_mb=0.001))


@pytest.mark.parametrize("wrong", [{"max_upload_mb": 0}, {"max_upload_mb": float("inf")}, {"max_pixels": 0}])
def test_limits_that_leave_no_room(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="expected --max-"):
        Limits(**wrong)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("../../etc/a.jpg", "a.jpg"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("<img src=x onerror=alert(1)>.jpg", "<img src=x onerror=alert(1)>.jpg"),
        ("a\x00\nb\x1b[2J.jpg", "ab[2J.jpg"),
        ("gpj\u202e.exe", "gpj.exe"),
        ("\udcff.jpg", ".jpg"),
        ("", "photograph"),
        ("..", "photograph"),
        ("Käfig 猫.jpg", "Käfig 猫.jpg"),
        ("x" * 500 + ".jpg", "x" * 116 + ".jpg"),
        ("x." + "y" * 500, "x." + "y" * 118),
    ],
)
def test_names_lose_folders_and_control_characters(given: str, name: str) -> None:
    assert plain_name(given) == name


def test_names_differ() -> None:
    taken: list[str] = []
    for _ in range(3):
        taken.append(plain_name("folder/a.jpg", taken))
    assert taken == ["a.jpg", "a (2).jpg", "a (3).jpg"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"threshold": "0.3"},
        {"threshold": None},
        {"threshold": True},
        {"threshold": 10**400},
        {"label": 3},
        {"label": -2},
        {"label": 0.5},
        {"label": [0]},
        {"max_boxes": 0},
        {"max_boxes": MAX_BOXES + 1},
        {"max_boxes": "2"},
    ],
)
def test_choices_that_the_page_does_not_offer(wrong: dict[str, Any]) -> None:
    fine: dict[str, Any] = {"threshold": 0.3, "label": 2, "max_boxes": 1, "heat": True}
    assert Choices.checked(**fine, class_count=3) == Choices(0.3, 2, 1, True)
    with pytest.raises(UserError, match="expected"):
        Choices.checked(**{**fine, **wrong}, class_count=3)
