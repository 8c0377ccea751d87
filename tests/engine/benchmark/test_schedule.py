from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rfga.engine.benchmark.schedule import VISIBLE, cuda_slots, run_tasks
from tests.engine import fake_cells

SLOTS = [{VISIBLE: "4"}, {VISIBLE: "7"}]


def ran(
    folder: Path, names: str, work: Any = fake_cells.told, slots: Any = SLOTS
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    run_tasks(
        [(folder, name) for name in names],
        work,
        lambda task, outcome: found.update({task[1]: outcome}),
        slots,
    )
    return found


def test_a_slot_is_made_for_each_device_that_is_visible() -> None:
    assert cuda_slots(3) == [{VISIBLE: "0"}, {VISIBLE: "1"}, {VISIBLE: "2"}]
    assert cuda_slots(2, "GPU-a, GPU-b") == [{VISIBLE: "GPU-a"}, {VISIBLE: "GPU-b"}]
    assert cuda_slots(1) == cuda_slots(0) == []


def test_without_several_devices_all_is_done_here_in_order(tmp_path: Path) -> None:
    for slots in ([], SLOTS[:1]):
        folder = tmp_path / str(len(slots))
        folder.mkdir()
        found = ran(folder, "abc", slots=slots)
        assert list(found) == ["a", "b", "c"]
        assert {outcome["process"] for outcome in found.values()} == {os.getpid()}


def test_each_device_has_one_process_that_takes_the_next_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "4,7")
    found = ran(tmp_path, "abcdefgh")
    assert sorted(found) == sorted(path.name for path in tmp_path.iterdir()) == list("abcdefgh")
    pairs = {(outcome["device"], outcome["process"]) for outcome in found.values()}
    assert len(pairs) == 2
    assert {device for device, _ in pairs} == {"4", "7"}
    assert os.environ[VISIBLE] == "4,7"
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_fails_its_task_alone(tmp_path: Path) -> None:
    found = ran(tmp_path, "abcde", fake_cells.dies_at_b)
    assert found["b"]["state"] == "failed"
    assert "exit status 9" in found["b"]["reason"]
    assert all(found[name]["state"] == "done" for name in "acde")
    assert {found[name]["device"] for name in "acde"} <= {"4", "7"}


def test_processes_end_when_the_grid_is_stopped(tmp_path: Path) -> None:
    def stop(task: Any, outcome: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tasks([(tmp_path, name) for name in "abcdef"], fake_cells.told, stop, SLOTS)
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == []
    assert len(list(tmp_path.iterdir())) < 6
