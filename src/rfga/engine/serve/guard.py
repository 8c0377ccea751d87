"""What may reach the page's server, and what its pages may reach: nothing but each other."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from rfga.engine.serve.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_API = "/gradio_api"
_PAGES = frozenset({"/", "/config", "/theme.css", "/manifest.json", "/favicon.ico", "/robots.txt"})
_READ = frozenset(f"{_API}/{name}" for name in ("info", "queue/data", "upload_progress", "startup-events"))
_READ_BELOW = ("/assets/", "/static/", f"{_API}/heartbeat/")
_FILES, _UPLOAD = f"{_API}/file=", f"{_API}/upload"
_WRITE = frozenset({_UPLOAD, *(f"{_API}/{name}" for name in ("queue/join", "cancel", "reset"))})
_MAX_JSON_BYTES = 1_000_000
_EXTERNAL_META = re.compile(rb"<meta\b[^>]*https?://[^>]*>")

# The page's own scripts stand in it and make functions of text, so both must be allowed; from elsewhere the
# browser loads nothing, and sends nothing there.
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Guard:
    """Passes on to the page's server what the page needs, and refuses the rest.

    It lets through few addresses; files of one folder alone, in both directions; uploads of bounded size;
    nothing that a page from elsewhere sends; and on loopback nothing that was meant for another host name,
    by which pages from elsewhere pose as this one.

    Args:
        app: the server behind it.
        folder: of uploads and of the page's pictures.
        limits: of uploads.
        host: that the server listens at.
    """

    app: App
    folder: Path
    limits: Limits
    host: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the page opens no web sockets
        refusal = self._refusal(scope)
        if refusal:
            await _answer(send, *refusal)
            return
        if scope["method"] == "POST" and scope["path"] != _UPLOAD:
            body = await _body(receive)
            if not self._names_own_files(body):
                await _answer(
                    send, 403, "expected files that were sent to this page, found others: send them"
                )
                return
            receive = _again(body, receive)
        if scope["path"] == "/":
            await self._page(scope, receive, send)
        else:
            await self.app(scope, receive, with_headers(send, _HEADERS))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for a request that is not let through."""
        headers = headers_of(scope)
        if sentence := from_elsewhere(headers, self.host):
            return 403, sentence
        path, method = scope["path"], scope["method"]
        if not self._is_open(path, method):
            return 404, "expected an address of the page, found another: open /"
        if method == "POST":
            size = headers.get("content-length", "")
            most = self.limits.max_request_bytes if path == _UPLOAD else _MAX_JSON_BYTES
            if not size.isdecimal():
                return 411, "expected a request that states its size, found none: send content-length"
            if int(size) > most:
                return 413, f"expected at most {most} bytes at once, found {size}: send less"
        return None

    def _is_open(self, path: str, method: str) -> bool:
        if method == "POST":
            return path in _WRITE
        if method not in ("GET", "HEAD"):
            return False
        if path.startswith(_FILES):
            return self._is_own(path.removeprefix(_FILES))
        return path in _PAGES or path in _READ or path.startswith(_READ_BELOW)

    def _is_own(self, path: str) -> bool:
        """Whether a file lies in the folder, wherever links and dots lead."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder))

    def _names_own_files(self, body: bytes) -> bool:
        try:
            return all(self._is_own(path) for path in _paths(json.loads(body or b"null")))
        except (ValueError, RecursionError):  # no JSON, or a path that holds a zero byte
            return False

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page itself, without what names other places."""
        plain = {**scope, "headers": [h for h in scope["headers"] if h[0] != b"accept-encoding"]}
        start: Message = {}
        whole = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            whole.extend(message.get("body", b""))
            if not message.get("more_body"):
                body = _EXTERNAL_META.sub(b"", bytes(whole))
                headers = [h for h in start["headers"] if h[0].lower() != b"content-length"]
                start["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
                send_on = with_headers(send, _HEADERS)
                await send_on(start)
                await send_on({"type": "http.response.body", "body": body})

        await self.app(plain, receive, collect)


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a request by their names in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def from_elsewhere(headers: Mapping[str, str], listening: str) -> str:
    """Why a request is not of the server's own pages; "" where it is.

    Args:
        headers: of the request.
        listening: the host that the server listens at.

    Example:
        >>> from_elsewhere({"host": "127.0.0.1:7860", "origin": "https://elsewhere.org"}, "127.0.0.1")
        'expected a request of this page, found one of another: open the page itself'
    """
    host = headers.get("host", "")
    if is_loopback(listening) and not is_loopback(_without_port(host)):
        return "expected a request for this machine, found another host name: open 127.0.0.1"
    if "origin" in headers and headers["origin"].partition("://")[2] != host:
        return "expected a request of this page, found one of another: open the page itself"
    return ""


def _paths(value: Any) -> Iterator[str]:
    """Every text under the name ``path``, however deep: so the page's server is told of files."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _without_port(host: str) -> str:
    return host.rpartition(":")[0] if re.search(r":\d+$", host) and host != "::1" else host


def with_headers(send: Send, more: Mapping[str, str]) -> Send:
    """Answers with further headers."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode()) for name, value in more.items()]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return send_on


async def _body(receive: Receive) -> bytes:
    """The whole body; the server in front ends it where the stated size does."""
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already, then go on."""
    held: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return held.pop() if held else await receive()

    return receive_again


async def _answer(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    send_on = with_headers(send, _HEADERS)
    await send_on({"type": "http.response.start", "status": status, "headers": headers})
    await send_on({"type": "http.response.body", "body": sentence.encode()})
