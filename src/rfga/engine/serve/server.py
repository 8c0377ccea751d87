"""``rfga serve``: a page on this machine to try a model with, which needs no connection to anywhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rfga.engine.serve.guard import Guard, is_loopback
from rfga.engine.serve.limits import Limits
from rfga.engine.serve.listening import address_of, listening, running, termination_as_interrupt
from rfga.types import UserError

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
        taken = stack.enter_context(listening(command.host, command.port))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rfga-serve-")))
        # Gradio reads these when it is imported, and again for each part of a page.
        stack.enter_context(_environment({**_ENVIRONMENT, "GRADIO_TEMP_DIR": str(folder)}))
        wait = stack.enter_context(running(_guarded(command, folder), taken))
        yield Serving(address_of(command.host, taken), folder, wait)


def serve(command: ServeCommand, announce: Callable[[str], None]) -> None:
    """Serve a page until the keyboard or the system stops it.

    Args:
        command: what to serve, and where.
        announce: told where the page is, and who can reach it.

    Raises:
        UserError: see ``serving``.
    """
    try:
        with termination_as_interrupt(), serving(command) as page:
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


def _guarded(command: ServeCommand, folder: Path) -> Guard:
    """The page with everything behind it."""
    from rfga.engine.localizing.localizer import Localizer
    from rfga.engine.serve.desk import Desk

    localizer = Localizer.load(
        command.run,
        device=command.device,
        normalisation=command.normalisation,
        maps_from=command.maps_from,
    )
    # After the run is seen to be usable, since gradio takes seconds to import.
    from rfga.engine.serve.page import build_page

    desk = Desk(localizer, command.limits, folder)
    desk.warm_up()
    page = build_page(desk, f"{command.run.resolve().name} ({localizer.config.method})")
    return Guard(mounted(page, command.limits), folder, command.limits, command.host)


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
