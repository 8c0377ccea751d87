"""A training that takes a second, and what tests ask of its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.engine.building.train import TrainCommand, train_and_report
from rfga.engine.run.config import RunPolicy
from rfga.engine.runtime.machine import Runtime

SETTINGS: dict[str, Any] = {
    "method": "cam",
    "backbone": "test_resnet",
    "weights": "none",
    "image_size": 64,
    "output_stride": 8,
    "epochs": 2,
    "batch_size": 8,
    "lr": 0.01,
    "seed": 3,
}
QUIET = Runtime(device="cpu", workers=0, quiet=True)
RESUME, OVERWRITE = RunPolicy(resume=True), RunPolicy(overwrite=True)


def flags(**changes: Any) -> list[str]:
    """The settings as ``rfga train`` takes them."""
    settings = {**SETTINGS, **changes}
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in settings.items()]
    return [*(text for pair in pairs for text in pair), "--device", "cpu", "--workers", "0"]


def train(
    data: Path,
    out: Path,
    *,
    truth: Path | None = None,
    runtime: Runtime = QUIET,
    policy: RunPolicy | None = None,
    **changes: Any,
) -> Path:
    """``rfga train`` without a process of its own."""
    settings = {**SETTINGS, **changes}
    options = settings.pop("options", {})
    policy = policy or RunPolicy()
    command = TrainCommand(str(data), out, settings, options, truth=truth, policy=policy)
    train_and_report(command, runtime)
    return out


def copied(run: Path, out: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(run, out))


def weights(run: Path) -> dict[str, Tensor]:
    """The final weights by name."""
    return load_file(run / "model.safetensors")


def metrics(run: Path) -> dict[str, Any]:
    """What metrics.json holds."""
    held: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return held


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """The names of the weights that are not the same bit for bit."""
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])]


def epochs(run: Path) -> list[int]:
    """The epochs of the history, in its order."""
    return [entry["epoch"] for entry in metrics(run)["history"]]


def snapshot(folder: Path, names: Sequence[str] | None = None) -> dict[str, bytes]:
    """Every file of a folder, or those of ``names``, as bytes."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    held = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return held if names is None else {name: held[name] for name in names}


def seen_by_networks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photographs each call from now on shows to a network that has not just seen them."""
    saw: list[int] = []
    forward = Backbone.forward

    def counting(self: Backbone, images: Tensor, *rest: Any) -> Tensor:
        known = [watch for watch in self._watches.values() if watch.images is images]
        saw.extend([] if known else [len(images)])
        return forward(self, images, *rest)

    monkeypatch.setattr(Backbone, "forward", counting)
    return saw
