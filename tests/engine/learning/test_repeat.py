"""Same seed, same machine, processor: the same weights bit for bit, for every method; and after a stop."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from rfga.methods import BY_PASSES, METHODS
from tests.engine import tiny

# Narrow heads where a method offers them, so that each training takes a second or two.
OPTIONS: dict[str, Any] = {"acol": {"width": 16}, "spg": {"width": 16}}


# That chance comes from the generator alone is asked of every method by its contract.
QUICK = ("rfga",)
SOME = [pytest.param(method, marks=() if method in QUICK else pytest.mark.slow) for method in METHODS]


@pytest.mark.parametrize("method", SOME)
def test_same_seed_same_weights(method: str, birds: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"method": method, "epochs": 1, "options": OPTIONS.get(method, {})}
    once = tiny.weights(tiny.train(birds, tmp_path / "once", **changes))
    again = tiny.weights(tiny.train(birds, tmp_path / "again", **changes))
    other = tiny.weights(tiny.train(birds, tmp_path / "other", **changes, seed=4))
    assert not tiny.differing(once, again)
    assert tiny.differing(once, other)


class StopError(Exception):
    """Stands for whatever ends a program."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [name for name in METHODS if name not in BY_PASSES]
)  # these: test_passes.py
def test_a_stopped_run_goes_on_to_the_same_weights(
    method: str, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {"method": method, "epochs": 2, "options": OPTIONS.get(method, {})}
    whole = tiny.weights(tiny.train(birds, tmp_path / "whole", **changes))
    stopped = tmp_path / "stopped"
    with monkeypatch.context() as patched, contextlib.suppress(StopError):
        patched.setattr("rfga.engine.learning.module.TrainingModule.on_train_epoch_start", _stop_at_second)
        tiny.train(birds, stopped, **changes)
    assert not (stopped / "model.safetensors").exists()
    tiny.train(birds, stopped, policy=tiny.RESUME, **changes)
    assert not tiny.differing(whole, tiny.weights(stopped))


def _stop_at_second(module: object) -> None:
    epoch = getattr(module, "current_epoch", 0)
    if epoch == 1:
        raise StopError
    method = getattr(module, "method", None)
    if method is not None:
        method.train()
