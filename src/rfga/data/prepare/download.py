"""Downloads that go on where they were cut off, and count only when their checksum is right."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rfga.data.prepare.watch import MEGABYTE, Watch
from rfga.files import make_folder
from rfga.types import UserError
from rfga.version import __version__

TIMEOUT_SECONDS = 30.0  # without a byte
ATTEMPTS = 4  # in a row that bring nothing
PAUSE_SECONDS = 2.0
CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Remote:
    """A file of the net.

    Args:
        url: where it lies.
        checksum: "md5:..." or "sha256:..." in hexadecimal digits.
        name: of the file here; by default the last part of ``url``.

    Example:
        >>> Remote("https://example.org/a/birds.tgz?download=1", "md5:0").file_name
        'birds.tgz'
    """

    url: str
    checksum: str
    name: str = ""

    @property
    def file_name(self) -> str:
        """The file's name here."""
        return self.name or self.url.partition("?")[0].rsplit("/", 1)[-1]


class _CutOffError(Exception):
    """The connection failed in a way that may pass."""


def fetch(remote: Remote, folder: Path, watch: Watch) -> Path:
    """Download a file into ``folder``, or go on with what an earlier call left there as ``NAME.part``.

    Raises:
        UserError: the net or the server fails, or the checksum is wrong; after a failure of the net, what
            has arrived is kept.
    """
    target = make_folder(folder) / remote.file_name
    if target.is_file():  # it is moved there only after its checksum was found right
        return target
    part = target.with_name(f"{target.name}.part")
    _receive_all(remote, part, watch)
    found = checksum_of(part, remote.checksum)
    if found != remote.checksum:
        part.unlink()
        raise UserError(
            f"expected {remote.url} to have the checksum {remote.checksum}, found {found}, so the download "
            "was thrown away: start again, or download it elsewhere and give it with --archives"
        )
    part.replace(target)
    return target


def checksum_of(path: Path, like: str) -> str:
    """The checksum of a file, of the kind that ``like`` is.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> checksum_of(path, "md5:0")
        'md5:d41d8cd98f00b204e9800998ecf8427e'
    """
    kind = like.partition(":")[0]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return f"{kind}:{digest.hexdigest()}"


def _receive_all(remote: Remote, part: Path, watch: Watch) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            return _receive(remote, part, watch)
        except _CutOffError as error:
            failures = 0 if _size(part) > before else failures + 1
            if failures == ATTEMPTS:
                raise _unreachable(remote, part, str(error)) from error
        time.sleep(PAUSE_SECONDS * failures)


def _receive(remote: Remote, part: Path, watch: Watch) -> None:
    """One request, from where ``part`` ends; returns when the server has sent everything."""
    have = _size(part)
    with _response(remote, part, have) as response:
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            total = _range_total(response)
            if total == have:
                return  # it was whole before its checksum could be looked at
            part.unlink(missing_ok=True)
            raise _CutOffError("the server's file is another one than before")
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server sends it from the start, whatever was asked for
        elif not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            raise _CutOffError("the server sent another part than the one asked for")
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            watch.meter(f"downloading {remote.file_name}, MB", (total or 0) // MEGABYTE) as meter,
            _opened(part, "r+b" if have else "wb") as file,
        ):
            file.seek(have)
            meter.advance(have // MEGABYTE)
            for chunk in _chunks(response):
                _write(file, chunk, part)
                meter.advance((have + len(chunk)) // MEGABYTE - have // MEGABYTE)
                have += len(chunk)
    if total is not None and have < total:
        raise _CutOffError(f"the connection ended after {have} of {total} bytes")


@contextmanager
def _response(remote: Remote, part: Path, have: int) -> Iterator[http.client.HTTPResponse | HTTPError]:
    headers = {"User-Agent": f"rfga/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urlopen(Request(remote.url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            reason = f"the server's answer {error.code} {error.reason}"
            passing = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
            if passing or error.code == HTTPStatus.TOO_MANY_REQUESTS:
                raise _CutOffError(reason) from error
            raise _unreachable(remote, part, reason) from error
        response = error
    except (OSError, http.client.HTTPException) as error:
        reason = f"no way there ({error.reason if isinstance(error, URLError) else error})"
        if have:
            raise _CutOffError(reason) from error
        raise _unreachable(remote, part, reason) from error
    with response:
        yield response


def _chunks(response: http.client.HTTPResponse | HTTPError) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _CutOffError(f"a broken connection ({error})") from error
        if not chunk:
            return
        yield chunk


@contextmanager
def _opened(part: Path, mode: str) -> Iterator[IO[bytes]]:
    try:
        file = part.open(mode)
    except OSError as error:
        raise _unwritable(part, error) from error
    with file:
        yield file


def _write(file: IO[bytes], chunk: bytes, part: Path) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise _unwritable(part, error) from error


def _unwritable(part: Path, error: OSError) -> UserError:
    return UserError(
        f"expected to write {part}, found that it cannot be written ({error.strerror or error}): make room, "
        "or give another output folder"
    )


def _range_total(response: http.client.HTTPResponse | HTTPError) -> int | None:
    said = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range") or "")
    return int(said[1]) if said else None


def _unreachable(remote: Remote, part: Path, reason: str) -> UserError:
    kept = f"{_size(part) / MEGABYTE:.0f} MB are kept, " if _size(part) else ""
    return UserError(
        f"expected to download {remote.url}, found {reason}: {kept}start again where there is a connection, "
        f"or download it elsewhere and give it with --archives {remote.file_name}"
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
