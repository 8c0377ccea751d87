from __future__ import annotations

from pathlib import Path

import pytest

from rfga.files import replacing
from rfga.types import UserError


def test_new_file_appears_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "ü.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_longest_possible_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another output folder"), replacing(tmp_path / "file" / "a.txt"):
        pass


def test_target_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found the folder"), replacing(tmp_path):
        pass
