from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from rfga.engine.reviewing.corrections import FILE_NAME, Corrections, Step
from rfga.files import StorageError
from rfga.types import UserError

CAT = (1.0, 2.5, 30.0, 40.0, "cat")
FIRST, SECOND = Step("a.jpg", "right", (CAT,)), Step("b.jpg", "corrected", ())
THIRD = Step("a.jpg", "corrected", ((0.0, 0.0, 5.0, 6.0, "Müller, Köln"),))


def test_another_sitting_goes_on_where_one_stopped(tmp_path: Path) -> None:
    with Corrections(tmp_path) as said:
        for step in (FIRST, SECOND, THIRD):
            said.add(step)
    with Corrections(tmp_path) as said:
        assert said.current == {"a.jpg": THIRD, "b.jpg": SECOND}
        assert [said.undo(), said.current] == ["a.jpg", {"a.jpg": FIRST, "b.jpg": SECOND}]
    with Corrections(tmp_path) as said:  # an undo lasts, too
        assert [said.undo(), said.undo(), said.undo()] == ["b.jpg", "a.jpg", None]
        assert (said.current, said.steps, said.undone) == ({}, 0, 3)
    with Corrections(tmp_path) as said:
        assert [said.redo(), said.redo()] == ["a.jpg", "b.jpg"]
        said.add(Step("b.jpg", "open"))  # what was undone is gone now
        assert said.redo() is None
        assert said.current == {"a.jpg": FIRST}


@pytest.mark.parametrize("left", range(1, 80, 7))
def test_a_line_that_a_kill_cut_short_is_dropped(left: int, tmp_path: Path) -> None:
    with Corrections(tmp_path) as said:
        said.add(FIRST)
    whole = (tmp_path / FILE_NAME).read_bytes()
    assert len(whole) > 80
    (tmp_path / FILE_NAME).write_bytes(whole + whole[:left])
    with Corrections(tmp_path) as said:
        assert said.current == {"a.jpg": FIRST}
        said.add(SECOND)
    (tmp_path / FILE_NAME).write_bytes((tmp_path / FILE_NAME).read_bytes()[:-1])  # whole, but for its end
    with Corrections(tmp_path) as said:
        assert said.current == {"a.jpg": FIRST}
    assert (tmp_path / FILE_NAME).read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        *("", "[]", "{}", '{"step": "undo"}', '{"photograph": "a", "mark": "maybe", "boxes": []}', "\0\0"),
        '{"photograph": "a", "mark": "right", "boxes": [[1, 2, 3]]}',
        '{"photograph": "a", "mark": "right", "boxes": [[1, 2, 1, 4, "cat"]]}',
        '{"photograph": "a", "mark": "right", "boxes": [[1, 2, NaN, 4, "cat"]]}',
        '{"photograph": "a", "mark": "right", "boxes": [[1, 2, 3, 4, 5]]}',
        '{"photograph": 7, "mark": "right", "boxes": []}',
    ],
)
def test_what_is_no_correction_is_told_and_kept(line: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(f"{line}\n")
    with pytest.raises(UserError, match="expected a correction in line 1 of"):
        Corrections(tmp_path)
    assert (tmp_path / FILE_NAME).read_text() == f"{line}\n"


def test_what_cannot_be_kept_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Corrections(tmp_path) as said:
        said.add(FIRST)
        before = said.path.read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr("rfga.engine.reviewing.corrections.os.fsync", full)
            for act in (lambda: said.add(SECOND), said.undo):
                with pytest.raises(StorageError, match="make room, then do it again"):
                    act()
        assert (said.current, said.path.read_bytes()) == ({"a.jpg": FIRST}, before)
        said.add(SECOND)
    with Corrections(tmp_path) as said:
        assert said.current == {"a.jpg": FIRST, "b.jpg": SECOND}


def test_every_step_is_on_the_disk_before_it_is_said(tmp_path: Path) -> None:
    """A process that is killed between two steps loses none of those it was told of."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from rfga.engine.reviewing.corrections import Corrections, Step\n"
        "said = Corrections(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    said.add(Step(f'{number}.jpg', 'wrong'))\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(20):
            told = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        told = max([told, *(int(line) for line in process.stdout.read().split())])
    with Corrections(tmp_path) as said:
        assert told <= len(said.current) - 1 <= told + 1


def test_nothing_said_leaves_no_file(tmp_path: Path) -> None:
    with Corrections(tmp_path) as said:
        assert (said.undo(), said.redo()) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(UserError, match="expected to keep corrections in"):
        Corrections(tmp_path)


def test_lines_are_plain_json(tmp_path: Path) -> None:
    with Corrections(tmp_path) as said:
        said.add(THIRD)
        said.undo()
    lines = [json.loads(line) for line in (tmp_path / FILE_NAME).read_text("ascii").splitlines()]
    assert lines == [
        {"photograph": "a.jpg", "mark": "corrected", "boxes": [[0, 0, 5, 6, "Müller, Köln"]]},
        {"step": "undo"},
    ]
