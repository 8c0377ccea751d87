"""A run folder: config.yaml, model.safetensors, classes.json, metrics.json, checkpoints, report.html.

Nothing in it that localizing or evaluating reads is a pickle; the checkpoints, which only training
reads, are loaded as tensors and plain values alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rfga.engine.config import TrainConfig
from rfga.files import make_folder, replacing, write_json, write_yaml
from rfga.types import UserError

NAMES = ("config.yaml", "model.safetensors", "classes.json", "metrics.json", "report.html", "checkpoints")


class RunFolder:
    """The files of one training run.

    Args:
        path: the folder; it need not exist before something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoints" / "last.ckpt"

    @property
    def is_finished(self) -> bool:
        """Whether training ended and left its model."""
        return (self.path / "model.safetensors").is_file()

    def prepare(self, *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready for training without ever losing somebody's files.

        Raises:
            UserError: the folder holds something and neither going on nor overwriting was asked for, or it
                holds files that are not a run's.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"expected a folder for the run, found a file at {self.path}: choose another --out")
        held = sorted(p.name for p in self.path.iterdir()) if self.path.is_dir() else []
        if held and not (resume or overwrite):
            raise UserError(
                f"expected a new folder for the run, found {self.path} with {len(held)} entries: "
                "add --resume to go on with it, --overwrite to start anew, or choose another --out"
            )
        if held and overwrite:
            if "config.yaml" not in held:
                raise UserError(
                    f"expected a run to overwrite, found {self.path} without config.yaml: choose another --out"
                )
            for name in NAMES:
                _remove(self.path / name)
        make_folder(self.path)

    def write_start(self, config: TrainConfig, classes: tuple[str, ...], data: dict[str, Any]) -> None:
        """Record settings, classes and data before the first step."""
        write_json(self.path / "classes.json", list(classes))
        write_yaml(self.path / "config.yaml", {"train": config.to_dict(), "data": data})

    def write_model(self, state: dict[str, Tensor]) -> None:
        """The final weights, as named tensors without code."""
        with replacing(self.path / "model.safetensors") as temporary:
            save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, temporary)

    def read_config(self) -> tuple[TrainConfig, dict[str, Any]]:
        """The settings of training and the description of its data.

        Raises:
            UserError: the folder is not a run, or its config is damaged.
        """
        text = self._read("config.yaml")
        try:
            held = yaml.safe_load(text)
            return TrainConfig.from_dict(held["train"]), dict(held["data"])
        except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"expected settings in {self.path / 'config.yaml'}, found it damaged ({error})") from error

    def read_classes(self) -> tuple[str, ...]:
        """The class names, in the order of their indices."""
        return tuple(str(name) for name in self._read_json("classes.json"))

    def read_model(self) -> dict[str, Tensor]:
        """The final weights.

        Raises:
            UserError: training has not ended, or the file is damaged.
        """
        path = self.path / "model.safetensors"
        if not path.is_file():
            self._read("config.yaml")  # a folder that is no run at all is told so first
            raise UserError(f"expected a trained model in {self.path}, found none yet: finish it with train --resume")
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise UserError(f"expected weights in {path}, found the file damaged ({error}): train again") from error

    def read_metrics(self) -> dict[str, Any]:
        """What training and evaluations measured; empty before the first of them."""
        return dict(self._read_json("metrics.json")) if (self.path / "metrics.json").is_file() else {}

    def update_metrics(self, **entries: Any) -> None:
        """Add or replace entries of metrics.json."""
        write_json(self.path / "metrics.json", {**self.read_metrics(), **entries})

    def _read_json(self, name: str) -> Any:
        try:
            return json.loads(self._read(name))
        except json.JSONDecodeError as error:
            raise UserError(f"expected JSON in {self.path / name}, found it damaged ({error})") from error

    def _read(self, name: str) -> str:
        path = self.path / name
        if not path.is_file():
            raise UserError(f"expected a run folder with {name}, found none at {self.path}: give the --out of rfga train")
        return path.read_text(encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
