"""The review in a real browser: drawn with the mouse, kept, read back; and nothing leaves the machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rfga.engine.reviewing.command import reviewing
from rfga.engine.reviewing.sitting import ReviewCommand
from tests.engine.reviewing import made
from tests.engine.reviewing.test_sitting import finding
from tests.engine.serve.browser import NAMES, Tab, browser_tab, find_browser

CONTROL, SHIFT = 2, 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason=f"none of {', '.join(NAMES)} is installed"),
]


class Person:
    """Somebody at the page, with a mouse and keys."""

    def __init__(self, tab: Tab, boxes: Path) -> None:
        self.tab, self.boxes = tab, boxes

    def shows(self, name: str) -> None:
        """Waits until a photograph is shown whole."""
        whole = "document.querySelector('#photograph')?.complete"
        first = "document.querySelector('#about span')?.textContent"
        self.tab.until(f"{whole} && {first}", lambda shown: shown == name)

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the photograph is."""
        place = self.tab.value(
            "(() => { const p = document.querySelector('#boxes').getBoundingClientRect();"
            " return [p.left, p.top, p.width, p.height]; })()"
        )
        height, width = made.SIZE_HW
        return place[0] + x * place[2] / width, place[1] + y * place[3] / height

    def drag(self, start: Sequence[float], end: Sequence[float], modifiers: int = 0) -> None:
        from_xy, to_xy = self.on_screen(*start), self.on_screen(*end)
        middle = tuple((a + b) / 2 for a, b in zip(from_xy, to_xy, strict=True))
        for kind, (x, y), buttons in (
            ("mouseMoved", from_xy, 0),
            ("mousePressed", from_xy, 1),
            ("mouseMoved", middle, 1),
            ("mouseMoved", to_xy, 1),
            ("mouseReleased", to_xy, 0),
        ):
            self.tab.call(
                "Input.dispatchMouseEvent",
                **{"type": kind, "x": x, "y": y, "buttons": buttons, "modifiers": modifiers},
                **{"button": "none" if kind == "mouseMoved" else "left", "clickCount": 1},
            )

    def press(self, key: str, modifiers: int = 0, times: int = 1) -> None:
        code = 32 if key == " " else ord(key.upper()) if len(key) == 1 else {"Delete": 46}.get(key, 0)
        text = {"text": key} if len(key) == 1 and not modifiers & CONTROL else {}
        for _ in range(times):
            event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            self.tab.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
            self.tab.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def kept(self, steps: int) -> Any:
        """The last line of so many in the file of corrections."""
        file = json.dumps(str(self.boxes / "corrections.jsonl"))
        lines: list[str] = []
        # Asked by way of the browser, which has a patience of its own.
        self.tab.until(f"{file} && 1", lambda _: len(_lines(self.boxes, lines)) == steps)
        return json.loads(lines[-1])


def _lines(boxes: Path, lines: list[str]) -> list[str]:
    path = boxes / "corrections.jsonl"
    lines[:] = path.read_text().splitlines() if path.exists() else []
    return lines


def near(box: Sequence[Any], edges: Sequence[float], name: str) -> None:
    assert box[:4] == pytest.approx(edges, abs=0.6)  # of a pixel of the photograph; on the screen it is four
    assert box[4] == name


def test_a_sitting(tmp_path: Path) -> None:
    boxes = made.boxes_folder(tmp_path)
    with (
        reviewing(ReviewCommand(boxes, port=0)) as page,
        browser_tab(tmp_path / "profile", (1280, 800)) as tab,
    ):
        person = Person(tab, boxes)
        tab.open(page.address)
        person.shows("dog/none.png")  # the worst first
        person.drag((20, 30), (120, 90))
        [drawn] = person.kept(1)["boxes"]
        near(drawn, (20, 30, 120, 90), "dog")
        person.press(" ")
        person.shows("cat/unsure.jpg")
        person.drag((55, 40), (65, 45))  # moved by its inside
        near(person.kept(2)["boxes"][0], (30, 15, 100, 75), "cat")
        person.drag((100, 75), (140, 110))  # resized by its corner
        near(person.kept(3)["boxes"][0], (30, 15, 140, 110), "cat")
        person.press("2")  # another class
        near(person.kept(4)["boxes"][0], (30, 15, 140, 110), "dog")
        person.drag((50, 40), (90, 80), SHIFT)  # drawn on top of it
        two = person.kept(5)["boxes"]
        near(two[1], (50, 40, 90, 80), "dog")
        person.press("ArrowRight", SHIFT | CONTROL, times=3)
        near(person.kept(6)["boxes"][1], (50, 40, 93, 80), "dog")
        person.press("Delete")
        assert len(person.kept(7)["boxes"]) == 1
        tab.screenshot(tmp_path / "corrected.png")
        person.press("z", CONTROL)
        assert person.kept(8) == {"step": "undo"}
        person.press(" ")
        person.shows("dog/two.jpg")
        person.press("r")
        assert person.kept(9)["mark"] == "right"
        person.shows("dog/<img src=x>.png")
        person.press("n")
        assert (person.kept(10)["mark"], person.kept(10)["boxes"]) == ("corrected", [])
        person.shows("cat/sure.jpg")
        person.press("w")
        assert person.kept(11)["mark"] == "wrong"
        tab.until("document.querySelector('#progress').textContent.startsWith('5 of 5 looked at')")
        person.press("u")
        person.press("u")  # goes to the photograph whose mark it takes back
        person.shows("dog/<img src=x>.png")
        person.kept(13)
        tab.value("document.querySelector('#write').click()")
        tab.until("document.querySelector('#kept').textContent.startsWith('written: corrected.json')")
        assert [address for address in tab.requested if not address.startswith(f"{page.address}/")] == []
        assert tab.complaints == []
        assert tab.dialogs == []
        assert tab.value("document.querySelectorAll('img[src=x]').length") == 0
    coco = json.loads((boxes / "corrected.json").read_text())
    held = {image["id"]: image for image in coco["images"]}
    assert {image["file_name"] for image in held.values() if image.get("reviewed")} == {
        *("dog/none.png", "cat/unsure.jpg", "dog/two.jpg")
    }
    [drawn] = [one for one in coco["annotations"] if held[one["image_id"]]["file_name"] == "dog/none.png"]
    assert drawn["bbox"] == pytest.approx([20, 30, 100, 60], abs=1)
    assert (drawn["source"], drawn["score"]) == ("person", 1)


def test_a_small_window_goes_on_where_one_stopped(tmp_path: Path) -> None:
    boxes = made.boxes_folder(tmp_path)
    with reviewing(ReviewCommand(boxes, port=0)) as page:
        page.sitting.review.change(2, "corrected", [])
        page.sitting.review.change(0, "right")
    with (
        reviewing(ReviewCommand(boxes, port=0)) as page,
        browser_tab(tmp_path / "profile", (700, 900)) as tab,
    ):
        person = Person(tab, boxes)
        tab.open(page.address)
        person.shows("dog/two.jpg")
        assert tab.value("document.documentElement.scrollWidth") <= 700
        person.drag((3, 65), (50, 118))
        near(person.kept(3)["boxes"][2], (3, 65, 50, 118), "dog")
        shown = "document.querySelector('#shown')"
        tab.value(f"{shown}.value = 'open'; {shown}.dispatchEvent(new Event('change'))")
        tab.until("document.querySelectorAll('#thumbnails li').length", lambda count: count == 2)
        tab.screenshot(tmp_path / "small.png")
        person.press("?")
        assert tab.value("document.querySelector('#keys').open")
        tab.screenshot(tmp_path / "keys.png")
        assert tab.complaints == []


def test_the_button_has_the_collection_learn(tmp_path: Path) -> None:
    boxes = made.boxes_folder(tmp_path)
    learn = finding(boxes, [])
    with (
        reviewing(ReviewCommand(boxes, port=0), learn) as page,
        browser_tab(tmp_path / "profile", (1280, 800)) as tab,
    ):
        person = Person(tab, boxes)
        tab.open(page.address)
        person.shows("dog/none.png")
        person.press("l")  # nothing is corrected yet
        tab.until("document.querySelector('#kept').textContent.startsWith('expected corrected photographs')")
        assert tab.complaints.pop().startswith("Failed to load resource")  # what was refused
        person.drag((20, 30), (120, 90))
        person.kept(1)
        tab.value("document.querySelector('#learn').click()")
        tab.until("document.querySelector('#kept')?.textContent", lambda said: said == "all found anew")
        tab.screenshot(tmp_path / "learned.png")
        person.shows("cat/sure.jpg")
        tab.until("document.querySelectorAll('svg .box.found').length", lambda count: count == 1)
        assert tab.complaints == []
    with reviewing(ReviewCommand(boxes, port=0)) as page, browser_tab(tmp_path / "other", (800, 600)) as tab:
        tab.open(page.address)
        Person(tab, boxes).shows("cat/sure.jpg")
        assert tab.value("document.querySelector('#learn').hidden"), "a review without a build cannot learn"
