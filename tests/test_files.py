from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from rfga.files import (
    StorageError,
    claimed,
    held_in,
    is_output,
    mark_output,
    remove_leftovers,
    replacing,
    replacing_folder,
    require_writable,
    sync,
    write_json,
)
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


def test_file_can_be_read_by_others_even_if_its_writer_made_it_private(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    with replacing(tmp_path / "b.txt") as temporary:
        temporary.write_text("as usual")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_name_that_is_too_long_or_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="File name too long"), replacing(tmp_path / ("x" * 300)):
        pass

    def fill() -> None:
        with replacing(tmp_path / "a.txt"):
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\).*make room"):
        fill()
    assert not list(tmp_path.iterdir())


def test_whether_a_file_can_be_written_is_seen_without_writing_it(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "a.txt")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").write_text("old")
    require_writable(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old"
    for path in (tmp_path / "file" / "a.txt", tmp_path / "new", tmp_path / "new" / ("x" * 300)):
        with pytest.raises(UserError):
            require_writable(path)


def test_leftovers_of_a_kill_go_and_nothing_else(tmp_path: Path) -> None:
    kept = [".notes.tmp", "a.tmp", f".{'g' * 32}.tmp"]
    for name in (*kept, f".{'0f' * 16}.tmp"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "not there")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_json_of_names_that_are_no_text(tmp_path: Path) -> None:
    value = {"caf\udce9.jpg": "ü 猫"}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    assert "ü 猫" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with replacing_folder(target) as temporary:
        (temporary / "old").write_text("old")
        (temporary / "kept").mkdir()
        (temporary / "kept" / "mine").write_text("mine")
        assert not target.exists()
    with contextlib.suppress(RuntimeError), replacing_folder(target, keep=("kept",)) as temporary:
        (temporary / "new").write_text("new")
        raise RuntimeError
    assert sorted(path.name for path in target.rglob("*")) == ["kept", "mine", "old"]
    with replacing_folder(target, keep=("kept", "absent")) as temporary:
        (temporary / "new").write_text("new")
    assert sorted(path.name for path in target.rglob("*")) == ["kept", "mine", "new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(UserError, match="expected a folder name, found the file"),
        replacing_folder(tmp_path / "file"),
    ):
        pass
    with (
        pytest.raises(UserError, match="give another output folder"),
        replacing_folder(tmp_path / "file" / "folder"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_left_folders_are_removed_too(tmp_path: Path) -> None:
    left = tmp_path / f".{'0' * 32}.tmp"
    (left / "deep").mkdir(parents=True)
    remove_leftovers(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("name", ["ENOSPC", "EROFS", "EIO", "EFBIG"])
def test_a_disk_that_takes_nothing_more_is_told_apart(name: str, tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / "a.txt"):
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    with pytest.raises(StorageError, match=r"a\.txt, .*make room on that disk or mend it, then start again"):
        fill()
    with pytest.raises(UserError) as caught, replacing(tmp_path / ("x" * 300)):
        pass
    assert not isinstance(caught.value, StorageError)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a disk that is always full")
def test_a_writer_that_does_not_say_why_it_failed(tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / "map.npy") as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            raise OSError("50176 requested and 42480 written")

    with pytest.raises(StorageError, match="No space left on device"):
        fill()
    with pytest.raises(UserError, match=r"\(some reason\): give another"), replacing(tmp_path / "map.npy"):
        raise OSError("some reason")
    assert not list(tmp_path.iterdir())


def test_content_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "a.txt", list[tuple[bool, str]]()

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append((is_folder, path.read_text()))

    monkeypatch.setattr(os, "fsync", fsync)
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert seen == [(False, "old"), (True, "new")]
    with replacing(path, one_of_many=True) as temporary:
        temporary.write_text("newer")
    assert len(seen) == 2


def test_a_file_system_that_cannot_sync_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    code = errno.EINVAL
    sync(tmp_path)
    code = errno.ENOSPC  # some systems tell only now
    with pytest.raises(StorageError, match="No space left"), replacing(tmp_path / "a.txt"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_output_folder_is_marked_and_its_marks_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    mark_output(tmp_path / "out")
    (tmp_path / "out" / "b.txt").touch()
    assert (is_output(tmp_path / "out"), is_output(tmp_path / "photos")) == (True, False)
    with claimed(tmp_path / "out", "a test"):
        assert held_in(tmp_path / "out") == ["b.txt"]


def test_what_fails_before_anything_is_made_leaves_no_mark(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no data"), claimed(tmp_path / "out", "a test"):
        raise ValueError("no data")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_killed_process_frees_its_folder(tmp_path: Path) -> None:
    work = (
        "import sys, time\nfrom pathlib import Path\nfrom rfga.files import claimed\n"
        "with claimed(Path(sys.argv[1]), 'a test'):\n    print('in', flush=True)\n    time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", work, tmp_path], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match="expected one a test at a time"), claimed(tmp_path, "a test"):
            pass
        other.kill()
    with claimed(tmp_path, "a test"):
        pass


def test_another_thread_may_let_go_of_a_folder(tmp_path: Path) -> None:
    stack = contextlib.ExitStack()
    stack.enter_context(claimed(tmp_path / "out", "a test"))
    other = Thread(target=stack.close)
    other.start()
    other.join()
    with claimed(tmp_path / "out", "a test"):
        pass
    assert stack  # whose lock is not let go of by being forgotten
