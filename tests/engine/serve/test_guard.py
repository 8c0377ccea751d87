from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rfga.engine.serve.guard import Guard, Message, Receive, Scope, Send
from rfga.engine.serve.limits import Limits

HOST = "127.0.0.1:7860"
LIMITS = Limits(max_upload_mb=0.001, max_photographs=2)


class Behind:
    """A server that keeps what reaches it and answers with a page."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.page = b'<meta content="https://elsewhere.org/a.png" /><meta name="a"/><p>x</p>'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await receive() if scope["method"] == "POST" else {}
        self.bodies.append(body.get("body", b""))
        assert not any(name == b"accept-encoding" for name, _ in scope["headers"]) or scope["path"] != "/"
        headers = [(b"content-length", str(len(self.page)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.page[:9], "more_body": True})
        await send({"type": "http.response.body", "body": self.page[9:]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.jpg").write_text("a")
    (tmp_path / "secret").write_text("s")
    (tmp_path / "own" / "link").symlink_to(tmp_path / "secret")
    return tmp_path / "own"


def asked(
    folder: Path,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    host: str = "127.0.0.1",
    **headers: str,
) -> tuple[int, bytes, dict[str, str], Behind]:
    """Status, body and headers of the answer, and the server behind."""
    behind, sent = Behind(), []
    given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None:
        given.setdefault("content-length", str(len(body)))
    half = len(body or b"") // 2
    parts = [(body or b"")[:half], (body or b"")[half:]]

    async def receive() -> Message:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value != "-"],
    }
    asyncio.run(Guard(behind, folder, LIMITS, host)(scope, receive, send))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]), answered, behind


@pytest.mark.parametrize(
    "path",
    ["/", "/config", "/assets/index.js", "/theme.css", "/gradio_api/queue/data", "/gradio_api/heartbeat/a"],
)
def test_what_the_page_needs_is_let_through(path: str, folder: Path) -> None:
    status, _, headers, _ = asked(folder, path)
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "http:" not in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/proxy=https://elsewhere.org/a"),
        ("GET", "/gradio_api/file=https://elsewhere.org/a"),
        ("GET", "/gradio_api/file=/etc/hosts"),
        ("GET", "/gradio_api/file="),
        ("GET", "/gradio_api/stream/a/b/1/playlist.m3u8"),
        ("GET", "/monitoring"),
        ("GET", "/docs"),
        ("POST", "/gradio_api/run/add"),
        ("POST", "/gradio_api/call/add"),
        ("POST", "/login"),
        ("POST", "/"),
        ("OPTIONS", "/"),
        ("DELETE", "/config"),
    ],
)
def test_other_addresses_are_not_there(method: str, path: str, folder: Path) -> None:
    status, said, _, behind = asked(folder, path, method, b"")
    assert (status, behind.bodies) == (404, [])
    assert b"expected an address of the page" in said


def test_files_of_the_folder_alone_are_given(folder: Path) -> None:
    def status(path: str) -> int:
        return asked(folder, f"/gradio_api/file={path}")[0]

    assert status(f"{folder}/a.jpg") == 200
    for path in (f"{folder}/../secret", f"{folder}/link", f"{folder.parent}/secret", f"{folder}x/a.jpg"):
        assert status(path) == 404, path


def test_files_of_the_folder_alone_are_taken(folder: Path) -> None:
    def told(value: Any) -> tuple[int, Behind]:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, _, _, behind = asked(folder, "/gradio_api/queue/join", "POST", body)
        return status, behind

    own = {"data": [[{"path": f"{folder}/a.jpg", "meta": {}}], 0.3], "fn_index": 0}
    status, behind = told(own)
    assert status == 200
    assert json.loads(behind.bodies[0]) == own
    wrong = ["/etc/hosts", "https://elsewhere.org/a.jpg", f"{folder}/../secret", f"{folder}/link", "a\0b"]
    for path in wrong:
        status, behind = told({"data": [{"deep": [{"path": path}]}]})
        assert (status, behind.bodies) == (403, []), path
    for broken in (b"{", b"\xff", b"[" * 100_000):
        assert told(broken)[0] == 403


def test_pages_from_elsewhere_reach_nothing(folder: Path) -> None:
    assert asked(folder, "/", origin=f"http://{HOST}")[0] == 200
    for origin in ("https://elsewhere.org", "null", "http://127.0.0.1:9999"):
        assert asked(folder, "/", origin=origin)[0] == 403


@pytest.mark.parametrize("name", ["elsewhere.org", "elsewhere.org:7860", "127.0.0.1.elsewhere.org", ""])
def test_other_host_names_are_refused_on_loopback(name: str, folder: Path) -> None:
    for listening, expected in (("127.0.0.1", 403), ("::1", 403), ("0.0.0.0", 200)):
        guard = Guard(Behind(), folder, LIMITS, listening)
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", name.encode())]}
        asyncio.run(guard(scope, receive, send))
        assert sent[0]["status"] == expected


@pytest.mark.parametrize("name", ["localhost", "localhost:80", "127.0.0.1", "[::1]:7860", "[::1]"])
def test_names_of_this_machine_are_accepted(name: str, folder: Path) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", name.encode())]}
    assert Guard(Behind(), folder, LIMITS, "127.0.0.1")._refusal(scope) is None


def test_sizes_are_stated_and_bounded(folder: Path) -> None:
    upload = "/gradio_api/upload"
    assert asked(folder, upload, "POST", b"x" * 2000)[0] == 200
    assert asked(folder, upload, "POST", b"x", content_length=str(LIMITS.max_request_bytes + 1))[0] == 413
    assert asked(folder, "/gradio_api/queue/join", "POST", b"{}", content_length="1000001")[0] == 413
    for size in ("-", "-5", "many"):
        assert asked(folder, upload, "POST", b"x", content_length=size)[0] == 411


def test_the_page_names_no_other_place(folder: Path) -> None:
    status, page, headers, _ = asked(folder, "/", accept_encoding="br")
    assert (status, page) == (200, b'<meta name="a"/><p>x</p>')
    assert headers["content-length"] == str(len(page))
