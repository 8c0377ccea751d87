from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rfga.engine.run import weights_file
from rfga.engine.run.weights_file import write_weights
from rfga.files import StorageError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "ü.safetensors"
    write_weights({"w": torch.arange(6.0).reshape(2, 3)}, path)
    assert torch.equal(load_file(path)["w"], torch.arange(6.0).reshape(2, 3))


def test_a_full_disk_is_told_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    write_weights({"w": torch.ones(2)}, path)

    def full(tensors: dict[str, Any], target: Path) -> None:
        target.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(weights_file, "save_file", full)
    with pytest.raises(StorageError, match=r"model\.safetensors, .*\(No space left on device\): make room"):
        write_weights({"w": torch.zeros(2)}, path)
    monkeypatch.undo()
    assert torch.equal(load_file(path)["w"], torch.ones(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_other_errors_of_the_library_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises((SafetensorError, ValueError), match="contiguous"):
        write_weights({"w": torch.ones(2, 3).T}, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
