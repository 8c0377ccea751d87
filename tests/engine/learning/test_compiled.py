"""Training with torch.compile: nearly the same weights, and one sentence where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rfga.engine.localizing.localizer import Localizer
from rfga.methods.cam import CAM
from rfga.types import UserError
from tests.engine import tiny


def no_compiler(self: CAM, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    from torch._inductor.exc import InvalidCxxCompiler

    raise InvalidCxxCompiler


def other_error(self: CAM, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    raise RuntimeError("something else")


def test_without_a_compiler_one_sentence_says_so(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CAM, "loss", no_compiler)
    with pytest.raises(UserError, match=r"expected torch.compile to translate .* leave out --compile"):
        tiny.train(birds, tmp_path / "run", compile=True)
    monkeypatch.setattr(CAM, "loss", other_error)
    with pytest.raises(RuntimeError, match="something else"):
        tiny.train(birds, tmp_path / "other", compile=True)


@pytest.mark.slow
def test_compiled_training_ends_near_the_plain_one(birds: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"method": "rfga", "epochs": 1, "lr": 0.001}
    plain = tiny.train(birds, tmp_path / "plain", **settings)
    compiled = tiny.train(birds, tmp_path / "compiled", **settings, compile=True)
    ours, theirs = (load_file(run / "model.safetensors") for run in (compiled, plain))
    assert list(ours) == list(theirs)
    for name, weight in theirs.items():
        assert torch.allclose(ours[name], weight, rtol=1e-3, atol=1e-4), name
    Localizer.load(compiled)
