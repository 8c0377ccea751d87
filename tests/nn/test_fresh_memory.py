"""New tensors in large pages are tensors like any other."""

from __future__ import annotations

import mmap

import pytest
import torch

from rfga.nn import fresh_memory
from rfga.nn.fresh_memory import fresh_like


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [3, 520])  # below and above what the advice is given for
def test_a_fresh_tensor_can_be_filled_and_read(size: int, memory_format: torch.memory_format) -> None:
    x = torch.rand(2, 3, size, size + 1).contiguous(memory_format=memory_format)
    made = fresh_like(x)
    assert (made.shape, made.stride(), made.dtype) == (x.shape, x.stride(), x.dtype)
    made.copy_(x)
    assert torch.equal(made, x)


def test_the_advice_stays_within_the_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(
        fresh_memory, "_advise", lambda: lambda first, size, _advice: given.append((first, size))
    )
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 14, raising=False)
    made = fresh_like(torch.empty(1 << 21))
    ((first, size),) = given
    assert made.data_ptr() <= first
    assert first + size <= made.data_ptr() + made.nbytes
    assert size > made.nbytes - 2 * mmap.PAGESIZE
    fresh_like(torch.empty(1 << 10))
    assert len(given) == 1


def test_a_system_without_the_advice_gives_plain_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_memory, "_advise", lambda: None)
    assert fresh_like(torch.empty(1 << 21)).shape == (1 << 21,)
