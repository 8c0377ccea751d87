"""The page's server, asked as a browser asks it, and as others do."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rfga.engine.reviewing.app import MOST_BYTES, STATIC
from rfga.engine.reviewing.command import HOST, Reviewing, reviewing
from rfga.engine.reviewing.pictures import THUMBNAIL_PIXELS
from rfga.engine.reviewing.sitting import ReviewCommand
from rfga.files import StorageError
from rfga.output.letters import legible
from tests.engine.reviewing import made


@dataclass
class Told:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.status == 200, self.body
        return json.loads(self.body)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewing]:
    found = made.predictions()
    found[3] = replace(found[3], size_hw=(1200, 2000))
    folder = made.boxes_folder(tmp_path_factory.mktemp("review"), found)
    photos = folder.parent / "photos"
    (photos / "cat" / "sure.jpg").write_text("no picture")
    (photos / "dog" / "none.png").unlink()
    turned = Image.fromarray(np.full((2000, 1200, 3), 90, np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # a viewer turns it
    turned.save(photos / "dog" / "two.jpg", exif=exif)
    with reviewing(ReviewCommand(folder, port=0)) as opened:
        yield opened


def told(page: Reviewing, path: str, body: Any = None, method: str = "", **headers: str) -> Told:
    """The answer to a request, as the page itself sends it unless ``headers`` say otherwise."""
    connection = HTTPConnection(page.address.removeprefix("http://"), timeout=60)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), path, content, given)
    answer = connection.getresponse()
    held = Told(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return held


def test_the_page_is_the_packages_own_and_may_load_nothing_else(page: Reviewing) -> None:
    assert page.address.startswith("http://127.0.0.1:")
    for path, (_, kind) in STATIC.items():
        answer = told(page, path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert not any(word in policy for word in ("unsafe", "http", "*", "data:"))
        assert answer.headers["cache-control"] == "no-store"
        addresses = answer.body.decode().replace('"http://www.w3.org/2000/svg"', "")
        assert "//" not in [line for line in addresses.splitlines() if "http" in line]
        assert b"<script>" not in answer.body
        assert b"style=" not in answer.body
    assert told(page, "/favicon.ico").status == 204


def test_what_the_page_asks(page: Reviewing) -> None:
    about = told(page, "/ask/about", {}).json
    assert (about["photographs"], about["classes"], about["first"]) == (5, list(made.CLASSES), 2)
    held = told(page, "/ask/page", {"shown": "all", "label": None, "page": 0}).json
    assert [item["number"] for item in held["items"]] == list(made.WORST_FIRST)
    assert [item["number"] for item in told(page, "/ask/page", {"label": 0}).json["items"]] == [0, 1]
    step = {"number": 2, "by": 1, "unseen": True}
    assert told(page, "/ask/step", step).json == {"number": 0}
    box = {"edges": [1, 2.5, 30, 40], "class": 1}
    changed = told(page, "/ask/change", {"number": 0, "mark": "corrected", "boxes": [box]}).json
    assert (changed["state"], changed["boxes"]) == ("corrected", [{**box, "score": None}])
    assert told(page, "/ask/entry", {"number": 0}).json["boxes"] == changed["boxes"]
    files = told(page, "/ask/write", {}).json["files"]
    assert "corrected.json" in files
    undone = told(page, "/ask/undo", {}).json
    assert (undone["number"], undone["state"], undone["redo"]) == (0, "open", 1)
    assert told(page, "/ask/redo", b"").json["state"] == "corrected"


def test_others_reach_nothing(page: Reviewing) -> None:
    own = page.address
    assert told(page, "/ask/undo", {}, origin=own, sec_fetch_site="same-origin").status == 200
    before = page.sitting.review.said.path.read_bytes()
    for headers in (
        {"origin": "https://elsewhere.org"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"host": "elsewhere.org"},
        {"host": f"{HOST}.elsewhere.org"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},  # another port of this machine
    ):
        for path, body in (
            ("/", None),
            ("/thumbnail/0", None),
            ("/ask/change", {"number": 1, "mark": "wrong"}),
        ):
            answer = told(page, path, body, **headers)
            assert (answer.status, answer.body[:18]) == (403, b"expected a request"), headers
    assert page.sitting.review.said.path.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        *(("/etc/hosts", "GET", 404), ("/page.py", "GET", 404), ("/../page.css", "GET", 404)),
        *(("/thumbnail/x", "GET", 404), ("/thumbnail/-1", "GET", 404), ("/thumbnail/5", "GET", 404)),
        *(("/thumbnail/99999999999999999999", "GET", 404), ("/photograph/..%2f0", "GET", 404)),
        *(("/ask/undo", "GET", 405), ("/", "DELETE", 405), ("/ask/others", "POST", 404)),
    ],
)
def test_other_addresses_are_not_there(path: str, method: str, status: int, page: Reviewing) -> None:
    assert told(page, path, b"" if method == "POST" else None, method).status == status


@pytest.mark.parametrize(
    ("name", "body"),
    [
        *(("change", b"{"), ("change", b"\xff"), ("change", b"[" * 100_000), ("change", []), ("change", {})),
        ("change", {"number": 0, "mark": "maybe"}),
        ("change", {"number": 0, "mark": ["right"]}),
        ("change", {"number": True, "mark": "right"}),
        ("change", {"number": 1.5, "mark": "right"}),
        ("change", {"number": 10**30, "mark": "right"}),
        ("change", {"number": 0, "mark": "corrected", "boxes": [[1, 2, 3, 4]]}),
        ("change", {"number": 0, "mark": "corrected", "boxes": [{"edges": [1, 2, 3], "class": 0}]}),
        (
            "change",
            b'{"number": 0, "mark": "corrected", "boxes": [{"edges": [0, 0, NaN, 9], "class": 0}]}',
        ),
        (
            "change",
            b'{"number": 0, "mark": "corrected", "boxes": [{"edges": [0, 0, 1e999, 9], "class": 0}]}',
        ),
        ("change", {"number": 0, "mark": "corrected", "boxes": [{"edges": [0, 0, 9, 9], "class": 3}]}),
        ("change", {"number": 0, "mark": "corrected", "boxes": [{"edges": [0, 0, 9, 9], "class": -1}]}),
        *(("page", {"shown": "x"}), ("page", {"shown": []}), ("page", {"page": "1"}), ("page", {"at": -1})),
        *(("entry", {"number": 5}), ("step", {"number": "a"}), ("page", {"label": "cat"})),
    ],
)
def test_what_the_page_would_not_send_is_told_in_a_sentence(name: str, body: Any, page: Reviewing) -> None:
    steps = page.sitting.review.said.steps
    answer = told(page, f"/ask/{name}", body)
    assert answer.status == 400, answer.body
    assert answer.body.startswith(b"expected ")
    assert page.sitting.review.said.steps == steps


@pytest.mark.parametrize(
    "name", ["cat/\udcff.jpg", "cat/</script><img src=x onerror=alert(1)>.jpg", "cat/\u202egpj.jpg"]
)
def test_names_are_text_and_cannot_turn_what_stands_beside_them(name: str, tmp_path: Path) -> None:
    found = [replace(made.predictions()[0], image_id=name)]
    with reviewing(ReviewCommand(made.boxes_folder(tmp_path, found), port=0)) as opened:
        answer = told(opened, "/ask/entry", {"number": 0})
        assert answer.headers["content-type"] == "application/json"
        assert answer.json["name"] == legible(name)
        assert told(opened, "/thumbnail/0").status == 200
        assert told(opened, "/ask/change", {"number": 0, "mark": "right"}).json["state"] == "right"
        assert told(opened, "/ask/write", {}).status == 200
        [image] = json.loads((opened.sitting.review.found.place.boxes / "corrected.json").read_text())[
            "images"
        ]
        assert image["file_name"] == name


def test_sizes_are_stated_and_bounded(page: Reviewing) -> None:
    large = told(page, "/ask/undo", b"x", content_length=str(MOST_BYTES + 1))
    assert (large.status, large.body[:16]) == (413, b"expected at most")
    assert told(page, "/ask/undo", b"0\r\n\r\n", transfer_encoding="chunked").status == 411


def test_pictures_are_made_upright_and_small(page: Reviewing) -> None:
    answer = told(page, "/thumbnail/3")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=3600"
    with Image.open(io.BytesIO(answer.body)) as image:
        assert image.size == (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS * 3 // 5)
    with Image.open(io.BytesIO(told(page, "/photograph/3").body)) as image:
        assert image.size == (1800, 1080)
    with Image.open(io.BytesIO(told(page, "/photograph/0").body)) as image:  # never enlarged
        assert image.size == (200, 120)


def test_pictures_that_cannot_be_had(page: Reviewing) -> None:
    for number in (1, 2):  # damaged, gone
        assert told(page, f"/thumbnail/{number}").status == 404


def test_a_change_that_cannot_be_kept_is_told(page: Reviewing, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(step: object) -> None:
        raise StorageError("expected to keep this, found no room")

    monkeypatch.setattr(page.sitting.review.said, "add", full)
    answer = told(page, "/ask/change", {"number": 4, "mark": "right"})
    assert (answer.status, answer.body) == (507, b"expected to keep this, found no room")
    assert told(page, "/ask/entry", {"number": 4}).json["state"] == "open"


def test_only_this_machine_is_listened_to(page: Reviewing) -> None:
    assert HOST == "127.0.0.1"
    assert Path(page.sitting.review.said.path).parent == page.sitting.review.found.place.boxes
