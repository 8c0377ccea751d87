from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from rfga.data.checks.findings import Finding
from rfga.data.checks.repeated import duplicate_findings
from tests.data.checks.folders_to_check import clean_folders, photograph, put, surveyed


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return clean_folders(tmp_path / "data", train=6)


def found(folders: Path) -> list[Finding]:
    return duplicate_findings(surveyed(folders)[1])


def copy(folders: Path, source: str, target: str) -> None:
    shutil.copy(folders / source, folders / target)


def test_different_photographs_are_no_duplicates(folders: Path) -> None:
    assert found(folders) == []


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("train/cat/copy.jpg", "duplicate"),
        ("val/cat/copy.jpg", "duplicate_across_splits"),
        ("train/dog/copy.jpg", "duplicate_across_classes"),
        ("val/dog/copy.jpg", "duplicate_across_classes"),
    ],
)
def test_equal_files(folders: Path, target: str, kind: str) -> None:
    copy(folders, "train/cat/2.jpg", target)
    (one,) = found(folders)
    assert (one.kind, one.file, one.others) == (kind, "train/cat/2.jpg", (target,))
    assert f"found this one again as {target}: " in one.sentence
    assert len(one.shots) == 2


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("train/cat/copy.png", "near_duplicate"),
        ("val/cat/copy.png", "near_duplicate_across_splits"),
        ("train/dog/copy.png", "near_duplicate_across_classes"),
    ],
)
def test_smaller_copies_in_another_format(folders: Path, target: str, kind: str) -> None:
    with Image.open(folders / "train/cat/2.jpg") as image:
        put(folders / target, image.resize((53, 40)))
    (one,) = found(folders)
    assert (one.kind, one.file, one.others) == (kind, "train/cat/2.jpg", (target,))
    assert f"found this one nearly again as {target} (" in one.sentence
    assert "turned" not in one.sentence


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored left to right"),
        (Image.Transpose.ROTATE_270, "turned by 90 degrees"),
        (Image.Transpose.ROTATE_180, "turned by 180 degrees"),
    ],
)
def test_turned_copies(folders: Path, turn: Image.Transpose, said: str) -> None:
    with Image.open(folders / "train/cat/2.jpg") as image:
        put(folders / "val/cat/copy.jpg", image.transpose(turn), quality=80)
    (one,) = found(folders)
    assert f"bits differ, {said})" in one.sentence


def test_a_group_is_told_once_and_copies_of_copies_are_in_it(folders: Path) -> None:
    for number in range(5):
        copy(folders, "train/cat/2.jpg", f"train/cat/copy{number}.jpg")
    with Image.open(folders / "train/cat/2.jpg") as image:
        put(folders / "val/cat/near.png", image)
    equal, near = found(folders)
    assert (equal.kind, len(equal.others)) == ("duplicate", 5)
    assert equal.sentence.count("copy") == 3
    assert "and 2 more: remove all but one" in equal.sentence
    assert (near.kind, near.file, len(near.others)) == ("near_duplicate_across_splits", "train/cat/2.jpg", 6)
    assert near.others[0] == "val/cat/near.png"


def test_plain_colours_are_not_called_alike(folders: Path) -> None:
    for number, shade in enumerate((250, 251)):
        put(folders / "train" / "cat" / f"plain{number}.png", Image.new("RGB", (64, 48), (shade,) * 3))
    assert found(folders) == []


def test_unreadable_files_are_not_called_alike(folders: Path) -> None:
    for number in range(2):
        (folders / "train" / "cat" / f"empty{number}.jpg").touch()
        (folders / "train" / "cat" / f"text{number}.jpg").write_text("no picture")
    assert found(folders) == []


def test_another_photograph_of_the_same_size_stays_apart(folders: Path) -> None:
    put(folders / "val" / "cat" / "new.jpg", photograph(999))
    assert found(folders) == []
