from __future__ import annotations

import pytest
import torch

from rfga.engine.runtime.devices import lightning_precision, pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.types import UserError


def test_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match=r"this machine has \(cpu\), found --device cuda: choose another"):
        pick_device("cuda")


def test_automatic_device_is_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert lightning_precision("auto", cpu) == "32-true"
    assert lightning_precision("bf16", cpu) == "bf16-mixed"
    for has, precision in ((True, "bf16-mixed"), (False, "16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=has: has)
        assert lightning_precision("auto", cuda) == precision
    assert lightning_precision("32", cuda) == "32-true"


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert (pick_workers(Runtime(), cpu), pick_workers(Runtime(), cuda)) == (2, 8)
    assert pick_workers(Runtime(workers=0), cuda) == 0
