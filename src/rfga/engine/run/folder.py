"""A run folder: config.yaml, model.safetensors, classes.json, metrics.json, checkpoints, report.html.

Nothing in it that localizing or evaluating reads is a pickle; the checkpoints, which only training
reads, are loaded as tensors and plain values alone.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from rfga.engine.run.checkpoint_file import drop_previous
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.weights_file import write_weights
from rfga.files import held_in, remove_leftovers, require_writable, write_json, write_yaml
from rfga.types import UserError
from rfga.untrusted import parse_json, parse_yaml

LOGS = "logs"  # what loggers keep of each epoch, where any were asked for

Check = Callable[[Any], bool]

# The settings come last, for they are the sign by which a folder is known as a run.
NAMES = (
    "model.safetensors",
    "metrics.json",
    "report.html",
    "checkpoints",
    LOGS,
    "features",
    "classes.json",
    "config.yaml",
)


class RunFolder:
    """The files of one training run.

    Args:
        path: the folder; it need not exist before something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoints" / "last.ckpt"

    @property
    def is_started(self) -> bool:
        """Whether the settings of a run are there."""
        return (self.path / "config.yaml").is_file()

    @property
    def is_finished(self) -> bool:
        """Whether training ended and left its model."""
        return self.is_started and (self.path / "model.safetensors").is_file()

    def check(self, policy: RunPolicy) -> None:
        """See before long work whether training may write here; files in the folder stay as they are.

        Raises:
            UserError: the folder cannot be written, holds something and neither going on nor overwriting was
                asked for, or holds files that are not a run's.
        """
        require_writable(self.path / "config.yaml")
        held = held_in(self.path)
        if held and not (policy.resume or policy.overwrite):
            raise UserError(
                f"expected a new folder for the run, found {self.path} with {len(held)} entries: "
                "add --resume to go on with it, --overwrite to start anew, or choose another --out"
            )
        if held and not self._is_run():
            wish = "overwrite" if policy.overwrite else "go on with"
            raise UserError(
                f"expected a run to {wish}, found {self.path} with other files and no config.yaml of a run: "
                "choose another --out"
            )

    def goes_on(self, policy: RunPolicy) -> bool:
        """Whether training goes on with the run that is here; else it begins one.

        Raises:
            UserError: see ``check``.
        """
        self.check(policy)
        return policy.resume and self.is_started

    def start(
        self, config: TrainConfig, classes: tuple[str, ...], data: dict[str, Any], policy: RunPolicy
    ) -> None:
        """Record settings, classes and data before the first step, in place of an earlier run if so wished.

        Raises:
            UserError: see ``check``.
        """
        self.check(policy)
        if policy.overwrite:
            for name in NAMES:
                _remove(self.path / name)
        for folder in (self.path, self.checkpoint.parent):
            remove_leftovers(folder)
        write_yaml(self.path / "config.yaml", {"train": config.to_dict(), "data": data})
        write_json(self.path / "classes.json", list(classes))

    def settle(self, config: TrainConfig) -> None:
        """Record settings that learning itself has found, in place of those it began with."""
        _, data = self.read_config()
        write_yaml(self.path / "config.yaml", {"train": config.to_dict(), "data": data})

    def reopen(self) -> None:
        """Make a finished run one to go on with: its sums stay, what was solved from them goes."""
        (self.path / "model.safetensors").unlink(missing_ok=True)
        kept = {name: part for name, part in self.read_metrics().items() if name != "confidence"}
        write_json(self.path / "metrics.json", kept)

    def write_model(self, state: dict[str, Tensor]) -> None:
        """The final weights, as named tensors without code; of the checkpoints, only the last one stays."""
        drop_previous(self.checkpoint)  # first, since there may be no room for both
        whole = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        write_weights(whole, self.path / "model.safetensors")

    def read_config(self) -> tuple[TrainConfig, dict[str, Any]]:
        """The settings of training and the description of its data.

        Raises:
            UserError: the folder is not a run, or its config is damaged.
        """
        path = self.path / "config.yaml"
        try:
            held = parse_yaml(self._read("config.yaml"))
            settings, data = dict(held["train"]), dict(held["data"])
        except (TypeError, KeyError, ValueError) as error:
            raise UserError(
                f"expected the settings of a run in {path}, found it damaged ({error}): train again"
            ) from error
        try:
            return TrainConfig.from_dict(settings), data
        except UserError as error:
            raise UserError(f"{error} (in {path})") from error

    def background_folders(self) -> tuple[str, ...]:
        """Names of the folders whose photographs count as without any object; none where there were none."""
        names = self.read_config()[1].get("background")
        return tuple(map(str, names)) if isinstance(names, list) else ()

    def read_classes(self) -> tuple[str, ...]:
        """The class names, in the order of their indices."""
        names = self._read_json("classes.json")
        if not isinstance(names, list):
            raise UserError(f"expected class names in {self.path / 'classes.json'}, found none: train again")
        return tuple(str(name) for name in names)

    def read_model(self) -> dict[str, Tensor]:
        """The final weights.

        Raises:
            UserError: training has not ended, or the file is damaged.
        """
        path = self.path / "model.safetensors"
        if not path.is_file():
            self._read("config.yaml")  # a folder that is no run at all is told so first
            raise UserError(
                f"expected a trained model in {self.path}, found none yet: finish it with rfga train --resume"
            )
        try:
            return load_file(path)
        except Exception as error:  # of the file's header, of the system, of memory
            raise UserError(
                f"expected weights in {path}, found the file damaged ({error}): train again"
            ) from error

    def read_metrics(self) -> dict[str, Any]:
        """What training and evaluations measured; empty before the first of them.

        Raises:
            UserError: the file is damaged, or one of its entries is not of its form.
        """
        path = self.path / "metrics.json"
        held = self._read_json(path.name) if path.is_file() else {}
        if not isinstance(held, dict):
            raise UserError(f"expected numbers by name in {path}, found none: remove it")
        if (name := wrong_part(held)) is not None:
            raise UserError(f"expected {name} as rfga writes it in {path}, found another form: remove it")
        return held

    def update_metrics(self, **entries: Any) -> None:
        """Add or replace entries of metrics.json."""
        write_json(self.path / "metrics.json", {**self.read_metrics(), **entries})

    def _is_run(self) -> bool:
        try:
            held = parse_yaml(self._read("config.yaml"))
        except (UserError, ValueError):
            return False
        return isinstance(held, dict) and {"train", "data"} <= held.keys()

    def _read_json(self, name: str) -> Any:
        try:
            return parse_json(self._read(name))
        except ValueError as error:
            path = self.path / name
            raise UserError(f"expected JSON in {path}, found it damaged ({error}): remove it") from error

    def _read(self, name: str) -> str:
        path = self.path / name
        if not path.is_file():
            raise UserError(
                f"expected a run folder with {name}, found none at {path}: give the --out of rfga train"
            )
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"expected text in {path}, found it unreadable ({error}): train again") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# The form of metrics.json: whoever made a run folder may have written anything into it.


def wrong_part(held: Mapping[str, Any]) -> str | None:
    """The first entry of metrics.json that is not of its form; None where all are. Unknown ones may be there.

    Example:
        >>> wrong_part({"history": [{"epoch": 1, "train_loss": 0.5}]}) is None
        True
        >>> wrong_part({"thresholds": {"minmax": {"largest": {"0.5": "high"}}}})
        'thresholds'
    """
    return next((name for name, check in _ENTRIES.items() if name in held and not check(held[name])), None)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _number(value) and math.isfinite(value)


def _fraction(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _each(check: Check, **needed: Check) -> Check:
    """A mapping whose values all pass ``check``, and that holds what is needed."""
    return lambda value: (
        isinstance(value, dict)
        and all(map(check, value.values()))
        and all(name in value and wanted(value[name]) for name, wanted in needed.items())
    )


def _anything(value: Any) -> bool:
    return True


def _model(value: Any) -> bool:
    """A regression with as many means, deviations and weights as names."""
    numbers = _list_of(_finite)
    columns = {"means": numbers, "deviations": numbers, "weights": numbers}
    fields = _each(_anything, names=_list_of(_text), intercept=_finite, of_class=numbers, **columns)
    return (
        fields(value)
        and value.keys() == {"names", "intercept", "of_class", *columns}
        and {len(value[name]) for name in columns} == {len(value["names"])}
        and 0 not in value["deviations"]
    )


_entry = _each(_anything, value=_number)
_evaluation = _each(_anything, dataset=_text, split=_text, images=_number, metrics=_each(_list_of(_entry)))
_ENTRIES: dict[str, Check] = {
    "evaluations": _each(_evaluation),
    "thresholds": _each(
        lambda chosen: _each(_each(_fraction))(chosen) and "0.5" in chosen.get("largest", ())
    ),
    "label_free": _each(_each(_anything, threshold=_fraction)),
    "history": _list_of(_each(_number, epoch=_number)),
    "confidence": _each(_each(_anything, source=_text, plain=_model, looked=_model)),
    "posthoc": _each(lambda kind: isinstance(kind, dict) and wrong_part(kind) is None),
}
