"""Work side by side: every part once, errors carried out, on PyTorch's threads or on our own."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter

import pytest
import torch

from rfga.nn import team
from rfga.nn.calibration import axis_means
from rfga.nn.team import side_by_side


@pytest.fixture(params=["the threads of PyTorch", "a pool"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "a pool":
        monkeypatch.setattr(team, "_openmp", lambda: None)
    elif team._openmp() is None:
        pytest.skip("PyTorch was built with a runtime that is not reached")
    return str(request.param)


@pytest.mark.parametrize("parts", [1, 2, 3, 17])
def test_every_part_is_done_once(runtime: str, parts: int) -> None:
    done: Counter[int] = Counter()
    side_by_side(lambda part: done.update([part]), parts)
    assert done == Counter(range(parts))


def test_parts_are_done_at_the_same_time(runtime: str) -> None:
    meeting = threading.Barrier(2, timeout=20)  # broken, and so an error, unless two wait at once

    def work(part: int) -> None:
        meeting.wait()

    side_by_side(work, 2)


def test_an_error_of_a_part_comes_out_and_the_others_are_done(runtime: str) -> None:
    done = []

    def work(part: int) -> None:
        if part == 1:
            raise KeyError("part 1")
        done.append(part)

    with pytest.raises(KeyError, match="part 1"):
        side_by_side(work, 4)
    assert sorted(done) == [0, 2, 3]
    side_by_side(done.append, 2)  # and the threads go on


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PyTorch has another runtime elsewhere")
def test_where_pytorch_uses_gnu_s_runtime_its_threads_are_reached() -> None:
    assert "OpenMP" in torch.__config__.parallel_info()
    assert team._openmp() is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    side_by_side(lambda part: None, 2)  # the parent's are there
    child = os.fork()
    if child == 0:
        done: list[int] = []
        side_by_side(done.append, 2)
        os._exit(0 if sorted(done) == [0, 1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_rows_of_two_vectors_give_what_wider_ones_do() -> None:
    x = torch.randn(2, 3, 5, 17, dtype=torch.float64)
    for columns in (1, 3, 4, 5, 7, 8, 9, 16, 17):  # float64: a vector holds four
        narrow = x[..., :columns].contiguous()
        height, width = axis_means(narrow)
        torch.testing.assert_close(height, narrow.mean(3), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(width, narrow.mean(2), rtol=1e-13, atol=1e-13)
