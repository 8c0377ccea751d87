"""Reads tar and zip archives of strangers: nothing in them may lead out of the folder they go to.

Only regular files are given out. A link or path that leads outside, an absolute path, a drive letter or a
device makes the whole archive refused; links that stay inside are passed over, since no set needs one.
"""

from __future__ import annotations

import lzma
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol

from rfga.types import UserError

CHUNK_BYTES = 1 << 18
LONGEST_LINK_BYTES = 4096
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Entry:
    """A regular file of an archive.

    Args:
        name: below the archive's folder, with forward slashes.
        size_bytes: unpacked, as the archive says.
        open: gives its content; to be read before the next entry is asked for.
    """

    name: str
    size_bytes: int
    open: Callable[[], IO[bytes]]


class DamagedError(UserError):
    """The archive is damaged or cut off: what came out of it before that is not to be trusted."""


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` more bytes; none at the end."""


def entries(handle: IO[bytes], label: str, folder: Path) -> Generator[Entry, None, None]:
    """The regular files of an archive, in its order.

    Args:
        handle: the archive, at its start; it must be able to seek.
        label: the archive's name in errors.
        folder: where it will be unpacked.

    Raises:
        UserError: it is neither tar nor zip, is damaged or cut off, or holds what may lead out of ``folder``.
    """
    with damage_told(label):
        if tarfile.is_tarfile(handle):
            with tarfile.open(fileobj=handle) as tar:
                yield from _tar_entries(tar, label, folder)
        elif zipfile.is_zipfile(handle):
            with zipfile.ZipFile(handle) as archive:
                yield from _zip_entries(archive, label)
        else:
            raise UserError(f"expected a tar or zip archive, found {label} to be none: get it again")


def safe_name(name: str, label: str) -> str:
    r"""A path inside an archive with forward slashes, once it is known to stay inside.

    Raises:
        UserError: it does not, on any system.

    Example:
        >>> safe_name("./CUB_200_2011/images.txt", "birds.tgz")
        'CUB_200_2011/images.txt'
        >>> safe_name("birds/..\\..\\evil.txt", "birds.tgz")
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected paths inside birds.tgz, found ... that climbs out of its folder: ...
    """
    if name.startswith(("/", "\\")):
        raise _refused(label, name, "that is absolute")
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    if any(_DRIVE.match(part) for part in parts):
        raise _refused(label, name, "with a drive letter")
    if any(not part.strip(". ") for part in parts):  # Windows drops dots and spaces at the end of a name
        raise _refused(label, name, "that climbs out of its folder")
    if "\0" in name:
        raise _refused(label, name, "with a zero byte")
    return "/".join(parts)


def chunks(stream: Readable, label: str) -> Iterator[bytes]:
    """What is left of ``stream``, in pieces.

    Raises:
        DamagedError: the archive is damaged or cut off there.
    """
    with damage_told(label):
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def damage_told(label: str) -> Iterator[None]:
    """Turns what a reader of archives says of damage into one sentence."""
    try:
        yield
    except DAMAGED as error:
        raise DamagedError(
            f"expected a whole archive, found {label} damaged or cut off ({error or type(error).__name__}): "
            "get it again"
        ) from error


def _tar_entries(tar: tarfile.TarFile, label: str, folder: Path) -> Iterator[Entry]:
    for member in tar:
        name = safe_name(member.name, label)
        if member.issym() or member.islnk():
            _require_inside(name, member.linkname, label, from_root=member.islnk())
        elif not (member.isreg() or member.isdir()):
            raise _refused(label, member.name, "of a device")
        try:
            tarfile.data_filter(member, str(folder))
        except tarfile.FilterError as error:
            raise _refused(label, member.name, f"that is unsafe ({error})") from error
        if member.isreg():
            yield Entry(name, member.size, partial(_tar_content, tar, member, label))
    _require_end(tar, label)


def _tar_content(tar: tarfile.TarFile, member: tarfile.TarInfo, label: str) -> IO[bytes]:
    with damage_told(label):
        content = tar.extractfile(member)
    if content is None:
        raise _refused(label, member.name, "without content")
    return content


def _require_end(tar: tarfile.TarFile, label: str) -> None:
    """The reader takes a header that is cut off or damaged for the end, so the real end is asked for."""
    handle = tar.fileobj
    if handle is None:
        return
    handle.seek(tar.offset)
    block = handle.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise EOFError("no end mark")
    for _ in chunks(handle, label):  # the checksum of a compressed file stands at its end
        pass


def _zip_entries(archive: zipfile.ZipFile, label: str) -> Iterator[Entry]:
    for member in archive.infolist():
        safe_name(member.orig_filename, label)
        name = safe_name(member.filename, label)
        kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where the archive was made without
        if kind == stat.S_IFLNK:
            with archive.open(member) as link:
                target = link.read(LONGEST_LINK_BYTES).decode("utf-8", "replace")
            _require_inside(name, target, label, from_root=False)
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(label, name, "of a device")
        elif not member.is_dir():
            yield Entry(name, member.file_size, partial(_zip_content, archive, member, label))


def _zip_content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: str) -> IO[bytes]:
    with damage_told(label):
        return archive.open(member)


def _require_inside(name: str, target: str, label: str, *, from_root: bool) -> None:
    """A link's target stays in the archive's folder; hard links count from its root, others from the link."""
    there = target.replace("\\", "/")
    joined = posixpath.normpath(there if from_root else posixpath.join(posixpath.dirname(name), there))
    if there.startswith("/") or _DRIVE.match(there) or joined.split("/")[0] == "..":
        raise _refused(label, f"{name} -> {target}", "of a link that leads outside")


def _refused(label: str, name: str, why: str) -> UserError:
    return UserError(
        f"expected paths inside {label}, found {name!r:.200} {why}: get the archive from its official place"
    )
