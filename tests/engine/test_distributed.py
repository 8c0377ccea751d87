from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rfga.cli import main
from rfga.methods import BY_PASSES, METHODS
from rfga.output.export.formats import FORMATS
from rfga.types import UserError
from tests.conftest import REPOSITORY
from tests.engine import crew, tiny
from tests.engine.crew import together

HERE = ("--device", "cpu", "--workers", "0")
EVERYTHING = ("--format", ",".join(FORMATS), "--masks", "--maps", "--batch-size", "5")
PREDICTED = ("--labels", "predicted")  # one of the photographs lies in no class folder
LOST = (
    "\nrfga: error: expected all processes to go on, found that one ended or did not answer: see its own "
    "message, then go on with --resume where the command has it\n"
)

pytestmark = [
    pytest.mark.usefixtures("drawn"),  # by every process the same
    pytest.mark.skipif(crew.CONTEXT is None, reason="needs processes that start as copies"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def photographs(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve good ones and two that are none, in a number that batches of five do not divide."""
    folder = Path(shutil.copytree(birds / "val", tmp_path_factory.mktemp("some") / "val"))
    for name in ("a.jpg", "rubybib/z.png"):
        (folder / name).write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def localized(
    tiny_run: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What one process writes."""
    out = tmp_path_factory.mktemp("one") / "out"
    assert alone("localize", tiny_run, photographs, "--out", out, *EVERYTHING, *PREDICTED, *HERE) == 0
    return tiny.snapshot(out)


def alone(*arguments: object) -> int:
    """The exit status of one process."""
    return main([str(argument) for argument in arguments])


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_two_processes_localize_what_one_does_byte_for_byte(
    tiny_run: Path, photographs: Path, localized: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("localize", tiny_run, photographs, "--out", out, *EVERYTHING, *PREDICTED, *HERE)
    statuses, said = together(2, command, tmp_path)
    assert statuses == [0, 0]
    assert "14 photographs: 12 done, 0 skipped (done before), 2 failed" in said[0]
    assert said[1] == ""
    assert not differing(tiny.snapshot(out), localized)  # the journal and the summary among them


def test_process_that_dies_ends_all_and_any_number_goes_on(
    tiny_run: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--batch-size", "1", "--no-pictures", *PREDICTED, *HERE)
    command = ("localize", tiny_run, photographs, "--out", out, *options)
    statuses, said = together(2, command, tmp_path, crew.die_in_second)
    assert statuses == [1, -9]
    assert said[0].endswith(LOST)
    assert len(list(out.glob(".journal*"))) == 2
    assert not (out / "summary.json").exists()
    statuses, said = together(3, (*command, "--resume"), tmp_path)
    assert statuses == [0, 0, 0]
    found = re.search(r"14 photographs: (\d+) done, (\d+) skipped \(done before\), 2 failed", said[0])
    assert found is not None
    # The first process had done its share of seven, the other two photographs; one or two of these are none.
    assert (int(found[1]), int(found[2])) in ((4, 8), (5, 7), (3, 9))
    assert [path.name for path in out.glob(".journal*")] == [".journal.jsonl"]
    assert alone("localize", tiny_run, photographs, "--out", tmp_path / "one", *options) == 0
    assert (out / "coco.json").read_bytes() == (tmp_path / "one" / "coco.json").read_bytes()


@pytest.mark.parametrize("truth", ["val_boxes.json", pytest.param("val_masks", marks=pytest.mark.slow)])
def test_processes_evaluate_as_one_does(truth: str, birds: Path, tiny_run: Path, tmp_path: Path) -> None:
    runs = [tiny.copied(tiny_run, tmp_path / name) for name in ("one", "shared")]
    data = tiny.copied(birds, tmp_path / "data")
    next((data / "val").rglob("0002.png")).write_bytes(b"")  # one is left out, so that eleven remain
    files = [tmp_path / "one.json", tmp_path / "shared.json"]
    commands = [
        ("evaluate", run, data, "--truth", data / truth, "--json", file, "--batch-size", "2", *HERE)
        for run, file in zip(runs, files, strict=True)
    ]
    assert alone(*commands[0]) == 0
    statuses, said = together(2, commands[1], tmp_path)
    assert statuses == [0, 0]
    assert ("MaxBoxAccV2" in said[0]) is (truth == "val_boxes.json")
    assert "0002.png: " in said[0]
    assert said[1] == ""
    # Not to 1e-9 alone: metrics, intervals, thresholds, confidence and report are the same bytes.
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not differing(*(tiny.snapshot(run) for run in runs))


def trained(
    birds: Path, out: Path, *switches: str, prepare: crew.Prepare | None = None, **changes: Any
) -> list[str]:
    """What two processes print that train with four photographs in each."""
    flags = tiny.flags(**{"batch_size": 4, **changes})
    command = ("train", birds, "--out", out, "--truth", birds / "val_boxes.json", *flags, *switches)
    statuses, said = together(2, command, out.parent, prepare)
    assert (statuses == [0, 0]) is (prepare is None), said
    return said


def test_two_processes_train_on_the_same_steps_as_one(birds: Path, tmp_path: Path) -> None:
    # With a frozen backbone nothing depends on who shares a batch, so two processes with four photographs
    # each take the steps of one with eight.
    said = trained(birds, tmp_path / "two", "--freeze-backbone")
    sentence = "2 processes on 1 machine: 4 photographs in each make steps of 8; the learning rate is 0.01 as"
    assert sentence in said[0]
    assert said[0].count("epoch 1/2") == 1
    assert "MaxBoxAccV2" in said[0]
    assert said[1] == ""
    one = tiny.train(birds, tmp_path / "one", truth=birds / "val_boxes.json", freeze_backbone=True)
    expected, found = tiny.weights(one), tiny.weights(tmp_path / "two")
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-7)
    histories = [tiny.metrics(run)["history"] for run in (one, tmp_path / "two")]
    for ours, theirs in zip(*histories, strict=True):
        assert theirs["train_loss"] == pytest.approx(ours["train_loss"], rel=1e-6)
        assert theirs["val_top1"] == ours["val_top1"]
    assert {path.name for path in one.iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}


def test_an_error_is_told_once(birds: Path, tmp_path: Path) -> None:
    statuses, said = together(2, ("evaluate", tmp_path / "nothing", birds, *HERE), tmp_path)
    assert statuses == [1, 1]
    assert "".join(said).startswith("rfga: error: expected a run folder")
    assert "".join(said).count("\n") == 1


def test_process_that_does_not_come_is_not_waited_for_for_ever(
    birds: Path, tiny_run: Path, tmp_path: Path
) -> None:
    command = ("evaluate", tiny_run, birds, *HERE)
    statuses, said = together(2, command, tmp_path, crew.impatient, missing=1)
    assert statuses == [1]
    assert "expected 2 processes to meet at 127.0.0.1 port" in said[0]
    assert "see that all are started" in said[0]


def test_other_commands_are_refused(tmp_path: Path) -> None:
    statuses, said = together(2, ("demo", "--out", tmp_path / "demo"), tmp_path)
    assert statuses == [1, 0]
    assert said == [
        "rfga: error: expected one process for rfga demo, found 2: start it without torchrun, which is for "
        "train, evaluate, localize\n",
        "",
    ]
    assert not (tmp_path / "demo").exists()


@pytest.mark.slow
def test_killed_training_goes_on_with_as_many(birds: Path, tmp_path: Path) -> None:
    trained(birds, tmp_path / "whole")
    said = trained(birds, tmp_path / "run", prepare=crew.die_in_second_epoch)
    assert said[0].endswith(LOST)
    assert tiny.epochs(tmp_path / "run") == [1]
    with pytest.raises(UserError, match=r"expected the 2 processes that .* began with, found 1"):
        tiny.train(birds, tmp_path / "run", policy=tiny.RESUME, batch_size=4)
    trained(birds, tmp_path / "run", "--resume")
    assert not tiny.differing(tiny.weights(tmp_path / "run"), tiny.weights(tmp_path / "whole"))
    first, second = (tiny.metrics(tmp_path / name) for name in ("run", "whole"))
    assert first["evaluations"] == second["evaluations"]


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in METHODS if name not in BY_PASSES])
def test_every_method_trains_and_goes_on(method: str, birds: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"method": method, "schedule": "constant"}
    for epochs in (1, 2):
        trained(birds, tmp_path / str(epochs), epochs=epochs, **settings)
    held = torch.load(tmp_path / "2" / "checkpoints" / "last.ckpt", weights_only=True)
    assert not torch.equal(*held["generators"])  # the processes draw different random numbers
    config = tmp_path / "1" / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 1\n", "epochs: 2\n"))
    (tmp_path / "1" / "model.safetensors").unlink()
    trained(birds, tmp_path / "1", "--resume", epochs=2, **settings)
    assert not tiny.differing(tiny.weights(tmp_path / "1"), tiny.weights(tmp_path / "2"))


def started(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """``rfga`` as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", *launcher, "rfga", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


@pytest.mark.slow
def test_as_users_start_it(
    birds: Path, tiny_run: Path, photographs: Path, localized: dict[str, bytes], tmp_path: Path
) -> None:
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    truth = ("--truth", birds / "val_boxes.json")
    flags = tiny.flags(batch_size=4)
    ended = started("train", birds, "--out", tmp_path / "a", *flags, *truth, launcher=torchrun)
    assert ended.returncode == 0, ended.stderr
    ended = started("train", birds, "--out", tmp_path / "b", *flags, *truth, "--devices", "2")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not tiny.differing(tiny.weights(tmp_path / "a"), tiny.weights(tmp_path / "b"))
    out = tmp_path / "out"
    command = ("localize", tiny_run, photographs, "--out", out, *EVERYTHING, *PREDICTED, *HERE)
    ended = started(*command, launcher=torchrun)
    assert ended.returncode == 0, ended.stderr
    assert not differing(tiny.snapshot(out), localized)
    ended = started(*command, "--devices", "2")
    assert ended.returncode == 1
    assert ended.stderr.startswith("rfga: error: expected a new folder for the boxes")
    assert ended.stderr.count("\n") == 1
    ended = started(*command, "--devices", "3", launcher=torchrun)
    assert "expected 3 processes on each of 1 machines, as --devices and --nodes say" in ended.stderr
    ended = started(*command, "--nodes", "2")
    assert ended.returncode == 1
    assert "expected torchrun or srun to start the command on each of 2 machines" in ended.stderr
