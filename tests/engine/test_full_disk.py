"""Training and localizing on a disk that is full, which is a real one where the system lets us make it."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from rfga.cli import main
from rfga.engine.learning.resume import read_checkpoint
from rfga.engine.run import weights_file
from tests.engine import tiny
from tests.engine.kills import require_same, training

FULL = (
    r"rfga: error: expected to write {}, found that it cannot be written \(No space left on device\): "
    r"make room on that disk or mend it, then start again, with --resume where there is one\n"
)
CHECKPOINT = 3_100_000  # bytes of one, about
WEIGHTS = 1_510_000


class SmallDisk:
    """A file system in memory with room for so many bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size_bytes: int, *, new: bool = False) -> bool:
        options = f"size={size_bytes}" if new else f"remount,size={size_bytes}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("needs a system with tmpfs")
    (tmp_path / "disk").mkdir()
    small = SmallDisk(tmp_path / "disk")
    if not small.resize(2**24, new=True):
        pytest.skip("this account may not mount a small file system")
    yield small
    subprocess.run(["umount", "--lazy", str(small.folder)], check=True)


def test_checkpoint_that_does_not_fit(
    disk: SmallDisk, few: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = disk.folder / "run"
    last = run / "checkpoints" / "last.ckpt"
    command = [*training(few, run).arguments, "--quiet"]
    assert disk.resize(CHECKPOINT * 3 // 2)
    assert main(command) == 1
    assert re.fullmatch(FULL.format(re.escape(str(last))), capsys.readouterr().err)
    found = read_checkpoint(last)
    assert found is not None
    assert (found.path, found.epochs_done) == (last, 1)
    assert disk.resize(2 * CHECKPOINT + WEIGHTS)  # never more than two checkpoints at a time
    assert main([*command, "--resume"]) == 0
    require_same(run, whole)


@pytest.mark.slow
def test_weights_that_do_not_fit(
    disk: SmallDisk, few: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny.copied(whole, disk.folder / "run")
    (run / "model.safetensors").unlink()
    command = [*training(few, run).arguments, "--quiet", "--resume"]
    assert disk.resize(CHECKPOINT + WEIGHTS // 2)
    assert main(command) == 1
    assert re.fullmatch(FULL.format(re.escape(str(run / "model.safetensors"))), capsys.readouterr().err)
    assert not (run / "model.safetensors").exists()
    assert disk.resize(2 * CHECKPOINT)
    assert main(command) == 0
    require_same(run, whole)


def test_boxes_that_do_not_fit(
    disk: SmallDisk, birds: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(out: Path, *flags: str) -> list[str]:
        written = ["--masks", "--maps", "--format", "coco,csv,yolo", "--batch-size", "4", *flags]
        return ["localize", str(tiny_run), str(birds / "val"), "--out", str(out), *written, "--quiet"]

    def held(out: Path) -> dict[str, bytes]:
        return {name: content for name, content in tiny.snapshot(out).items() if name != "summary.json"}

    assert main(command(tmp_path / "whole")) == 0
    out = disk.folder / "out"
    assert disk.resize(2_000_000)
    capsys.readouterr()
    assert main(command(out)) == 1
    assert re.fullmatch(FULL.format(re.escape(str(out)) + r"/\S+"), capsys.readouterr().err)
    assert not (out / "summary.json").exists()
    assert disk.resize(2**24)
    assert main(command(out, "--resume")) == 0
    assert held(out) == held(tmp_path / "whole")


@pytest.mark.parametrize("where", ["checkpoint", pytest.param("weights", marks=pytest.mark.slow)])
def test_a_disk_that_is_said_to_be_full(
    where: str,
    few: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, calls, save = tmp_path / "run", iter(range(1, 9)), torch.save

    def full(value: Any, target: Any) -> None:
        if where == "weights":
            target.write_bytes(b"half")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        save(value, target)
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((torch, "save") if where == "checkpoint" else (weights_file, "save_file")), full)
        assert main([*training(few, run).arguments, "--quiet"]) == 1
    name = {"checkpoint": "checkpoints/last.ckpt", "weights": "model.safetensors"}[where]
    assert re.fullmatch(FULL.format(re.escape(str(run / name))), capsys.readouterr().err)
    found = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert found is not None
    assert found.epochs_done == {"checkpoint": 1, "weights": 3}[where]
    assert not (run / "model.safetensors").exists()
    assert main([*training(few, run).arguments, "--quiet", "--resume"]) == 0
    require_same(run, whole)
