"""Files appear whole or not at all: whoever looks, even after a kill, finds the old file or the new one.

What is written once is also brought to the disk before it takes its name, so that the same holds after a
power cut, as far as system and disk keep their word.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

import yaml

from rfga.types import UserError

_LEFTOVER_SUFFIX = ".tmp"
_LEFTOVER = re.compile(r"\.[0-9a-f]{32}\.tmp")
_MARK = ".rfga"  # in folders that a command of ours made, locked while it works there
_JOURNAL = ".journal.jsonl"  # of a run of localize that was made before there was a mark
# Codes of a disk that takes nothing more: full, over its quota (of blocks or of a file), read-only, broken.
_OF_STORAGE = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO") if hasattr(errno, name)
)
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class StorageError(UserError):
    """The disk takes nothing more, so that whatever is written next would fail as well."""


@contextmanager
def replacing(path: Path, *, one_of_many: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to: it becomes ``path`` when the block ends, and goes after an error.

    Args:
        path: the file to make or to replace; missing folders above it are made.
        one_of_many: do not wait until it is on the disk, which takes milliseconds; safe from a kill all the
            same, not from a power cut.

    Raises:
        UserError: the file cannot be written (folder, name), or ``path`` is a folder.
        StorageError: the disk is full, over its quota, read-only or broken.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replacing(folder / "numbers.txt") as temporary:
        ...     _ = temporary.write_text("1 2 3")
        >>> [path.name for path in folder.iterdir()]
        ['numbers.txt']
    """
    _refuse_folder(path)
    # Beside the target, since a move is atomic only within one file system; short, since names have limits.
    temporary = path.with_name(f".{uuid4().hex}{_LEFTOVER_SUFFIX}")
    make_folder(path.parent)
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # some writers make a file of their own that nobody else may read
        if not one_of_many:
            sync(temporary)
        temporary.replace(path)
        if not one_of_many:
            sync(path.parent)
    except OSError as error:
        raise _unwritable(path, _told_by_system(error, temporary)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, keep: Collection[str] = ()) -> Iterator[Path]:
    """Give a temporary folder to fill: it becomes ``path`` when the block ends, and goes after an error.

    Args:
        path: the folder to make, or to replace with all it holds.
        keep: what an earlier folder holds under these names moves into the new one.

    Raises:
        UserError: the folder cannot be written, or ``path`` is a file.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "numbers"
        >>> with replacing_folder(folder) as temporary:
        ...     _ = (temporary / "one.txt").write_text("1")
        >>> [path.name for path in folder.iterdir()]
        ['one.txt']
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"expected a folder name, found the file {path}: remove it or give another name")
    temporary = path.with_name(f".{uuid4().hex}{_LEFTOVER_SUFFIX}")
    make_folder(temporary)
    try:
        yield temporary
        _swap(path, temporary, keep)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk, where the system can do so.

    Raises:
        OSError: the disk is full or broken, which some systems tell no earlier.
    """
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:  # some network and user-space file systems know no such request
            raise
    finally:
        os.close(descriptor)


def require_writable(path: Path) -> None:
    """Find out before long work whether ``path`` can be written at its end; nothing is left behind.

    Raises:
        UserError: it cannot, or it is a folder.
    """
    _refuse_folder(path)
    try:
        TemporaryFile(dir=make_folder(path.parent)).close()
    except OSError as error:
        raise _unwritable(path, error) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what a kill in the midst of writing left directly in ``folder`` under temporary names."""
    for leftover in folder.glob(f".*{_LEFTOVER_SUFFIX}"):
        if is_leftover(leftover.name):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Whether a file is called as those that ``replacing`` works on.

    Example:
        >>> is_leftover(".0123456789abcdef0123456789abcdef.tmp"), is_leftover(".notes.tmp")
        (True, False)
    """
    return _LEFTOVER.fullmatch(name) is not None


@contextmanager
def claimed(folder: Path, command: str) -> Iterator[None]:
    """Mark a folder as made by a command of ours, and keep other calls out of it while the block runs.

    The lock is the system's, so that it goes with the process, however that ends.

    Args:
        folder: made where it is missing; it has to be empty or the command's own.
        command: what works in it, for the error.

    Raises:
        UserError: another process works in it, or it cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "boxes"
        >>> with claimed(folder, "rfga build"):
        ...     is_output(folder)
        True
    """
    from filelock import FileLock, Timeout

    mark_output(folder)
    with ExitStack() as held:
        try:
            # Not of this thread alone: a page's server may be the one that lets go.
            held.enter_context(FileLock(folder / _MARK, timeout=0, thread_local=False))
        except Timeout as error:
            raise UserError(
                f"expected one {command} at a time in {folder}, found that another one works there: wait "
                "until it has ended, or choose another --out"
            ) from error
        except (OSError, RuntimeError):
            pass  # some network file systems know no locks
        try:
            yield
        except BaseException:
            if not held_in(folder):  # nothing was made, so nothing is left
                (folder / _MARK).unlink(missing_ok=True)
            raise
    mark_output(folder)  # on some systems the lock takes its file along


def mark_output(folder: Path) -> None:
    """Mark a folder as made by a command of ours, so that nothing in it is taken for somebody's photographs.

    Raises:
        UserError: it cannot be written.
    """
    mark = make_folder(folder) / _MARK
    try:
        mark.touch()
    except OSError as error:
        raise _unwritable(mark, error) from error


def is_output(folder: Path) -> bool:
    """Whether a command of ours made this folder."""
    return any(os.path.lexists(folder / name) for name in (_MARK, _JOURNAL))


def held_in(folder: Path) -> list[str]:
    """Names of what lies in an output folder, without the mark and leftovers of our own, sorted."""
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if name != _MARK and not is_leftover(name))


def make_folder(path: Path) -> Path:
    """Create a folder with its parents, unless it is there.

    Raises:
        UserError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def write_json(path: Path, value: Any) -> None:
    """JSON with two spaces of indentation, moved into place whole."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        # A file name that is no valid UTF-8 is kept as JSON's own escapes, which readers turn back.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_yaml(path: Path, value: Any) -> None:
    """YAML in the order given, moved into place whole."""
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _swap(path: Path, temporary: Path, keep: Collection[str]) -> None:
    """Put ``temporary`` in the place of ``path``: a folder is not replaced in one step, but moved away."""
    if not path.exists():
        temporary.rename(path)
        return
    for name in keep:
        if (path / name).is_symlink() or (path / name).exists():
            (path / name).rename(temporary / name)
    before = path.with_name(f".{uuid4().hex}{_LEFTOVER_SUFFIX}")
    path.rename(before)
    try:
        temporary.rename(path)
    except OSError:
        before.rename(path)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _refuse_folder(path: Path) -> None:
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long
        raise _unwritable(path, error) from error
    if is_folder:
        raise UserError(f"expected a file name, found the folder {path}: remove it or give another name")


def _told_by_system(error: OSError, unfinished: Path) -> OSError:
    """Why a write failed: NumPy and Pillow tell that one did, but not why; to write on tells it."""
    if error.errno is None:
        try:
            with unfinished.open("ab") as stream:
                stream.write(bytes(2**20))
        except OSError as reason:
            return reason
    return error


def _unwritable(path: Path, error: OSError) -> UserError:
    found = f"expected to write {path}, found that it cannot be written ({error.strerror or error})"
    if error.errno in _OF_STORAGE:
        return StorageError(
            f"{found}: make room on that disk or mend it, then start again, with --resume where there is one"
        )
    return UserError(f"{found}: give another output folder, or make room")
