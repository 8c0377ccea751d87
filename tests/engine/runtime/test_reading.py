from __future__ import annotations

import multiprocessing.connection
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rfga.cli import main
from rfga.data.base import Dataset
from rfga.data.unreadable import UnreadableError
from rfga.engine.learning import fitting
from rfga.engine.learning.resume import read_checkpoint
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.runtime.reading import reading_explained, reads_quietly
from rfga.methods.cam import CAM
from rfga.types import UserError
from tests.engine import tiny
from tests.engine.kills import require_same, training

STEPS_PER_EPOCH = 2  # 8 photographs, 4 at a time
VANISHED = (
    r"rfga: error: expected photographs that stay readable to the end, found (no file |that )?\S+{}: "
    r"bring it back, then start again, with --resume where there is one\n"
)
DIED = (
    "rfga: error: expected the processes that read photographs to stay alive, found that one was ended from "
    "outside, as systems do when memory runs out: go on with --resume where there is one, and with "
    "--workers 0 if it happens again\n"
)


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, happens: Callable[[], object]) -> None:
    """Let something happen in the training step number ``step``, counted from 1."""
    plain, steps = CAM.loss, iter(range(1, 1000))

    def loss(self: CAM, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        if next(steps) == step:
            happens()
        return plain(self, images, labels, generator)

    monkeypatch.setattr(CAM, "loss", loss)


def folder_goes(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


def photograph_goes(data: Path) -> None:
    max((data / "train").rglob("*.png")).unlink()


def photograph_breaks(data: Path) -> None:
    max((data / "train").rglob("*.png")).write_bytes(b"\x89PNG\r\n\x1a\n, and no more")


FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (folder_goes, r"\.png"),
    (photograph_goes, r"\.png"),
    (photograph_breaks, r"\.png is none or has a damaged beginning"),
]


def require_fault_told_and_gone_on(
    run: Path, workers: int, data: Path, bring_back: Callable[[], object], said: tuple[int, str, str]
) -> None:
    code, told, expected = said
    assert code == 1
    assert re.fullmatch(expected, told), told
    assert not (run / "model.safetensors").exists()
    found = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert found is not None
    assert found.epochs_done in ((1, 2) if workers else (1,))  # processes read ahead
    bring_back()
    assert main([*training(data, run, workers).arguments, "--quiet", "--resume"]) == 0


@pytest.mark.parametrize(
    ("fault", "workers"),
    [
        (2, 1),
        *(
            pytest.param(fault, workers, marks=pytest.mark.slow)
            for fault, workers in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
        ),
    ],
)
def test_photographs_that_vanish_or_break_in_mid_run(
    fault: int,
    workers: int,
    few: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, run = tiny.copied(few, tmp_path / "data"), tmp_path / "run"
    happens, found = FAULTS[fault]

    def bring_back() -> None:
        monkeypatch.undo()
        (tmp_path / "elsewhere").rename(data) if not data.exists() else None
        for path in few.rglob("*.png"):
            (data / path.relative_to(few)).write_bytes(path.read_bytes())

    at_step(monkeypatch, STEPS_PER_EPOCH + 1, lambda: happens(data))
    code = main([*training(data, run, workers).arguments, "--quiet"])
    said = (code, capsys.readouterr().err, VANISHED.format(found))
    require_fault_told_and_gone_on(run, workers, data, bring_back, said)
    require_same(run, whole)


def test_photographs_that_vanish_when_training_has_ended(
    few: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, run = tiny.copied(few, tmp_path / "data"), tmp_path / "run"
    plain = fitting.fit

    def fit(*arguments: Any) -> None:
        plain(*arguments)
        folder_goes(data)

    monkeypatch.setattr(fitting, "fit", fit)
    assert (
        main([*training(data, run).arguments, "--quiet"]) == 1
    )  # a threshold from fewer would be another one
    assert re.fullmatch(VANISHED.format(r"\.png"), capsys.readouterr().err)
    assert not (run / "model.safetensors").exists()
    (tmp_path / "elsewhere").rename(data)
    monkeypatch.undo()
    assert main([*training(data, run).arguments, "--quiet", "--resume"]) == 0
    require_same(run, whole)
    label_free = [tiny.metrics(folder)["label_free"] for folder in (run, whole)]
    assert label_free[0] == label_free[1]


def test_data_that_are_gone_when_a_run_goes_on(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = tiny.copied(few, tmp_path / "data"), tmp_path / "run"
    at_step(monkeypatch, STEPS_PER_EPOCH + 1, lambda: folder_goes(data))
    assert main([*training(data, run).arguments, "--quiet"]) == 1
    before = tiny.snapshot(run)
    capsys.readouterr()
    assert main([*training(data, run).arguments, "--quiet", "--resume"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("rfga: error: expected")
    assert said.count("\n") == 1
    assert str(data) in said
    assert tiny.snapshot(run) == before


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for a signal that it may not have")
def test_process_of_readers_that_is_killed(
    few: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"

    def kill() -> None:
        for process in multiprocessing.active_children():
            if process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)

    at_step(monkeypatch, STEPS_PER_EPOCH + 1, kill)
    assert main([*training(few, run, workers=2).arguments, "--quiet"]) == 1
    monkeypatch.undo()
    assert capsys.readouterr().err == DIED
    found = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert found is not None
    assert found.epochs_done in (1, 2)  # the system tells of a death when it likes
    assert main([*training(few, run).arguments, "--quiet", "--resume"]) == 0
    require_same(run, whole)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_photographs_that_vanish_while_they_are_evaluated(
    workers: int,
    birds: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, run = tiny.copied(birds, tmp_path / "data"), tiny.copied(tiny_run, tmp_path / "run")
    before, plain = tiny.snapshot(run), Localizer.score

    def score(self: Localizer, *arguments: Any) -> Any:
        if data.exists():
            folder_goes(data)
        return plain(self, *arguments)

    monkeypatch.setattr(Localizer, "score", score)
    told = ["--truth", str(data / "test_boxes.json"), "--split", "test", "--json", str(tmp_path / "n.json")]
    command = [
        "evaluate",
        str(run),
        str(data),
        *told,
        "--workers",
        str(workers),
        "--batch-size",
        "3",
        "--quiet",
    ]
    assert main([*command, "--device", "cpu"]) == 1
    assert re.fullmatch(VANISHED.format(r"\.png"), capsys.readouterr().err)
    assert tiny.snapshot(run) == before
    assert not (tmp_path / "n.json").exists()


class Lost(torch.utils.data.Dataset[Any]):
    """Its only item cannot be read."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        raise self.reason


@pytest.mark.parametrize("workers", [0, 1])
def test_error_of_a_process_is_one_sentence(workers: int) -> None:
    cases: list[tuple[Exception, str]] = [
        (UserError("expected a, found b: do c"), "expected a, found b: do c"),
        (
            UnreadableError("expected an image, found no file a: b.png: check its name"),
            "expected photographs that stay readable to the end, found no file a: b.png: bring it back, "
            "then start again, with --resume where there is one",
        ),
    ]
    for reason, sentence in cases:
        with pytest.raises(UserError) as caught, reading_explained():
            list(DataLoader(Lost(reason), num_workers=workers))
        assert str(caught.value) == sentence
    with pytest.raises(ZeroDivisionError), reading_explained():
        list(DataLoader(Lost(ZeroDivisionError("x")), num_workers=workers))


def test_other_errors_pass() -> None:
    for error in (UserError("expected a, found b: c"), RuntimeError("out of memory"), OSError("x")):
        with pytest.raises(type(error)) as caught, reading_explained():
            raise error
        assert caught.value is error


def test_confidence_is_not_fitted_to_what_is_left(birds: Path, tiny_run: Path, tmp_path: Path) -> None:
    from rfga.data import open_dataset
    from rfga.engine.localizing.confidence_fit import examples, known_samples

    data = tiny.copied(birds, tmp_path / "data")
    dataset: Dataset = open_dataset(str(data), data / "val_boxes.json")
    known = list(known_samples(dataset, "val", 100))
    localizer = Localizer.load(tiny_run, device="cpu")
    known[0][0].path.write_bytes(b"")  # a bad one is passed over
    assert len(known) == 12
    assert known[0][0].image_id not in examples(localizer, dataset, known[:4]).image_ids
    folder_goes(data)
    with pytest.raises(UserError, match="found no file"):
        examples(localizer, dataset, known[4:8])


class Zeros(TorchDataset[Tensor]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Tensor:
        return torch.zeros(100)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere batches are handed over through files")
def test_reader_is_silent_where_ctrl_c_comes_while_a_batch_is_handed_over(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plain, batches = multiprocessing.connection.answer_challenge, iter(range(1, 100))

    def stopped(*arguments: Any) -> None:
        if next(batches) == 3:
            raise KeyboardInterrupt
        plain(*arguments)

    monkeypatch.setattr(multiprocessing.connection, "answer_challenge", stopped)
    with pytest.raises(KeyboardInterrupt):
        list(DataLoader(Zeros(), num_workers=2, worker_init_fn=reads_quietly))
    assert capfd.readouterr().err == ""
