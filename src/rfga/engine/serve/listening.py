"""A server's place in this machine: the socket that it listens at, and the thread that it runs in."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from rfga.types import UserError

if TYPE_CHECKING:
    from rfga.engine.serve.guard import App

_LAST_PORT = 65535
_GRACE_SECONDS = 1  # for requests that are under way when the server is stopped


@contextmanager
def running(app: App, taken: socket.socket) -> Iterator[Callable[[], None]]:
    """Serve a program at a socket while the block lasts; gives what waits until the server has ended."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="critical",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    ended = threading.Event()

    def run() -> None:
        try:
            server.run(sockets=[taken])
        finally:
            ended.set()

    threading.Thread(target=run, daemon=True).start()
    try:
        while not (server.started or ended.wait(0.01)):
            pass
        if not server.started:
            raise RuntimeError("the server ended before it had started")
        yield lambda: _waited(ended)
    finally:
        server.should_exit = True
        ended.wait()


def listening(host: str, port: int) -> socket.socket:
    """A socket at the address.

    Raises:
        UserError: it cannot be had.
    """
    if not 0 <= port <= _LAST_PORT:  # some systems would take the rest of a division
        raise UserError(f"expected a port from 0 to {_LAST_PORT}, found --port {port}: give another")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, port, error) from error
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
    except OSError as error:
        made.close()
        raise _unusable(host, port, error) from error
    return made


def _unusable(host: str, port: int, error: OSError | UnicodeError) -> UserError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return UserError(
            f"expected a free port, found {port} of {host} taken: give another --port, or 0 for any"
        )
    return UserError(
        f"expected an address of this machine, found --host {host} --port {port} ({error}): give another"
    )


def address_of(host: str, taken: socket.socket) -> str:
    """What a browser on this machine opens."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{taken.getsockname()[1]}"


def _waited(ended: threading.Event) -> None:
    # For an event, since Python takes a thread for ended when Ctrl-C comes while it is joined; in steps,
    # since a wait without end keeps Ctrl-C waiting on some systems.
    while not ended.wait(0.5):
        pass


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """End on the system's request as on Ctrl-C, so that temporary files go."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
