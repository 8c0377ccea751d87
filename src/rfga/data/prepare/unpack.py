"""Unpacks archives file by file: each one appears whole, and one that is there already is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from rfga.data.prepare.archive import DamagedError, Entry, chunks, entries, safe_name
from rfga.data.prepare.watch import MEGABYTE, Watch
from rfga.files import replacing
from rfga.types import UserError

Place = Callable[[str], str | None]
"""The path of a file inside an archive -> where it goes below the folder, or None to leave it out."""


@dataclass(frozen=True)
class Limits:
    """What an honest archive of photographs and lists never exceeds, against those made to fill a disk.

    Args:
        files: regular files.
        growth: bytes unpacked for each byte of the archive.
        free_bytes: allowed whatever the archive's size.
    """

    files: int = 2_000_000
    growth: int = 50
    free_bytes: int = 1 << 28


LIMITS = Limits()


@dataclass
class Unpacker:
    """Writes the files of one archive below ``folder``.

    Of files whose paths differ in nothing but the case of letters the first counts, for on some systems they
    are one file.

    Args:
        folder: where to.
        label: the archive's name in errors.
        archive_bytes: the archive's size, which the limits count from.
        limits: of what is unpacked.
    """

    folder: Path
    label: str
    archive_bytes: int
    limits: Limits = field(default_factory=lambda: LIMITS)
    written: int = 0
    _files: int = 0
    _bytes: int = 0
    _seen: set[str] = field(default_factory=set)

    def count(self, entry: Entry) -> None:
        """See that one more file keeps the archive within its limits, whether it is written or not.

        Raises:
            UserError: it does not.
        """
        self._files += 1
        self._bytes += entry.size_bytes
        most = max(self.limits.free_bytes, self.limits.growth * self.archive_bytes)
        if self._files > self.limits.files or self._bytes > most:
            raise UserError(
                f"expected at most {self.limits.files} files and {most} bytes in {self.label}, found more: "
                "get the archive from its official place"
            )

    def write(self, entry: Entry, target: str) -> None:
        """Write one file to ``target``, a path below the folder.

        Raises:
            UserError: the archive is damaged there, or the file cannot be written.
        """
        target = safe_name(target, self.label)
        if target.casefold() in self._seen:
            return
        self._seen.add(target.casefold())
        path = self.folder / target
        # Files are moved into place whole, so one of the right size was written before an interruption.
        if path.is_file() and path.stat().st_size == entry.size_bytes:
            return
        with (
            replacing(path, one_of_many=True) as temporary,
            temporary.open("wb") as file,
            entry.open() as content,
        ):
            self._copy(content, file, entry)
        self.written += 1

    def _copy(self, content: IO[bytes], file: IO[bytes], entry: Entry) -> None:
        copied = 0
        for chunk in chunks(content, self.label):
            copied += len(chunk)
            if copied > entry.size_bytes:
                break
            file.write(chunk)
        if copied != entry.size_bytes:
            raise DamagedError(
                f"expected {entry.size_bytes} bytes of {entry.name} in {self.label}, found {copied} or more: "
                "get the archive again"
            )


def unpack(archive: Path, folder: Path, place: Place, watch: Watch) -> int:
    """Unpack what ``place`` gives a path to, below ``folder``; the number of files that were not there yet.

    Raises:
        UserError: the archive is none, damaged, cut off, or made to do harm.
    """
    with opened_entries(archive, folder, watch) as (found, size_bytes):
        unpacker = Unpacker(folder, archive.name, size_bytes)
        for entry in found:
            unpacker.count(entry)
            target = None if _is_system_file(entry.name) else place(entry.name)
            if target is not None:
                unpacker.write(entry, target)
    return unpacker.written


@contextmanager
def opened_entries(archive: Path, folder: Path, watch: Watch) -> Iterator[tuple[Iterator[Entry], int]]:
    """The files of an archive that lies on disk, and its size in bytes; the reading shows on a meter.

    Raises:
        UserError: the archive cannot be opened.
    """
    try:
        handle = archive.open("rb")
    except OSError as error:
        raise UserError(f"expected an archive, found {archive} unreadable ({error}): check it") from error
    with handle:
        size_bytes = archive.stat().st_size
        with (
            watch.meter(f"unpacking {archive.name}, MB", size_bytes // MEGABYTE) as meter,
            closing(entries(handle, archive.name, folder)) as found,
        ):

            def metered() -> Iterator[Entry]:
                done = 0
                for entry in found:
                    yield entry
                    here = handle.tell() // MEGABYTE
                    meter.advance(max(0, here - done))
                    done = max(done, here)

            yield metered(), size_bytes


def _is_system_file(name: str) -> bool:
    """What macOS puts beside files when it makes an archive."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")
