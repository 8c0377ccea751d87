"""Jobs worked off: every part once, at the same time, on PyTorch's threads or on our own."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rfga.nn import team
from rfga.nn.calibration import axis_means
from rfga.nn.jobs import Job, arrays, claim, compiled_pass, sizes
from rfga.nn.team import work_off


@compiled_pass
def count_units(job: Any) -> None:
    counts, numbers = arrays(job)[:2]
    begin, end = claim(job)
    for unit in range(begin, end):
        counts[unit] += 1
    if len(numbers):
        for k in range(4):
            numbers[k] = sizes(job)[k]


@pytest.fixture(params=["the threads of PyTorch", "a pool"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "a pool":
        monkeypatch.setattr(team, "_openmp", lambda: None)
    elif team._openmp() is None:
        pytest.skip("PyTorch was built with a runtime that is not reached")
    return str(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parts", [1, 2, 3, 17])
def test_every_unit_is_worked_on_once(runtime: str, parts: int, dtype: torch.dtype) -> None:
    for units in (17, 40):
        counts, numbers = torch.zeros(units, dtype=dtype), torch.zeros(4, dtype=dtype)
        job = Job(parts, units, (5, 6, 7), [counts, numbers])
        assert not job.is_claimed
        work_off(job, count_units.entry(dtype))
        assert job.is_claimed
        assert counts.tolist() == [1] * units
        assert numbers.tolist() == [5, 6, 7, 0]


def test_an_array_left_out_has_no_length(runtime: str) -> None:
    counts = torch.zeros(3)
    work_off(Job(2, 3, (), [counts, None]), count_units.entry(torch.float32))
    assert counts.tolist() == [1, 1, 1]


def called(job: Job, work: Callable[[], None]) -> Any:
    """A C function that claims a part of the job and calls ``work``."""

    def claimed(_: Any) -> None:
        job._record[0] += 1
        work()

    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(claimed)


def address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def test_parts_are_done_at_the_same_time(runtime: str) -> None:
    meeting, met = threading.Barrier(2, timeout=300), []  # broken, and so an error, unless two wait at once
    job = Job(2, 2, (), [])
    work = called(job, lambda: met.append(meeting.wait()))
    work_off(job, address(work))
    assert sorted(met) == [0, 1]


def test_what_fewer_threads_leave_is_done_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_thread(entry: int, job: int, _threads: int, _flags: int) -> None:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(entry)(job)

    monkeypatch.setattr(team, "_openmp", lambda: SimpleNamespace(GOMP_parallel=one_thread))
    done: list[int] = []
    job = Job(4, 4, (), [])
    work = called(job, lambda: done.append(threading.get_ident()))
    work_off(job, address(work))
    assert done == [threading.get_ident()] * 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PyTorch has another runtime elsewhere")
def test_where_pytorch_uses_gnu_s_runtime_its_threads_are_reached() -> None:
    assert "OpenMP" in torch.__config__.parallel_info()
    assert team._openmp() is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    counts = torch.zeros(8)
    entry = count_units.entry(torch.float32)
    work_off(Job(2, 8, (), [counts]), entry)  # the parent's threads are there
    child = os.fork()
    if child == 0:
        work_off(Job(2, 8, (), [counts]), entry)
        os._exit(0 if counts.tolist() == [2] * 8 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_rows_of_two_vectors_give_what_wider_ones_do() -> None:
    x = torch.randn(2, 3, 5, 17, dtype=torch.float64)
    for columns in (1, 3, 4, 5, 7, 8, 9, 16, 17):  # float64: a vector holds four
        narrow = x[..., :columns].contiguous()
        channel, height, width = axis_means(narrow)
        torch.testing.assert_close(channel, narrow.mean((2, 3)), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(height, narrow.mean(3), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(width, narrow.mean(2), rtol=1e-13, atol=1e-13)
