from __future__ import annotations

import errno
import io
import random
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from rfga.cli import main
from rfga.engine.learning.resume import Checkpoint, read_checkpoint, take_up
from rfga.engine.run import checkpoint_file
from rfga.engine.run.checkpoint_file import drop_previous, is_whole, previous_of, write_checkpoint
from rfga.files import StorageError
from rfga.types import UserError
from tests.engine import tiny
from tests.engine.kills import require_same, training


def number_in(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["epoch"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def last(tmp_path: Path) -> Path:
    """The second of two small checkpoints."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    for epoch in (1, 2):
        write_checkpoint({"epoch": epoch, "weight": torch.rand(2, 3)}, path)
    return path


def test_the_one_before_stays_until_training_has_ended(last: Path) -> None:
    assert (number_in(previous_of(last)), number_in(last)) == (1, 2)
    write_checkpoint({"epoch": 3}, last)
    assert (number_in(previous_of(last)), number_in(last)) == (2, 3)
    drop_previous(last)
    assert names(last.parent) == ["last.ckpt"]


def test_a_damaged_one_never_takes_the_place_of_a_sound_one(last: Path) -> None:
    last.write_bytes(last.read_bytes()[:-1])
    drop_previous(last)
    assert number_in(previous_of(last)) == 1
    write_checkpoint({"epoch": 3}, last)
    assert (number_in(previous_of(last)), number_in(last)) == (1, 3)


def test_what_is_read_back_has_to_be_what_was_written(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tiny.snapshot(last.parent, ["last.ckpt"])
    save = torch.save

    def forgetful(value: Any, stream: BinaryIO) -> None:
        save(value, stream)
        stream.seek(stream.tell() // 2)
        stream.write(b"\xff\x00\xff")

    monkeypatch.setattr(torch, "save", forgetful)
    with pytest.raises(StorageError, match=r"last\.ckpt, .*\(what is read back is not what was"):
        write_checkpoint({"epoch": 3, "weight": torch.rand(20, 30)}, last)
    assert tiny.snapshot(last.parent) == before


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_a_full_disk_leaves_the_last_good_one(when: str, last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tiny.snapshot(last.parent, ["last.ckpt"])

    class Full(io.BytesIO):
        """A file on a full disk."""

        def __init__(self, stream: BinaryIO) -> None:
            super().__init__()
            self.stream, self.room = stream, 0 if when == "before" else 3000

        def write(self, content: Any) -> int:
            self.room -= len(content)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.stream.write(content)

        def flush(self) -> None:
            self.stream.flush()

    save = torch.save
    monkeypatch.setattr(torch, "save", lambda value, stream: save(value, Full(stream)))
    with pytest.raises(StorageError, match=r"last\.ckpt, .*\(No space left on device\): make room") as caught:
        write_checkpoint({"epoch": 3, "weight": torch.rand(2000, 3)}, last)
    assert str(last.parent) in str(caught.value)
    assert tiny.snapshot(last.parent) == before


def test_other_errors_of_saving_stay_what_they_are(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(value: Any, stream: BinaryIO) -> None:
        raise KeyboardInterrupt

    with pytest.raises((AttributeError, TypeError), match=r"pickle|local"):
        write_checkpoint({"epoch": lambda: 3}, last)
    monkeypatch.setattr(torch, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint({"epoch": 3}, last)
    assert number_in(last) == 2


def test_cut_short_at_any_length_it_is_refused_by_name(whole: Path, tmp_path: Path) -> None:
    content = (whole / "checkpoints" / "last.ckpt").read_bytes()
    path = tmp_path / "last.ckpt"
    moments = random.Random(5)
    lengths = [0, 1, 2, 4, 30, 64, *(moments.randrange(len(content)) for _ in range(20))]
    for length in [*lengths, *(len(content) - missing for missing in (1, 2, 21, 22, 23, 100, 4096))]:
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"last\.ckpt damaged: remove it to train from the start"):
            read_checkpoint(path)


def test_a_single_changed_bit_is_found(whole: Path, tmp_path: Path) -> None:
    content = (whole / "checkpoints" / "last.ckpt").read_bytes()
    path, read = tmp_path / "last.ckpt", 0
    for place in random.Random(6).sample(range(len(content) // 5, len(content) * 4 // 5), 20):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        torch.load(path, "cpu", weights_only=True)  # reads it without a word
        read += is_whole(path)
    assert read <= 1  # of what lies between the parts


def test_an_archive_that_stands_for_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    assert not is_whole(path)
    assert not is_whole(tmp_path)


def test_the_one_before_is_taken_where_the_newest_is_damaged_or_gone(last: Path, whole: Path) -> None:
    said: list[str] = []
    content = (whole / "checkpoints" / "last.ckpt").read_bytes()
    for broken in (b"", content[: len(content) // 3], None):
        previous_of(last).write_bytes(content)
        last.unlink(missing_ok=True)
        if broken is not None:
            last.write_bytes(broken)
        found = read_checkpoint(last)
        assert found == Checkpoint(previous_of(last), 3)
        assert take_up(found, last, said.append) == last
        assert last.read_bytes() == content
        assert names(last.parent) == ["last.ckpt"]
    assert said == [f"{last} is damaged: going on from the one before, of epoch 3"] * 2
    last.write_bytes(b"")
    previous_of(last).write_bytes(b"")
    with pytest.raises(UserError, match=r"last\.ckpt damaged"):
        read_checkpoint(last)


@pytest.mark.parametrize("length", [0, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_run_whose_newest_is_cut_short_ends_as_one_that_nothing_disturbed(
    length: int,
    few: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, written = tmp_path / "run", iter(range(1, 9))
    plain = checkpoint_file.write_checkpoint

    def stopping(checkpoint: dict[str, Any], path: Path) -> None:
        plain(checkpoint, path)
        if next(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rfga.engine.learning.callbacks.write_checkpoint", stopping)
        assert main([*training(few, run).arguments]) == 1
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:length])
    assert main([*training(few, run).arguments, "--resume"]) == 0
    assert f"{last} is damaged: going on from the one before, of epoch 1" in capsys.readouterr().out
    require_same(run, whole)
