"""Loggers beside a training: what they get, that they change nothing, and how they go on with it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.base import known_truth
from rfga.engine.building.train import TrainCommand, train_and_report
from rfga.engine.learning.epoch_log import chance_kept, read_record
from rfga.engine.learning.example_maps import example_picture, example_samples
from rfga.engine.learning.loggers import LOGGERS, EpochLogger, LogPlace
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import RunPolicy
from rfga.engine.run.folder import RunFolder
from rfga.types import ByteArray, UserError
from tests.engine import tiny
from tests.engine.learning.test_loggers import events, read_csv
from tests.engine.learning.test_resume import StopError, stop_at
from tests.engine.toy import ToyDataset


@pytest.fixture(scope="module")
def logged(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``tiny_run``, with two loggers."""
    out = tmp_path_factory.mktemp("logged") / "run"
    truth = ["--truth", str(birds / "val_boxes.json")]
    loggers = ["--logger", "csv,tensorboard", "--quiet"]
    assert main(["train", str(birds), "--out", str(out), *tiny.flags(), *truth, *loggers]) == 0
    return out


def train(data: Path, out: Path, *loggers: str, policy: RunPolicy | None = None, **changes: Any) -> Path:
    truth = data / "val_boxes.json"
    command = TrainCommand(
        data=str(data),
        out=out,
        settings={**tiny.SETTINGS, **changes},
        truth=truth if truth.is_file() else None,
        policy=policy or RunPolicy(),
        loggers=loggers,
    )
    train_and_report(command, tiny.QUIET)
    return out


@pytest.mark.slow
def test_loggers_change_no_weight_and_no_number(logged: Path, tiny_run: Path) -> None:
    assert not tiny.differing(tiny.weights(logged), tiny.weights(tiny_run))
    with_loggers, without = tiny.metrics(logged), tiny.metrics(tiny_run)
    for held in (with_loggers, without):
        held["history"] = [{**entry, "seconds": 0} for entry in held["history"]]
    assert with_loggers == without
    assert {path.name for path in logged.iterdir()} == {*(p.name for p in tiny_run.iterdir()), "logs"}


def test_rows_say_what_the_run_measured(logged: Path) -> None:
    rows, measured = read_csv(logged), tiny.metrics(logged)
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    for row, entry in zip(rows, measured["history"], strict=True):
        assert float(row["train/loss"]) == entry["train_loss"]
        assert float(row["val/Top1Cls"]) == entry["val_top1"]
        assert float(row["train/rate_fast"]) == pytest.approx(10 * float(row["train/rate"]))
        assert float(row["train/photographs_per_second"]) > 24 / entry["seconds"]
    assert tiny.SETTINGS["lr"] > float(rows[0]["train/rate"]) > float(rows[1]["train/rate"]) > 0
    last = {name[4:]: float(value) for name, value in rows[-1].items() if name.startswith("val/")}
    evaluated = measured["evaluations"]["val"]["metrics"]
    assert last == pytest.approx({name: entries[0]["value"] for name, entries in evaluated.items()})


def test_every_logger_gets_the_same(logged: Path) -> None:
    found = events(logged)
    for row in read_csv(logged):
        epoch = int(row.pop("epoch"))
        for name, value in row.items():
            (scalar,) = [one for one in found.Scalars(name) if one.step == epoch]
            assert scalar.value == pytest.approx(float(value))
        (image,) = [one for one in found.Images("maps") if one.step == epoch]
        with Image.open(logged / "logs" / "maps" / f"epoch_{epoch:02d}.png") as picture:
            assert (image.width, image.height) == picture.size == (4 * 64, 2 * 64)


def test_pictures_show_the_maps_of_the_epoch(logged: Path, birds: Path) -> None:
    first, last = (np.asarray(Image.open(logged / "logs" / "maps" / f"epoch_0{n}.png")) for n in (1, 2))
    assert (first != last).any()
    dataset = open_dataset(birds, birds / "val_boxes.json")
    localizer = Localizer.load(logged, device="cpu").with_threshold(0.3, "fixed")
    samples = example_samples(dataset.samples("val"))
    assert [sample.label for sample in samples] == list(range(6))
    np.testing.assert_array_equal(example_picture(localizer, dataset, samples), last)


@pytest.mark.slow
def test_a_run_that_goes_on_has_every_epoch_once(
    birds: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 5)  # in the second of two epochs
        with pytest.raises(StopError):
            train(birds, tmp_path / "run", "csv", "tensorboard")
    assert read_record(tmp_path / "run" / "logs") == {
        name: {"epochs": 1, "key": None} for name in ("csv", "tensorboard")
    }
    train(birds, tmp_path / "run", "csv", "tensorboard", policy=tiny.RESUME)
    assert [row["epoch"] for row in read_csv(tmp_path / "run")] == ["1", "2"]
    assert [one.step for one in events(tmp_path / "run").Scalars("train/loss")] == [1, 2]
    assert not tiny.differing(tiny.weights(tmp_path / "run"), tiny.weights(tiny_run))


class RestlessLog(EpochLogger):
    """Draws from every global generator, and fails after the first epoch."""

    seen: list[tuple[Any, ...]]

    def __init__(self, place: LogPlace) -> None:
        type(self).seen = [("opened", place.epochs)]

    def write(self, epoch: int, numbers: Any, picture: ByteArray) -> None:
        self.seen.append(("wrote", epoch, sorted(name.partition("/")[0] for name in numbers)[-1]))
        torch.rand(3), np.random.rand(3), random.random()
        if epoch == 2:
            raise ConnectionError("the server\nis gone")

    def close(self, *, finished: bool) -> None:
        self.seen.append(("closed", finished))


def test_a_failing_logger_is_left_out_and_training_goes_on(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(LOGGERS, "restless", f"{__name__}:RestlessLog")
    states = []
    asked: tuple[tuple[str, ...], ...] = ((), ("restless", "csv"))
    for loggers in asked:
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        few: dict[str, Any] = {"epochs": 3, "train_per_class": 1}
        run = train(birds / "train", tmp_path / str(len(loggers)), *loggers, **few)  # there is no val
        states.append(
            (tiny.weights(run), torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate())
        )
    assert not tiny.differing(states[0][0], states[1][0])
    assert torch.equal(states[0][1], states[1][1])
    np.testing.assert_equal(states[0][2], states[1][2])
    assert states[0][3] == states[1][3]
    assert RestlessLog.seen == [("opened", 0), ("wrote", 1, "train"), ("wrote", 2, "train")]
    assert "restless is left out from now on: the server is gone" in capsys.readouterr().err.replace(
        "\n", " "
    )
    rows = read_csv(tmp_path / "2")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert not [name for name in rows[0] if name.startswith("val/")]
    assert read_record(tmp_path / "2" / "logs")["restless"]["epochs"] == 1


def test_generators_are_as_before_after_an_error() -> None:
    before = torch.get_rng_state(), random.getstate()

    def stopped() -> None:
        with chance_kept():
            torch.rand(1), random.random()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stopped()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"csv": 1}', '{"csv": {"epochs": "x", "key": null}}', "[" * 9999]
)
def test_a_damaged_record_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "logged.json").write_text(text)
    with pytest.raises(UserError, match=r"expected how far the loggers are in .* damaged"):
        read_record(tmp_path)


def test_starting_anew_takes_the_logs_away(tiny_run: Path, tmp_path: Path) -> None:
    run = RunFolder(tiny.copied(tiny_run, tmp_path / "run"))
    (run.path / "logs").mkdir()
    (run.path / "logs" / "metrics.csv").write_text("epoch\n9\n")
    run.start(run.read_config()[0], run.read_classes(), {}, tiny.OVERWRITE)
    assert not (run.path / "logs").exists()


def test_truth_that_does_not_fit_is_left_out_of_pictures() -> None:
    toy = ToyDataset(per_split=2)
    sample = toy.samples("val")[0]
    assert known_truth(toy, sample) is not None
    toy.unfit.add(sample.image_id)
    assert known_truth(toy, sample) is None


@pytest.mark.slow
def test_of_several_processes_one_logs_what_all_measure(birds: Path, tmp_path: Path) -> None:
    out, truth = tmp_path / "run", ["--truth", str(birds / "val_boxes.json")]
    several = ["--devices", "2", "--logger", "csv", "--quiet"]
    assert main(["train", str(birds), "--out", str(out), *tiny.flags(batch_size=4), *truth, *several]) == 0
    rows = read_csv(out)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    evaluated = tiny.metrics(out)["evaluations"]["val"]["metrics"]
    for name, entries in evaluated.items():
        assert float(rows[-1][f"val/{name}"]) == pytest.approx(entries[0]["value"])
