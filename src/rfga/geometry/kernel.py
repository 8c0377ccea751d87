"""How the loops over pixels are compiled: once, kept on disk, free of Python's lock."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

Index = np.uintp
"""An index that cannot be negative: with it the compiler leaves out Python's counting from the end."""

ONE = Index(1)

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _sources_fingerprint() -> str:
    """Changes with any file that may hold a kernel."""
    digest = blake2b(digest_size=8)
    for folder in ("geometry", "metrics"):
        for source in sorted((Path(__file__).parents[1] / folder).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _compiled(function: Callable[P, R], fastmath: set[str]) -> Callable[P, R]:
    settings = vars(numba.config)
    chosen = settings["CACHE_DIR"]  # by the user, empty by default
    folder = Path(chosen) if chosen else Path(function.__code__.co_filename).parent / "__pycache__"
    # Numba looks for changes in a kernel's own file only, not in those of the kernels it calls. Where this
    # folder cannot be written, Numba takes another.
    settings["CACHE_DIR"] = str(folder / f"kernels-{_sources_fingerprint()}")
    try:
        compiled = numba.njit(nogil=True, cache=True, boundscheck=False, fastmath=fastmath)(function)
    finally:
        settings["CACHE_DIR"] = chosen
    return cast("Callable[P, R]", compiled)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function of arrays at its first call; threads run it side by side.

    Arithmetic stays as written, so that results are the same on every processor. A kernel allocates what it
    needs at each call; nothing is shared between threads.

    Example:
        >>> from rfga.geometry.levels.spans import level_spans  # one of them
        >>> largest, every, highest = level_spans(np.array([[0.0, 1.0, 0.0]]), True, True)
        >>> highest, every.tolist()
        (255, [[0, 0, 0, 0, 255, 255], [1, 0, 2, 0, 0, 254]])
    """
    return _compiled(function, set())


def fused_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """A kernel that rounds a product and the sum it goes into once, where the processor can."""
    return _compiled(function, {"contract"})


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a small function into the kernels that call it: for what is called at every node or link.

    Example:
        >>> @inlined
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> double(4)
        8
    """
    compiled = numba.njit(nogil=True, boundscheck=False, inline="always")(function)
    return cast("Callable[P, R]", compiled)
