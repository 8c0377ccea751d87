"""Real processes, killed at random moments and at chosen ones: nothing is lost, and nothing is half there."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from rfga.cli import main
from rfga.engine.learning.resume import read_checkpoint
from tests.engine import tiny
from tests.engine.kills import FORKING, KILLED, Killable, leftovers, require_same, training

forking = pytest.mark.skipif(not FORKING, reason="needs processes that start as copies, and no GPU")
quiet_forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def require_nothing_half(run: Path) -> None:
    """Whatever is there under its own name can be read, and there is a checkpoint once an epoch is over."""
    for path in run.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in run.rglob("*.safetensors"):
        assert load_file(path)
    found = read_checkpoint(run / "checkpoints" / "last.ckpt")
    # The history of an epoch is written before its checkpoint.
    done = len(tiny.epochs(run)) if (run / "metrics.json").is_file() else 0
    assert (found.epochs_done if found else 0) in (done, done - 1)


@forking
@quiet_forks
def test_killed_at_any_moment_a_training_ends_as_one_that_never_stopped(
    few: Path, whole: Path, tmp_path: Path
) -> None:
    moments = random.Random()
    command = training(few, tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    first = command.killed_in_writing(checkpoints, moments.uniform(0, 0.003))
    require_nothing_half(tmp_path / "run")
    second = command.run("--resume", at_change=(change := moments.randrange(1, 40)))
    require_nothing_half(tmp_path / "run")
    third = command.killed_after(moment := moments.uniform(0, 0.5), "--resume")
    print(f"in writing: {first}; before change {change}: {second}; after {moment:.3f} s: {third}")
    require_nothing_half(tmp_path / "run")
    assert main([*command.arguments, "--resume", "--quiet"]) == 0
    require_same(tmp_path / "run", whole)


@pytest.mark.slow
@forking
@quiet_forks
def test_training_killed_before_every_change_of_a_file(few: Path, whole: Path, tmp_path: Path) -> None:
    last = training(few, tmp_path / "counted").run().changes
    assert last > 20
    for change in range(1, last + 1):
        command = training(few, tmp_path / str(change))
        assert command.run(at_change=change).code == KILLED
        require_nothing_half(command.folder)
        assert command.run("--resume").code == 0
        require_same(command.folder, whole)
        shutil.rmtree(command.folder)
    print(f"killed before each of {last} changes")


@pytest.mark.slow
@forking
@quiet_forks
@pytest.mark.parametrize("workers", [0, 1])
def test_training_killed_at_random_moments(workers: int, few: Path, whole: Path, tmp_path: Path) -> None:
    moments, runs, kills, in_writing = random.Random(7), 0, 0, 0
    seconds = training(few, tmp_path / "timed", workers=workers).run().seconds
    while kills < 30:
        runs += 1
        command = training(few, tmp_path / f"run{runs}", workers=workers)
        flags: list[str] = []
        for number in range(5):
            if (kills + number) % 3:
                ended = command.killed_after(moments.uniform(0, seconds), *flags)
            else:
                ended = command.killed_in_writing(
                    command.folder / "checkpoints", moments.uniform(0, 0.01), *flags
                )
            flags = ["--resume"]
            kills += ended.code == KILLED
            in_writing += bool(leftovers(command.folder))
            if ended.code == 0:
                break
            require_nothing_half(command.folder)
        assert command.run("--resume").code == 0
        require_same(command.folder, whole)
    print(f"{kills} kills of {runs} runs, {in_writing} while something was written")


@pytest.mark.slow
def test_commands_of_their_own_killed_at_random_moments(few: Path, whole: Path, tmp_path: Path) -> None:
    moments, kills, run = random.Random(11), 0, tmp_path / "run"
    command = [sys.executable, "-m", "rfga", *training(few, run).arguments, "--quiet", "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    while kills < 6:
        process = subprocess.Popen(command, env=environment)
        before = changed(run)
        while changed(run) == before and process.poll() is None:
            time.sleep(0.0005)
        time.sleep(moments.uniform(0, 0.7))
        process.kill()
        kills += (code := process.wait()) != 0
        require_nothing_half(run)
        if code == 0:  # it was faster
            require_same(run, whole)
            shutil.rmtree(run)
    assert subprocess.run(command, env=environment, check=True).returncode == 0
    require_same(run, whole)


def changed(run: Path) -> float:
    """When the run was last begun or taken up, in seconds."""
    return path.stat().st_mtime if (path := run / "config.yaml").exists() else 0.0


def plain(value: Any) -> Any:
    """Metrics without the seconds they took."""
    if isinstance(value, dict):
        return {name: plain(held) for name, held in value.items() if name != "seconds"}
    return [plain(held) for held in value] if isinstance(value, list) else value


@pytest.mark.slow
@forking
@quiet_forks
def test_evaluation_killed_at_random_moments(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    def command(name: str) -> Killable:
        folder = tmp_path / name
        run = tiny.copied(tiny_run, folder / "run")
        told = (
            "--truth",
            str(birds / "test_boxes.json"),
            "--split",
            "test",
            "--json",
            str(folder / "n.json"),
        )
        flags = ("--device", "cpu", "--workers", "0", "--quiet")
        return Killable(("evaluate", str(run), str(birds), *told, *flags), folder)

    undisturbed = command("whole")
    ended = undisturbed.run()
    numbers = (undisturbed.folder / "n.json").read_bytes()
    metrics = plain(tiny.metrics(undisturbed.folder / "run"))
    moments, kills = random.Random(13), 0
    for change in range(1, ended.changes + 1):
        disturbed = command(f"before{change}")
        assert disturbed.run(at_change=change).code == KILLED
        kills += again(disturbed, numbers, metrics, tiny_run)
    for number in range(6):
        disturbed = command(f"after{number}")
        disturbed.killed_after(moments.uniform(0, ended.seconds))
        kills += again(disturbed, numbers, metrics, tiny_run)
    print(f"{kills} kills, {ended.changes} of them before a change of a file")


def again(disturbed: Killable, numbers: bytes, metrics: Any, tiny_run: Path) -> bool:
    """Look at what a kill left, and run the command once more."""
    run, file = disturbed.folder / "run", disturbed.folder / "n.json"
    assert not file.exists() or file.read_bytes() == numbers
    assert plain(tiny.metrics(run)) in [plain(tiny.metrics(tiny_run)), metrics]
    assert disturbed.run().code == 0
    assert (file.read_bytes(), plain(tiny.metrics(run))) == (numbers, metrics)
    assert (run / "model.safetensors").read_bytes() == (tiny_run / "model.safetensors").read_bytes()
    shutil.rmtree(disturbed.folder)
    return True


@pytest.mark.slow
@forking
@quiet_forks
@pytest.mark.parametrize("name", ["localize", "build"])
def test_boxes_killed_at_random_moments(name: str, tiny_run: Path, few: Path, tmp_path: Path) -> None:
    def command(out: Path) -> Killable:
        if name == "build":
            flags = tiny.flags(epochs=2, batch_size=4)
            return Killable(("build", str(few), "--out", str(out), *flags, "--masks"), out)
        flags = ["--device", "cpu", "--workers", "0", "--masks", "--maps", "--batch-size", "2"]
        formats = ["--format", "coco,csv,yolo,voc,labelstudio"]
        return Killable(("localize", str(tiny_run), str(few), "--out", str(out), *flags, *formats), out)

    going_on = [] if name == "build" else ["--resume"]
    whole = command(tmp_path / "whole")
    ended = whole.run()
    assert ended.code == 0
    expected = boxes(whole.folder)
    moments, kills, runs = random.Random(17), 0, 0
    while kills < 20:
        runs += 1
        disturbed = command(tmp_path / str(runs))
        for number in range(4):
            flags = going_on if number else []
            if number % 2:
                code = disturbed.killed_after(moments.uniform(0, ended.seconds), *flags).code
            else:
                code = disturbed.run(*flags, at_change=moments.randrange(1, ended.changes + 1)).code
            kills += code == KILLED
            require_same_or_absent(disturbed.folder, expected)
        assert disturbed.run(*going_on).code == 0
        assert boxes(disturbed.folder) == expected
        assert not leftovers(disturbed.folder)
    print(f"{kills} kills of {runs} runs of {name}; an undisturbed one makes {ended.changes} changes")


def boxes(out: Path) -> dict[str, bytes]:
    """All files but those that tell of what was done before, or of the time."""
    told = (
        "summary.json",
        "build.json",
        "metrics.json",
        "report.html",
        "last.ckpt",
        "check.html",
        "check.json",
    )
    return {name: held for name, held in tiny.snapshot(out).items() if not name.endswith(told)}


def require_same_or_absent(out: Path, expected: dict[str, bytes]) -> None:
    """What is there after a kill is as it is to be; the journal is the beginning of the whole one."""
    for name, held in boxes(out).items() if out.exists() else ():
        if name.endswith((".tmp", "previous.ckpt")) or ".tmp/" in name:
            continue
        if name.endswith(".jsonl"):
            assert expected[name].startswith(held)
        else:
            assert held == expected[name], name
