"""``rfga serve``: a page on this machine to try a model with, which needs no connection to anywhere."""

from __future__ import annotations

import errno
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from rfga.engine.serve.guard import Guard, is_loopback
from rfga.engine.serve.limits import Limits
from rfga.types import UserError

_LAST_PORT = 65535
_GRACE_SECONDS = 1  # for requests that are under way when the server is stopped
_SESSIONS = 64  # of which gradio keeps what the parts of the page show
_ENVIRONMENT = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True)
class ServeCommand:
    """What ``rfga serve`` was asked for.

    Args:
        run: folder that ``rfga train`` made.
        host: address to listen at.
        port: to listen at; 0 for any that is free.
        maps_from: a post-hoc way to read maps, instead of the method's own.
        normalisation: of score maps, instead of the run's own.
        device: auto, cpu, cuda or mps.
        limits: of what is taken in and kept.
    """

    run: Path
    host: str = "127.0.0.1"
    port: int = 7860
    maps_from: str | None = None
    normalisation: str | None = None
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Serving:
    """A server that is listening."""

    address: str  # http://127.0.0.1:7860
    folder: Path  # of its temporary files
    wait: Callable[[], None]  # until it has ended


@contextmanager
def serving(command: ServeCommand) -> Iterator[Serving]:
    """A page of a run while the block lasts; its temporary files go with it.

    Args:
        command: what to serve, and where.

    Raises:
        UserError: gradio is missing, the port is taken, or the run cannot be used.
    """
    if find_spec("gradio") is None:
        raise UserError('expected gradio for the page, found it missing: pip install "rfga[serve]"')
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(command.host, command.port))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rfga-serve-")))
        # Gradio reads these when it is imported, and again for each part of a page.
        stack.enter_context(_environment({**_ENVIRONMENT, "GRADIO_TEMP_DIR": str(folder)}))
        server = _server(command, folder)
        ended = threading.Event()

        def run() -> None:
            try:
                server.run(sockets=[listening])
            finally:
                ended.set()

        def stop() -> None:
            server.should_exit = True
            ended.wait()

        threading.Thread(target=run, daemon=True).start()
        stack.callback(stop)
        while not (server.started or ended.wait(0.01)):
            pass
        if not server.started:
            raise RuntimeError("the server ended before it had started")
        yield Serving(_address(command.host, listening), folder, lambda: _waited(ended))


def serve(command: ServeCommand, announce: Callable[[str], None]) -> None:
    """Serve a page until the keyboard or the system stops it.

    Args:
        command: what to serve, and where.
        announce: told where the page is, and who can reach it.

    Raises:
        UserError: see ``serving``.
    """
    try:
        with _termination_as_interrupt(), serving(command) as page:
            announce(f"the page is at {page.address} (Ctrl-C ends it)")
            announce(reach_sentence(command.host))
            page.wait()
    except KeyboardInterrupt:
        announce("the page has ended")


def reach_sentence(host: str) -> str:
    """Who can reach a page that listens at an address.

    Example:
        >>> reach_sentence("127.0.0.1")
        'only this machine can reach it'
    """
    if is_loopback(host):
        return "only this machine can reach it"
    return (
        f"warning: with --host {host} whoever can reach this machine over the network can use the page, "
        "without a password and unencrypted: leave --host out to keep it to this machine"
    )


def _server(command: ServeCommand, folder: Path) -> Any:
    """The web server with everything behind it, not yet started."""
    from rfga.engine.localizing.localizer import Localizer
    from rfga.engine.serve.desk import Desk

    localizer = Localizer.load(
        command.run,
        device=command.device,
        normalisation=command.normalisation,
        maps_from=command.maps_from,
    )
    # After the run is seen to be usable, since gradio takes seconds to import.
    import uvicorn

    from rfga.engine.serve.page import build_page

    desk = Desk(localizer, command.limits, folder)
    desk.warm_up()
    page = build_page(desk, f"{command.run.resolve().name} ({localizer.config.method})")
    guard = Guard(mounted(page, command.limits), folder, command.limits, command.host)
    return uvicorn.Server(
        uvicorn.Config(
            guard,
            log_level="critical",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )


def mounted(page: Any, limits: Limits) -> Any:
    """The server's program of a page, which names no other place and shares no file but its own.

    Args:
        page: gradio's ``Blocks``, built.
        limits: of uploads.
    """
    import gradio as gr
    from fastapi import FastAPI

    from rfga.engine.serve.page import style, theme

    # Mounting leaves this unset, and without it gradio does not check that a file was uploaded.
    page.has_launched = True
    page.state_session_capacity = _SESSIONS
    program = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=limits.max_request_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=style(),
    )
    # A browser that knows of the limit would refuse a file by itself, and show its name as markup. The desk
    # does it with a sentence, and takes the other files.
    page.config["max_file_size"] = None
    for part in page.config["components"]:
        part["example_inputs"] = None  # they name files on the web
    return program


def _listening(host: str, port: int) -> socket.socket:
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


def _address(host: str, listening: socket.socket) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}"


def _waited(ended: threading.Event) -> None:
    # For an event, since Python takes a thread for ended when Ctrl-C comes while it is joined; in steps,
    # since a wait without end keeps Ctrl-C waiting on some systems.
    while not ended.wait(0.5):
        pass


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """End on the system's request as on Ctrl-C, so that temporary files go."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
