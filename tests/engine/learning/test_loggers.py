"""Each logger by itself: what it is given comes back from its files, or reached its service."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rfga.cli import main
from rfga.engine.learning.loggers import (
    LOGGERS,
    EpochLogger,
    LogPlace,
    logger_names,
    open_logger,
    require_loggers,
)
from rfga.types import ByteArray, UserError
from tests.engine import tiny
from tests.engine.fake_services import FakeMlflow, FakeWandb

SETTINGS = {"method": "cam", "mean": [0.1, 0.2, 0.3]}


def numbers(epoch: int) -> dict[str, float]:
    return {"train/loss": 1 / epoch, "val/PxAP": 0.25 * epoch}


def picture(epoch: int) -> ByteArray:
    """Wider than high, of another colour each epoch."""
    return np.full((20, 30, 3), 40 * epoch, np.uint8)


def place(folder: Path, epochs: int = 0, key: str | None = None) -> LogPlace:
    return LogPlace(folder / "logs", "birds", SETTINGS, epochs, key)


def write(logger: EpochLogger, *epochs: int) -> EpochLogger:
    for epoch in epochs:
        logger.write(epoch, numbers(epoch), picture(epoch))
    return logger


def read_csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs" / "metrics.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "logs" / "tensorboard"))
    found.Reload()
    return found


def test_csv_has_a_row_and_a_picture_for_each_epoch(tmp_path: Path) -> None:
    write(open_logger("csv", place(tmp_path)), 1, 2).close(finished=False)
    write(open_logger("csv", place(tmp_path, epochs=1)), 2, 3)
    rows = read_csv(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "train/loss", "val/PxAP"]
    assert [float(row["train/loss"]) for row in rows] == [1, 1 / 2, 1 / 3]
    for epoch in (1, 2, 3):
        with Image.open(tmp_path / "logs" / "maps" / f"epoch_{epoch:02d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), picture(epoch))


def test_a_number_that_comes_later_gets_a_column(tmp_path: Path) -> None:
    logger = write(open_logger("csv", place(tmp_path)), 1)
    logger.write(2, {**numbers(2), "val/new": 0.5}, picture(2))
    assert [row["val/new"] for row in read_csv(tmp_path)] == ["", "0.5"]


def test_tensorboard_gives_scalars_and_images_back(tmp_path: Path) -> None:
    write(open_logger("tensorboard", place(tmp_path)), 1, 2).close(finished=True)
    found = events(tmp_path)
    assert [(one.step, one.value) for one in found.Scalars("val/PxAP")] == [(1, 0.25), (2, 0.5)]
    images = found.Images("maps")
    assert [(one.step, one.width, one.height) for one in images] == [(1, 30, 20), (2, 30, 20)]
    settings = (tmp_path / "logs" / "tensorboard" / "hparams.yaml").read_text()
    assert "method: cam" in settings


def test_tensorboard_shows_an_epoch_once_that_came_again(tmp_path: Path) -> None:
    write(open_logger("tensorboard", place(tmp_path)), 1, 2).close(finished=False)
    write(open_logger("tensorboard", place(tmp_path, epochs=1)), 2, 3).close(finished=True)
    found = events(tmp_path)
    assert [one.step for one in found.Scalars("train/loss")] == [1, 2, 3]
    assert [one.step for one in found.Images("maps")] == [1, 2, 3]


def test_mlflow_gets_settings_numbers_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    server = FakeMlflow(monkeypatch)
    require_loggers(["mlflow"])
    logger = write(open_logger("mlflow", place(tmp_path)), 1, 2)
    logger.close(finished=True)
    folder = (tmp_path / "logs").resolve()
    assert server.uris == [f"sqlite:///{folder.as_posix()}/mlflow.db"]
    assert server.experiments == {"rfga": (folder / "mlflow").as_uri()}
    assert server.tags == [{"mlflow.runName": "birds"}]
    assert server.params["method"] == "cam"
    assert server.rows == [("run-1", 1, numbers(1)), ("run-1", 2, numbers(2))]
    assert [(run, image.shape, key, step) for run, image, key, step in server.images] == [
        ("run-1", (20, 30, 3), "maps", 1),
        ("run-1", (20, 30, 3), "maps", 2),
    ]
    assert server.ended == [("run-1", "FINISHED")]
    assert logger.key == "run-1"


def test_mlflow_goes_on_with_its_run_on_the_server_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    server = FakeMlflow(monkeypatch)
    write(open_logger("mlflow", place(tmp_path, 1, "run-0")), 2).close(finished=False)
    assert (server.uris, server.experiments, server.params) == (["http://127.0.0.1:1"], {}, {})
    assert [row[:2] for row in server.rows] == [("run-0", 2)]
    assert server.ended == [("run-0", "FAILED")]


def test_wandb_gets_settings_numbers_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    service = FakeWandb(monkeypatch)
    require_loggers(["wandb"])
    logger = write(open_logger("wandb", place(tmp_path)), 1)
    logger.close(finished=True)
    (begun,) = service.begun
    assert (begun["name"], begun["project"], begun["id"]) == ("birds", "mine", None)
    assert begun["dir"] == str(tmp_path / "logs")
    assert service.config["method"] == "cam"
    first, second = service.rows
    assert first == {**numbers(1), "trainer/global_step": 1}
    ((kind, image),) = second["maps"]
    assert (kind, image.shape, second["trainer/global_step"]) == ("image", (20, 30, 3), 1)
    assert (service.exit_codes, logger.key) == ([0], "id-1")


def test_wandb_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    service = FakeWandb(monkeypatch)
    open_logger("wandb", place(tmp_path, 1, "id-0")).close(finished=False)
    (begun,) = service.begun
    assert (begun["project"], begun["id"], begun["resume"]) == ("rfga", "id-0", "allow")
    assert service.exit_codes == [1]


@pytest.mark.parametrize("name", [name for name in LOGGERS if name != "csv"])
def test_a_missing_library_is_named_with_its_extra_before_anything_is_done(
    name: str,
    birds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    arguments = ["train", str(birds), "--out", str(tmp_path / "run"), *tiny.flags(), "--logger", name]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert f"expected the library {name} for --logger {name}, found" in said
    assert f'pip install "rfga[{name}]"' in said
    assert not list(tmp_path.glob("run/*"))


def test_an_unknown_logger_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "synthetic", "--out", str(tmp_path / "run"), "--logger", "csv,paper"]) == 1
    assert (
        "expected a logger out of csv, tensorboard, mlflow, wandb, found 'paper'" in capsys.readouterr().err
    )
    assert not list(tmp_path.glob("run/*"))


def test_a_logger_that_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        library = ""

        def __init__(self, place: LogPlace) -> None:
            raise ConnectionError("no\n  route")

    monkeypatch.setitem(LOGGERS, "far", f"{__name__}:Refusing")
    monkeypatch.setattr(sys.modules[__name__], "Refusing", Refusing, raising=False)
    with pytest.raises(
        UserError, match=r"expected far to open a log for birds, found .*\(no route\): see to"
    ):
        open_logger("far", place(tmp_path))


def test_names_are_told_apart() -> None:
    assert logger_names(" csv ,, tensorboard,csv") == ("csv", "tensorboard")
    assert logger_names("") == ()
