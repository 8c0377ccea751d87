"""Where each epoch's numbers and example maps go besides the run folder. A new one is one line in `LOGGERS`.

Three are Lightning's own loggers. The CSV is written here, since Lightning's begins anew when a run goes on.
"""

from __future__ import annotations

import csv
import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rfga.engine.run.options import resolve
from rfga.files import make_folder, replacing
from rfga.types import ByteArray, UserError

LOGGERS = {
    "csv": "rfga.engine.learning.loggers:CsvLog",
    "tensorboard": "rfga.engine.learning.loggers:TensorBoardLog",
    "mlflow": "rfga.engine.learning.loggers:MlflowLog",
    "wandb": "rfga.engine.learning.loggers:WandbLog",
}
"""Name -> "module:Class" of an ``EpochLogger``; its library is the package's extra of that name."""

PICTURE = "maps"  # what loggers call the picture of example maps
PROJECT = "rfga"  # of MLflow and W&B, where their own variables name none


@dataclass(frozen=True)
class LogPlace:
    """Where a logger writes, and what it goes on with.

    Args:
        folder: ``logs`` in the run folder.
        run_name: of the run among others.
        settings: of training, as plain values.
        epochs: that an earlier part of the run has logged.
        key: by which that part's log is found; None where there is none.
    """

    folder: Path
    run_name: str
    settings: Mapping[str, Any]
    epochs: int = 0
    key: str | None = None


class EpochLogger(ABC):
    """The contract of a logger: it is opened where training begins or goes on, written to after each epoch.

    Args:
        place: where it writes, and what it goes on with.
    """

    library: ClassVar[str] = ""  # that it needs; the package's extra of the logger's name installs it
    key: str | None = None  # by which a run that goes on finds its log

    @abstractmethod
    def __init__(self, place: LogPlace) -> None: ...

    @abstractmethod
    def write(self, epoch: int, numbers: Mapping[str, float], picture: ByteArray) -> None:
        """Keep what an epoch gave; it is kept when this returns.

        Args:
            epoch: counted from 1.
            numbers: by name, in an order that does not change.
            picture: example maps (H, W, 3) uint8.
        """

    def close(self, *, finished: bool) -> None:
        """Training has ended, or was broken off; by default there is nothing to do."""
        return


class CsvLog(EpochLogger):
    """``logs/metrics.csv`` with a row for each epoch, and ``logs/maps/epoch_03.png``."""

    def __init__(self, place: LogPlace) -> None:
        self.folder, self.path = place.folder, place.folder / "metrics.csv"

    def write(self, epoch: int, numbers: Mapping[str, float], picture: ByteArray) -> None:
        """A row in place of an earlier one of this epoch, and a picture."""
        from rfga.output.pictures import write_picture

        write_picture(self.folder / PICTURE / f"epoch_{epoch:02d}.png", picture)
        rows: list[dict[str, Any]] = []
        if self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as lines:
                rows = [row for row in csv.DictReader(lines) if row.get("epoch") != str(epoch)]
        rows.append({"epoch": epoch, **numbers})
        with replacing(self.path) as temporary, temporary.open("w", encoding="utf-8", newline="") as lines:
            columns = dict.fromkeys(name for row in rows for name in row)
            writer = csv.DictWriter(lines, list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


class TensorBoardLog(EpochLogger):
    """Events in ``logs/tensorboard``, through Lightning's ``TensorBoardLogger``."""

    library = "tensorboard"

    def __init__(self, place: LogPlace) -> None:
        from lightning.pytorch.loggers import TensorBoardLogger

        # What an earlier part wrote of epochs that come again is hidden by its readers.
        again: dict[str, Any] = {"purge_step": place.epochs + 1} if place.epochs else {}
        self.logger = TensorBoardLogger(
            place.folder, name="", version="tensorboard", default_hp_metric=False, **again
        )
        self.logger.log_hyperparams(dict(place.settings))

    def write(self, epoch: int, numbers: Mapping[str, float], picture: ByteArray) -> None:
        """Scalars and an image at the epoch as step."""
        self.logger.log_metrics(dict(numbers), epoch)
        self.logger.experiment.add_image(PICTURE, picture, epoch, dataformats="HWC")
        self.logger.save()

    def close(self, *, finished: bool) -> None:
        """Write out what waits."""
        self.logger.finalize(_status(finished))


class MlflowLog(EpochLogger):
    """A run of MLflow in the experiment ``rfga``, through Lightning's ``MLFlowLogger``.

    It goes to the server of ``MLFLOW_TRACKING_URI``, else into ``logs/mlflow.db`` with pictures in
    ``logs/mlflow``.
    """

    library = "mlflow"

    def __init__(self, place: LogPlace) -> None:
        from lightning.pytorch.loggers import MLFlowLogger

        server = os.environ.get("MLFLOW_TRACKING_URI")
        folder = make_folder(place.folder).resolve()
        self.logger = MLFlowLogger(
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT,
            run_name=place.run_name,
            tracking_uri=server or f"sqlite:///{(folder / 'mlflow.db').as_posix()}",
            artifact_location=None if server else (folder / "mlflow").as_uri(),
            run_id=place.key,
        )
        self.key = self.logger.run_id
        if place.key is None:
            self.logger.log_hyperparams(dict(place.settings))

    def write(self, epoch: int, numbers: Mapping[str, float], picture: ByteArray) -> None:
        """Metrics and an image at the epoch as step."""
        self.logger.log_metrics(dict(numbers), epoch)
        self.logger.experiment.log_image(self.logger.run_id, picture, key=PICTURE, step=epoch)

    def close(self, *, finished: bool) -> None:
        """End the run."""
        self.logger.finalize(_status(finished))


class WandbLog(EpochLogger):
    """A run of Weights & Biases in the project ``rfga``, through Lightning's ``WandbLogger``.

    ``WANDB_PROJECT``, ``WANDB_MODE`` and the library's other variables hold.
    """

    library = "wandb"

    def __init__(self, place: LogPlace) -> None:
        from lightning.pytorch.loggers import WandbLogger

        project = os.environ.get("WANDB_PROJECT") or PROJECT
        self.logger = WandbLogger(
            name=place.run_name, save_dir=make_folder(place.folder), project=project, id=place.key
        )
        self.key = str(self.logger.experiment.id)
        self.logger.log_hyperparams(dict(place.settings))

    def write(self, epoch: int, numbers: Mapping[str, float], picture: ByteArray) -> None:
        """Metrics and an image at the epoch as global step."""
        self.logger.log_metrics(dict(numbers), epoch)
        self.logger.log_image(PICTURE, [picture], epoch)

    def close(self, *, finished: bool) -> None:
        """End the run."""
        self.logger.finalize(_status(finished))
        self.logger.experiment.finish(exit_code=0 if finished else 1)


def logger_names(text: str | None) -> tuple[str, ...]:
    """The names of ``--logger``, joined by commas; each once.

    Example:
        >>> logger_names("csv, tensorboard,csv"), logger_names(None)
        (('csv', 'tensorboard'), ())
    """
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def require_loggers(names: Sequence[str]) -> None:
    """See before long work whether loggers are there with what they need.

    Raises:
        UserError: there is no such logger, or its library is not installed.

    Example:
        >>> require_loggers(["csv"])
    """
    for name in names:
        library = resolve(LOGGERS, name, "logger").library
        try:
            importlib.import_module(library or "csv")
        except ImportError as error:
            raise UserError(
                f"expected the library {library} for --logger {name}, found that it cannot be loaded "
                f'({error}): pip install "rfga[{name}]"'
            ) from error


def open_logger(name: str, place: LogPlace) -> EpochLogger:
    """A logger, ready to be written to.

    Raises:
        UserError: there is no such logger, or it cannot be opened (no connection, no account, a full disk).
    """
    kind = resolve(LOGGERS, name, "logger")
    try:
        opened: EpochLogger = kind(place)
    except Exception as error:  # libraries of others, servers and networks raise errors of any type
        raise UserError(
            f"expected {name} to open a log for {place.run_name}, found that it cannot ({_line(error)}): "
            "see to that, or leave it out of --logger"
        ) from error
    return opened


def _status(finished: bool) -> str:
    return "success" if finished else "failed"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
