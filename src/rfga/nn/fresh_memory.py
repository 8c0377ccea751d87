"""New large tensors in large pages of memory, where the system has them.

A tensor of 100 MB is new memory from the system each time, which is set to zero page by page as it is first
written. With pages of 4 kB that takes several times as long as the writing itself; with pages of 2 MB it does
not. Linux gives them to who asks ("madvise", the usual setting); PyTorch asks for all its tensors where
THP_MEM_ALLOC_ENABLE=1 is set, but not by itself.
"""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from typing import Any

import torch
from torch import Tensor

LARGE_BYTES = 4 << 20
"""Smaller tensors mostly get memory that is there already."""


def fresh_like(x: Tensor) -> Tensor:
    """A tensor of the shape, type and layout of ``x`` with arbitrary values, in large pages where possible.

    Example:
        >>> fresh_like(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """
    made = torch.empty_like(x)
    advise = _advise() if made.device.type == "cpu" and made.nbytes >= LARGE_BYTES else None
    if advise is not None:
        first = -(-made.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (made.data_ptr() + made.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
        advise(first, last - first, mmap.MADV_HUGEPAGE)  # advice alone: where it is refused nothing is lost
    return made


@cache
def _advise() -> Any:
    """The system's madvise; None where it knows nothing of large pages."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is not None:
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return advise
