from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rfga.cli import main
from rfga.engine.learning.resume import read_checkpoint
from rfga.engine.run.folder import RunFolder
from rfga.methods.cam import CAM
from rfga.types import UserError
from tests.conftest import REPOSITORY
from tests.engine import tiny
from tests.thin import some

STEPS_PER_EPOCH = 3  # 24 photographs, 8 at a time


class StopError(Exception):
    """Breaks a training off in the test's own process."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the training step number ``step``, counted from 1, break off."""
    plain, steps = CAM.loss, iter(range(1, 1000))

    def loss(self: CAM, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        if next(steps) == step:
            raise StopError
        return plain(self, images, labels, generator)

    monkeypatch.setattr(CAM, "loss", loss)


def stopped_run(birds: Path, out: Path, step: int, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Path:
    """A run of which nothing is left after ``step``."""
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(StopError):
            tiny.train(birds, out, truth=birds / "val_boxes.json", **changes)
    return out


def run_signalled(step: int, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``rfga`` in a process group of its own, which gets a signal at a training step."""
    command = [sys.executable, "-m", "tests.engine.kill_at", str(step), name, *arguments]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=1800,
        check=False,
    )


def require_same_end(run: Path, whole: Path) -> None:
    assert not tiny.differing(tiny.weights(run), tiny.weights(whole))
    histories = [
        [{**entry, "seconds": 0} for entry in tiny.metrics(folder)["history"]] for folder in (run, whole)
    ]
    assert histories[0] == histories[1]
    assert tiny.metrics(run)["evaluations"] == tiny.metrics(whole)["evaluations"]
    names = {path.name for path in run.iterdir()}
    assert names == {path.name for path in whole.iterdir()}


@pytest.mark.parametrize("step", some([2, STEPS_PER_EPOCH + 2]))
def test_broken_off_run_ends_as_one_that_never_stopped(
    step: int, birds: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_run(birds, tmp_path / "run", step, monkeypatch)
    assert not RunFolder(run).is_finished
    assert tiny.epochs(run) == [1] if step > STEPS_PER_EPOCH else not (run / "metrics.json").exists()
    tiny.train(birds, run, policy=tiny.RESUME)  # boxes of val are taken from the stopped run
    require_same_end(run, tiny_run)


@pytest.mark.slow
def test_what_adamw_remembers_is_taken_up_again(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.train(birds, tmp_path / "whole", truth=birds / "val_boxes.json", optimizer="adamw")
    run = stopped_run(birds, tmp_path / "run", STEPS_PER_EPOCH + 2, monkeypatch, optimizer="adamw")
    tiny.train(birds, run, policy=tiny.RESUME)
    require_same_end(run, whole)


@pytest.mark.slow
def test_randomness_of_a_method_is_taken_up_again(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = CAM.loss

    def noisy(self: CAM, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        own = torch.rand(images.shape[0], 1, 1, 1, generator=generator)
        return plain(self, torch.nn.functional.dropout(images, 0.2) * (0.5 + own), labels, generator)

    monkeypatch.setattr(CAM, "loss", noisy)
    whole = tiny.train(birds, tmp_path / "whole", truth=birds / "val_boxes.json")
    run = stopped_run(birds, tmp_path / "run", STEPS_PER_EPOCH + 1, monkeypatch)
    tiny.train(birds, run, policy=tiny.RESUME)
    require_same_end(run, whole)


@pytest.mark.slow  # killed in a copy of the test's own process it is quick: test_random_kills.py
def test_process_killed_in_mid_epoch_goes_on(birds: Path, tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    truth = ("--truth", str(birds / "val_boxes.json"))
    command = ("train", str(birds), "--out", str(run), *tiny.flags(), *truth)
    killed = run_signalled(STEPS_PER_EPOCH + 2, "SIGKILL", *command)
    assert killed.returncode == -signal.SIGKILL
    assert tiny.epochs(run) == [1]
    assert main([*command, "--resume", "--quiet"]) == 0
    require_same_end(run, tiny_run)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
@pytest.mark.parametrize("step", [1, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1])
def test_any_stop_at_any_step(
    name: str, workers: int, step: int, birds: Path, tiny_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    truth = ("--truth", str(birds / "val_boxes.json"), "--workers", str(workers))
    command = ("train", str(birds), "--out", str(run), *tiny.flags(), *truth)
    stopped = run_signalled(step, name, *command)
    if name == "SIGINT":
        assert stopped.returncode == 1
        assert stopped.stderr == "rfga: error: stopped by the keyboard before the end: go on with --resume\n"
        assert "Traceback" not in stopped.stdout
    resumed = run_signalled(-1, "SIGINT", *command, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    require_same_end(run, tiny_run)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        pytest.param(
            signal.SIGINT,
            "stopped by the keyboard before the end: go on with --resume",
            marks=pytest.mark.slow,
        ),
        (
            signal.SIGTERM,
            "expected training to end, found it stopped by the system (SIGTERM): go on with --resume",
        ),
    ],
)
def test_stop_is_told_in_one_sentence(
    number: signal.Signals,
    sentence: str,
    birds: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, handler = tmp_path / "run", signal.getsignal(number)
    plain, steps = CAM.loss, iter(range(1, 1000))

    def loss(self: CAM, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        if next(steps) == STEPS_PER_EPOCH + 1:
            signal.raise_signal(number)
        return plain(self, images, labels, generator)

    command = ["train", str(birds), "--out", str(run), *tiny.flags()]
    monkeypatch.setattr(CAM, "loss", loss)
    assert main(command) == 1
    said = capsys.readouterr()
    assert said.err == f"rfga: error: {sentence}\n"
    assert "epoch 1/2" in said.out
    assert signal.getsignal(number) is handler
    monkeypatch.undo()
    assert main([*command, "--resume", "--truth", str(birds / "val_boxes.json")]) == 0
    assert not tiny.differing(tiny.weights(run), tiny.weights(tiny_run))


def test_complete_run_is_left_as_it_is(
    birds: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    before = tiny.snapshot(run)
    assert main(["train", str(birds), "--out", str(run), *tiny.flags(), "--resume"]) == 0
    said = capsys.readouterr().out
    assert f"the run in {run} is complete: nothing to train" in said
    assert "MaxBoxAccV2" in said
    assert "epoch" not in said
    assert tiny.snapshot(run) == before


def test_stop_after_the_last_epoch_and_what_a_kill_left_half_written(
    birds: Path, tiny_run: Path, tmp_path: Path
) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    (run / "model.safetensors").unlink()
    for folder in (run, run / "checkpoints"):
        (folder / f".{'0a' * 16}.tmp").write_bytes(b"half")
    tiny.train(birds, run, policy=tiny.RESUME)
    require_same_end(run, tiny_run)
    assert not list(run.rglob("*.tmp"))


def test_stop_before_the_evaluation(birds: Path, tiny_run: Path, tmp_path: Path) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    RunFolder(run).update_metrics(evaluations={})
    (run / "report.html").unlink()
    tiny.train(birds, run, policy=tiny.RESUME)
    require_same_end(run, tiny_run)


def test_other_settings_are_refused_by_name(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_run(birds, tmp_path / "run", STEPS_PER_EPOCH + 1, monkeypatch)
    before = tiny.snapshot(run)
    with pytest.raises(
        UserError, match=re.escape("epochs 4 instead of 2, lr 0.5 instead of 0.01: leave them out")
    ):
        tiny.train(birds, run, policy=tiny.RESUME, epochs=4, lr=0.5)
    with pytest.raises(UserError, match="method rfga instead of cam"):
        tiny.train(birds, run, policy=tiny.RESUME, method="rfga", options={"kernel_size": "5"})
    assert tiny.snapshot(run) == before


def test_other_options_are_refused_by_name(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.train(birds, tmp_path / "run", method="rfga", options={"kernel_size": "5"}, epochs=1)
    with pytest.raises(UserError, match="option kernel_size 7 instead of 5"):
        tiny.train(birds, run, policy=tiny.RESUME, method="rfga", options={"kernel_size": "7"}, epochs=1)
    tiny.train(birds, run, policy=tiny.RESUME, method="rfga", options={"kernel_size": 5}, epochs=1)


def test_other_data_are_refused(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny.copied(birds, tmp_path / "data")
    run = stopped_run(data, tmp_path / "run", STEPS_PER_EPOCH + 1, monkeypatch)
    lost = next((data / "train").rglob("*.png"))
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(UserError, match=r"the 24 train photographs that .* began with, found 23"):
        tiny.train(data, run, policy=tiny.RESUME)
    lost.write_bytes(content)
    for split in ("train", "val", "test"):
        (data / split / lost.parent.name).rename(data / split / "another")
    with pytest.raises(UserError, match=r"classes that .* began with"):
        tiny.train(data, run, policy=tiny.RESUME)


@pytest.mark.parametrize("content", [b"PK\x03\x04 half of one", b"", b"not a checkpoint"])
def test_damaged_checkpoint_is_told_with_the_remedy(
    content: bytes, birds: Path, tiny_run: Path, tmp_path: Path
) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    RunFolder(run).reopen()
    (run / "checkpoints" / "last.ckpt").write_bytes(content)
    with pytest.raises(
        UserError, match=r"last\.ckpt damaged: remove it to train from the start with --resume"
    ):
        tiny.train(birds, run, policy=tiny.RESUME)


def test_checkpoint_of_another_network_is_told(birds: Path, tiny_run: Path, tmp_path: Path) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    RunFolder(run).reopen()
    path = run / "checkpoints" / "last.ckpt"
    held = torch.load(path, weights_only=True)
    held["state_dict"]["method.strange.weight"] = torch.zeros(1)
    torch.save(held, path)
    with pytest.raises(UserError, match=r"of the run's own method, cam, found .* method\.strange\.weight\)"):
        tiny.train(birds, run, policy=tiny.RESUME)


@pytest.mark.slow
def test_without_its_checkpoint_a_run_is_trained_from_the_start(
    birds: Path, tiny_run: Path, tmp_path: Path
) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    RunFolder(run).reopen()
    (run / "checkpoints" / "last.ckpt").unlink()
    tiny.train(birds, run, policy=tiny.RESUME)
    require_same_end(run, tiny_run)


def test_checkpoint_cut_short_or_of_something_else(tiny_run: Path, tmp_path: Path) -> None:
    content = (tiny_run / "checkpoints" / "last.ckpt").read_bytes()
    path = tmp_path / "last.ckpt"
    assert read_checkpoint(path) is None
    path.write_bytes(content)
    checkpoint = read_checkpoint(path)
    assert checkpoint is not None
    assert (checkpoint.path, checkpoint.epochs_done) == (path, 2)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged"):
        read_checkpoint(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(UserError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.slow
def test_starting_weights_need_not_be_there_any_more(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rfga.backbones.build import build_backbone

    file = tmp_path / "w.pth"
    torch.save(build_backbone("test_resnet", output_stride=8).network.state_dict(), file)
    truth = birds / "val_boxes.json"
    whole = tiny.train(birds, tmp_path / "whole", weights=str(file), truth=truth)
    early = stopped_run(birds, tmp_path / "early", 2, monkeypatch, weights=str(file))
    late = stopped_run(birds, tmp_path / "late", STEPS_PER_EPOCH + 2, monkeypatch, weights=str(file))
    tiny.train(birds, early, policy=tiny.RESUME, weights=str(file))
    file.unlink()
    tiny.train(birds, late, policy=tiny.RESUME, weights=str(file))
    require_same_end(early, whole)
    require_same_end(late, whole)
