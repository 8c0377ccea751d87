"""The parts of a job side by side, on the threads that PyTorch itself computes with.

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
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import Any

import torch

from rfga.nn.jobs import Job

_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PROCESS = os.getpid()


def work_off(job: Job, entry: int) -> None:
    """Call the C function at the address ``entry`` on the job until all its parts are claimed and done.

    As many calls at a time as the job has parts, if there are as many threads. ctypes gives up the
    interpreter's lock during a call.
    """
    call = _CALL(entry)
    if job.parts > 1:
        runtime = _openmp() if os.getpid() == _PROCESS else None
        if runtime is not None:
            runtime.GOMP_parallel(entry, job.address, job.parts, 0)
        else:
            pool = _pool(os.getpid(), job.parts)
            wait([pool.submit(call, job.address) for _ in range(job.parts)])
    while not job.is_claimed:  # a runtime may give fewer threads than it was asked for
        call(job.address)


@cache
def _openmp() -> Any:
    """The library through which PyTorch's runtime is reached; None where it is none that we know."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*")):
        try:
            library = ctypes.CDLL(str(path))
            library.GOMP_parallel.argtypes = [
                ctypes.c_void_p,
                ctypes.c_void_p,
                ctypes.c_uint,
                ctypes.c_uint,
            ]
            library.GOMP_parallel.restype = None
        except (OSError, AttributeError):
            continue
        return library
    return None


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process: a forked one inherits none that live."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"rfga-{process}")
