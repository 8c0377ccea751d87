"""Checkpoints on disk: written whole, looked through before the one before goes, never both lost.

A new checkpoint takes its name only when every byte of it has been brought to the disk and read back. The one
before stays beside it, and is what a run goes on from where the newest was damaged later.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch

from rfga.files import replacing, sync

PREVIOUS = "previous.ckpt"
"""The name of the checkpoint before the newest, in the same folder."""


def previous_of(path: Path) -> Path:
    """Where the checkpoint before the one at ``path`` is kept.

    Example:
        >>> previous_of(Path("run/checkpoints/last.ckpt")).as_posix()
        'run/checkpoints/previous.ckpt'
    """
    return path.with_name(PREVIOUS)


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint beside the old one, look it through, and only then let it take the old one's place.

    There are never more than two of them on the disk, and always a sound one.

    Args:
        checkpoint: tensors and plain values.
        path: of the newest checkpoint.

    Raises:
        UserError: the file cannot be written; the checkpoint that was at ``path`` is as it was.
    """
    previous, sound = previous_of(path), is_whole(path)
    with replacing(path) as temporary:
        if sound:
            previous.unlink(missing_ok=True)  # first, since a third one may not have room
        _save(checkpoint, temporary)
        sync(temporary)
        if not is_whole(temporary):
            raise OSError(errno.EIO, "what is read back is not what was written")
        if sound:
            path.replace(previous)


def drop_previous(path: Path) -> None:
    """Remove the checkpoint before the one at ``path``, if that one is sound: training has ended."""
    if is_whole(path):
        previous_of(path).unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether every part of a checkpoint is there and has the checksum that it was written with.

    ``torch.load`` looks at no checksum, so it may read damaged weights without a word.

    Example:
        >>> is_whole(Path("no/such/file"))
        False
    """
    try:
        with ZipFile(path) as archive:
            parts = archive.infolist()
            # As torch writes them; otherwise a few bytes could stand for endless work.
            plain = all(part.compress_type == ZIP_STORED for part in parts)
            fits = sum(part.file_size for part in parts) <= path.stat().st_size
            return plain and fits and archive.testzip() is None
    except Exception:  # damaged archives make the reader raise errors of many types
        return False


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        # Through a file of Python's, which tells why a write fails.
        with path.open("wb") as stream:
            torch.save(checkpoint, stream)
    except RuntimeError as error:
        if error.__context__ is None:
            raise
        raise error.__context__ from None  # torch tells that it could not go on, and hides why
