"""Photographs that cannot be read: told apart from what else may be wrong with the input."""

from __future__ import annotations

import os
from pathlib import Path

from rfga.types import UserError


class UnreadableError(UserError):
    """A photograph that is not there, or cannot be read as one."""


def require_there(path: Path) -> None:
    """See that a photograph that was there when the work began has not vanished since.

    A link to nothing passes: it could never be read.

    Raises:
        UnreadableError: it has.

    Example:
        >>> require_there(Path("lost.jpg"))
        Traceback (most recent call last):
        ...
        rfga.data.unreadable.UnreadableError: expected an image, found no file lost.jpg: check its name
    """
    if not os.path.lexists(path):
        raise UnreadableError(f"expected an image, found no file {path}: check its name")
