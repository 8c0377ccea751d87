"""Parts of one computation side by side, on the threads that PyTorch itself computes with.

A thread of OpenMP that has done its part of a PyTorch operation does not sleep: it waits for the next part
for some milliseconds, and keeps its core busy. Threads of our own would have to share that core, and a pass
over features then took half as long again. So the parts run on PyTorch's own threads, by the call that
compilers make for a parallel region (``GOMP_parallel``, of GNU's runtime and of LLVM's). Where PyTorch was
built with another runtime, and in a forked process, which has none of these threads, they run on a pool of
ours.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch

_REGION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PROCESS = os.getpid()


def side_by_side(work: Callable[[int], None], parts: int) -> None:
    """Call ``work(0)`` to ``work(parts - 1)``, each once, as many at a time as there are threads.

    What ``work`` does in Python runs one at a time; compiled code that gives up the interpreter's lock does
    not.

    Raises:
        BaseException: what a part raised; the others are done all the same.

    Example:
        >>> done = []
        >>> side_by_side(done.append, 3)
        >>> sorted(done)
        [0, 1, 2]
    """
    if parts == 1:
        work(0)
        return
    runtime = _openmp() if os.getpid() == _PROCESS else None
    if runtime is None:
        others = [_pool(os.getpid(), parts - 1).submit(work, part) for part in range(1, parts)]
        work(0)
        for other in others:
            other.result()
    else:
        _in_region(runtime, work, parts)


def _in_region(runtime: Any, work: Callable[[int], None], parts: int) -> None:
    raised: list[BaseException] = []

    def region(_: Any) -> None:
        # The runtime may give fewer threads than were asked for: each takes every so many-th part.
        for part in range(runtime.omp_get_thread_num(), parts, runtime.omp_get_num_threads()):
            try:
                work(part)
            except BaseException as error:  # it cannot pass through the runtime, so it is carried around it
                raised.append(error)

    runtime.GOMP_parallel(_REGION(region), None, parts, 0)
    if raised:
        raise raised[0]


@cache
def _openmp() -> Any:
    """The library through which PyTorch's runtime is reached; None where it is none that we know."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*")):
        try:
            library = ctypes.CDLL(str(path))
            library.GOMP_parallel.argtypes = [_REGION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            library.GOMP_parallel.restype = None
            for name in ("omp_get_thread_num", "omp_get_num_threads"):
                getattr(library, name).restype = ctypes.c_int
        except (OSError, AttributeError):
            continue
        return library
    return None


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process: a forked one inherits none that live."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"rfga-{process}")
