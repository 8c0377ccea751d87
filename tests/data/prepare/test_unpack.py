from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from rfga.data.prepare import unpack as module
from rfga.data.prepare.unpack import Limits, unpack
from rfga.data.prepare.watch import Watch
from rfga.types import UserError
from tests.data.prepare import made_up

SILENT = Watch()


def test_files_go_where_they_are_sent(tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_bytes(gzip.compress(made_up.tar_bytes({"set/a.jpg": b"a", "set/b.txt": b"b"})))
    places = {"set/a.jpg": "images/a.jpg"}
    assert unpack(tmp_path / "x.tgz", tmp_path / "out", places.get, SILENT) == 1
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["images", "a.jpg"]


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    archive = made_up.zip_file(tmp_path / "x.zip", {"a.txt": b"12345", "b.txt": b"12345"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.txt").write_bytes(b"there")  # of the same size
    (out / "b.txt").write_bytes(b"half")
    assert unpack(archive, out, lambda name: name, SILENT) == 1
    assert (out / "a.txt").read_bytes() == b"there"
    assert (out / "b.txt").read_bytes() == b"12345"


def test_a_recipe_cannot_lead_outside_either(tmp_path: Path) -> None:
    archive = made_up.zip_file(tmp_path / "x.zip", {"a.txt": b"1"})
    with pytest.raises(UserError, match="climbs out"):
        unpack(archive, tmp_path / "out", lambda name: f"../{name}", SILENT)


def test_nothing_unpacked_runs_or_belongs_to_others(tmp_path: Path) -> None:
    info = made_up.member("program")
    info.mode, info.uid = 0o6777, 12345
    made_up.odd_tar(tmp_path / "x.tar", [info])
    unpack(tmp_path / "x.tar", tmp_path / "out", lambda name: name, SILENT)
    assert not (tmp_path / "out" / "program").stat().st_mode & 0o6111


@pytest.mark.parametrize("selected", [True, False])
def test_a_bomb_is_stopped(selected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMITS", Limits(files=100, growth=50, free_bytes=100_000))
    archive = made_up.zip_file(tmp_path / "x.zip", {f"{n}.txt": bytes(90_000) for n in range(3)})
    assert archive.stat().st_size < 2000
    with pytest.raises(UserError, match="expected at most 100 files and 100000 bytes"):
        unpack(archive, tmp_path / "out", lambda name: name if selected else None, SILENT)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.txt")) <= 100_000


def test_too_many_files_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMITS", Limits(files=5))
    archive = made_up.zip_file(tmp_path / "x.zip", {f"{n}.txt": b"" for n in range(6)})
    with pytest.raises(UserError, match="expected at most 5 files"):
        unpack(archive, tmp_path / "out", lambda name: name, SILENT)


def test_a_file_full_of_holes_counts_with_its_size(tmp_path: Path) -> None:
    info = made_up.member("holes", tarfile.GNUTYPE_SPARSE)
    info.size = 0
    buffer = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    buffer[483:495] = b"17777777777\0"  # the real size: 2 GiB - 1
    buffer[148:156] = b"        "
    buffer[148:156] = f"{sum(buffer[:512]):06o}\0 ".encode()
    (tmp_path / "x.tar").write_bytes(bytes(buffer) + bytes(1024))
    with pytest.raises(UserError, match="expected at most"):
        unpack(tmp_path / "x.tar", tmp_path / "out", lambda name: name, SILENT)


def test_the_limits_let_the_real_archives_pass() -> None:
    limits = module.LIMITS
    assert limits.files > 1_300_000
    assert limits.growth >= 10, "lists of text shrink to a tenth"
