from __future__ import annotations

import re
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from rfga.engine.learning.callbacks import WholeFile
from rfga.engine.runtime import progress
from rfga.engine.runtime.machine import Runtime
from tests.engine import tiny


def test_a_line_an_epoch_and_how_far_it_is(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    tiny.train(birds, tmp_path / "run", runtime=Runtime(device="cpu", workers=0))
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    assert re.fullmatch(r"epoch 1/2: loss \d\.\d{4}, val top-1 \d+\.\d %, \d s", lines[0])
    assert lines[1].startswith("epoch 2/2: ")
    counted = [line for line in said.err.splitlines() if line.startswith("epoch 2/2")]
    assert [re.sub(r", loss \d\.\d{3}$", ", loss", line) for line in counted] == [
        "epoch 2/2: 8 of 24, loss",
        "epoch 2/2: 16 of 24, loss",
        "epoch 2/2: 24 of 24, loss",
        "epoch 2/2, validating: 8 of 12",
        "epoch 2/2, validating: 12 of 12",
    ]
    assert "Tip" not in said.err + said.out
    assert "Trainer" not in said.err + said.out


def test_quiet_training_says_nothing(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    tiny.train(birds, tmp_path / "run", epochs=1)
    assert capfd.readouterr() == ("", "")


def test_checkpoint_is_never_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeFile().save_checkpoint({"epoch": 1}, path)

    def broken(value: Any, stream: BinaryIO) -> None:
        stream.write(b"half")
        raise RuntimeError("power cut")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        WholeFile().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ckpt"]
