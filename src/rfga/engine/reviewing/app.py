"""The page's server: a few addresses, of which each answers a question or keeps a change.

Photographs are asked for by number, so that no name becomes part of an address or of a path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, cast, get_args
from uuid import uuid4

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rfga.engine.reviewing.corrections import Mark, box_of
from rfga.engine.reviewing.pictures import STAGE_PIXELS, THUMBNAIL_PIXELS, jpeg_of
from rfga.engine.reviewing.review import Choice, Review
from rfga.engine.reviewing.sitting import Sitting
from rfga.engine.serve.guard import App, Receive, Scope, Send, from_elsewhere, headers_of, with_headers
from rfga.files import StorageError
from rfga.output.letters import legible
from rfga.types import UserError
from rfga.untrusted import parse_json

STATIC = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{
        f"/{name}.js": (f"{name}.js", "text/javascript")
        for name in ("page", "server", "list", "stage", "boxes")
    },
}
"""Address -> file of the package, and its kind."""

MOST_BYTES = 1_000_000  # of one request
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_KEPT_A_WHILE = {"cache-control": "private, max-age=3600"}


class Guarded:
    """Passes on what this machine's own page asks, of bounded size, and refuses the rest.

    Args:
        app: the server behind it.
        host: that the server listens at.
    """

    def __init__(self, app: App, host: str) -> None:
        self.app, self.host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # the page opens no web sockets
            kept = scope["path"].startswith(("/thumbnail/", "/photograph/"))
            send = with_headers(send, _HEADERS if kept else _HEADERS | {"cache-control": "no-store"})
            if refusal := self._refusal(scope):
                await PlainTextResponse(refusal[1], refusal[0])(scope, receive, send)
            else:
                await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = headers_of(scope)
        if sentence := from_elsewhere(headers, self.host):
            return 403, sentence
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "expected a request of this page, found one of another: open the page itself"
        if scope["method"] == "POST":
            size = headers.get("content-length", "")
            if not size.isdecimal():
                return 411, "expected a request that states its size, found none: send content-length"
            if int(size) > MOST_BYTES:
                return 413, f"expected at most {MOST_BYTES} bytes at once, found {size}: send less"
        return None


def build_app(sitting: Sitting, host: str) -> Guarded:
    """The program of a review's page.

    Args:
        sitting: of the person at the page.
        host: that the server listens at.
    """
    answers = _Answers(sitting)
    routes = [Route(path, _static(*file)) for path, file in STATIC.items()]
    routes += [
        Route("/favicon.ico", lambda request: Response(status_code=204)),
        Route("/thumbnail/{number:int}", answers.picture(THUMBNAIL_PIXELS)),
        Route("/photograph/{number:int}", answers.picture(STAGE_PIXELS)),
    ]
    asked: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
        "about": answers.about,
        "page": answers.page,
        "step": answers.step,
        "entry": answers.entry,
        "change": answers.change,
        "undo": lambda _: sitting.review.undo(),
        "redo": lambda _: sitting.review.redo(),
        "write": lambda _: {"files": sitting.write()},
        "learn": lambda _: {"said": legible(sitting.learn())},
    }
    routes += [Route(f"/ask/{name}", _asked(answer), methods=["POST"]) for name, answer in asked.items()]
    return Guarded(Starlette(routes=routes), host)


def _static(name: str, kind: str) -> Callable[[Request], Response]:
    content = files("rfga").joinpath("output", "review", "live", name).read_bytes()
    return lambda request: Response(content, media_type=kind)


def _asked(answer: Callable[[Mapping[str, Any]], Any]) -> Callable[[Request], Any]:
    """What a question in JSON is answered with: JSON, or a sentence."""

    async def answered(request: Request) -> Response:
        try:
            given = parse_json(await request.body() or b"{}")
            if not isinstance(given, dict):
                raise ValueError("no object")
            # In ASCII, for a name may hold bytes that are no UTF-8.
            content = json.dumps(await run_in_threadpool(answer, given))
            return Response(content, media_type="application/json")
        except UserError as error:
            status = 507 if isinstance(error, StorageError) else 400
            return PlainTextResponse(_shown(error), status)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            said = f"expected what the page sends, found something else ({error!r:.80}): load the page again"
            return PlainTextResponse(_shown(said), 400)

    return answered


class _Answers:
    """From what the page sends to calls of the review."""

    def __init__(self, sitting: Sitting) -> None:
        self._sitting = sitting
        self._name = uuid4().hex  # of pictures, which a browser keeps for a while

    @property
    def _review(self) -> Review:
        return self._sitting.review

    def about(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the page shows before any photograph."""
        place = self._review.found.place
        first = self._review.step_from(Choice("open"), None, 1)
        return {
            "sitting": self._name,
            "learns": self._sitting.learns,
            "learned": legible(self._sitting.learned[-1]) if self._sitting.learned else "",
            "classes": [legible(name) for name in self._review.classes],
            "found": len(place.classes),
            "photographs": len(self._review.found),
            "first": int(self._review.found.worst_first[0]) if first is None else first,
            **self._review.progress(),
        }

    def page(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A page of the list."""
        at = given.get("at")
        return self._review.page(
            _choice(given), _whole(given.get("page", 0)), None if at is None else _whole(at)
        )

    def step(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The next photograph, or the one before."""
        number, unseen = given.get("number"), given.get("unseen", False) is True
        by = -1 if given.get("by") == -1 else 1
        from_there = None if number is None else _whole(number)
        return {"number": self._review.step_from(_choice(given), from_there, by, unseen=unseen)}

    def entry(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """One photograph."""
        return self._review.entry(_whole(given["number"]))

    def change(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Something is said of a photograph."""
        if given["mark"] not in get_args(Mark):
            raise ValueError("no mark")
        classes = dict(enumerate(self._review.classes))
        boxes = [box_of(box["edges"], classes[_whole(box["class"])]) for box in given.get("boxes", ())]
        return self._review.change(_whole(given["number"]), cast(Mark, given["mark"]), boxes)

    def picture(self, longer_side_pixels: int) -> Callable[[Request], Response]:
        """Gives photographs at a size."""

        def pictured(request: Request) -> Response:
            try:
                path: Path | None = self._review.photograph(request.path_params["number"])
                if path is None:
                    return PlainTextResponse("expected a photograph, found none there: is it gone?", 404)
                content = jpeg_of(path, longer_side_pixels)
                return Response(content, media_type="image/jpeg", headers=_KEPT_A_WHILE)
            except UserError as error:
                return PlainTextResponse(_shown(error), 404)

        return pictured


def _shown(sentence: object) -> bytes:
    return legible(str(sentence)).encode("utf-8", "replace")


def _choice(given: Mapping[str, Any]) -> Choice:
    label = given.get("label")
    return Choice(given.get("shown", "all"), None if label is None else _whole(label))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("no whole number")
    return value
