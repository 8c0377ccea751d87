"""Files appear whole or not at all: whoever looks, even after a kill, finds the old file or the new one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from rfga.types import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to: it becomes ``path`` when the block ends, and goes after an error.

    Args:
        path: the file to make or to replace; missing folders above it are made.

    Raises:
        UserError: the folder cannot be written, or ``path`` is a folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replacing(folder / "numbers.txt") as temporary:
        ...     _ = temporary.write_text("1 2 3")
        >>> [path.name for path in folder.iterdir()]
        ['numbers.txt']
    """
    if path.is_dir():
        raise UserError(f"expected a file name, found the folder {path}: remove it or give another name")
    # Beside the target, since a move is atomic only within one file system; short, since names have limits.
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    make_folder(path.parent)
    try:
        temporary.touch()
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_yaml(path: Path, value: Any) -> None:
    """YAML in the order given, moved into place whole."""
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"expected a folder that can be written, found that {folder} cannot be ({error.strerror}): "
        "choose another output folder"
    )
