from __future__ import annotations

import pytest
import torch

from rfga.cli.main import run_in_processes
from rfga.engine.learning.lightning_processes import JoinedEnvironment, trainer_processes
from rfga.engine.runtime.joining import joined
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.processes import Processes
from rfga.types import UserError


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two processes of a machine."""
    for name, value in {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))


def test_one_process_joins_nobody() -> None:
    runtime = Runtime(device="cpu", devices=1, nodes=1)
    with joined(runtime) as ours:
        assert ours == runtime
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("devices", "nodes"), [(3, None), (None, 2), (2, 2), (1, None)])
def test_other_numbers_than_asked_for(second: None, devices: int | None, nodes: int | None) -> None:
    with (
        pytest.raises(UserError, match=r"as --devices and --nodes say, found 2 on each of 1"),
        joined(Runtime(device="cpu", devices=devices, nodes=nodes)),
    ):
        pass


def test_numbers_below_one() -> None:
    with pytest.raises(UserError, match="expected --devices of at least 1, found 0"):
        Runtime(devices=0)
    with pytest.raises(UserError, match="expected --nodes of at least 1, found -1"):
        Runtime(nodes=-1)
    with pytest.raises(UserError, match="expected --features-gb of 0 or more, found -1"):
        Runtime(features_gb=-1)


def test_devices_that_cannot_work_together(second: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(UserError, match="found mps: give --device cpu"), joined(Runtime(device="mps")):
        pass
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(UserError, match="expected at most 3 processes"), joined(Runtime(device="cuda")):
        pass


def test_what_lightning_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sixth, cuda = Processes(rank=5, world=8, local_rank=1, local_world=4), torch.device("cuda")
    environment = JoinedEnvironment(sixth, 4)
    assert (environment.global_rank(), environment.world_size()) == (5, 8)
    assert (environment.node_rank(), environment.local_rank()) == (1, 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert {**trainer_processes(sixth, cuda), "strategy": 0} == {"devices": 4, "num_nodes": 2, "strategy": 0}
    # Each process sees its own device alone, as SLURM can have it.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert {**trainer_processes(sixth, cuda), "strategy": 0} == {"devices": 1, "num_nodes": 8, "strategy": 0}


def test_later_processes_print_nothing(second: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_processes("localize", {}, [], lambda: print("boxes")) == 0
    assert capsys.readouterr().out == ""
    called: list[int] = []
    assert run_in_processes("demo", {}, [], lambda: called.append(1)) == 0  # the first process says why not
    assert not called


def test_machines_need_somebody_who_starts_them() -> None:
    with pytest.raises(UserError, match=r"on each of 4 machines, found this process alone: see docs/scaling"):
        run_in_processes("train", {"nodes": 4, "devices": 8}, [], lambda: None)
