"""`rfga build --correct`: corrected on the page, learned from there, and whole when it has ended."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from rfga.cli import main
from rfga.engine.reviewing.command import review_boxes
from tests.engine.building.test_box_set import QUICK, SOLVED, boxes_of, write_photographs


class Person:
    """Sits at the page as soon as it is told where that is, and leaves it with Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: dict[str, Any] = {}
        self.failed: Exception | None = None

        def with_a_person(command: Any, announce: Any, learn: Any = None) -> None:
            def announced(sentence: str) -> None:
                if sentence.startswith("the page is at "):
                    address = sentence.split()[4].removeprefix("http://")
                    threading.Thread(target=self._sits, args=(address,)).start()
                announce(sentence)

            review_boxes(command, announced, learn)

        monkeypatch.setattr("rfga.engine.building.correcting.review_boxes", with_a_person)

    def _sits(self, address: str) -> None:
        try:
            self.said["about"] = self._ask(address, "about")
            name = self._ask(address, "entry", number=0)["name"]
            box = {"edges": [3, 4, 40, 30], "class": 0}
            self._ask(address, "change", number=0, mark="corrected", boxes=[box])
            if self.said["about"]["learns"]:
                self.said["learned"] = self._ask(address, "learn")["said"]
            self.said["name"] = name
            self.said["after"] = self._ask(address, "entry", number=0)
        except Exception as error:
            self.failed = error
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    @staticmethod
    def _ask(address: str, question: str, **body: Any) -> Any:
        connection = HTTPConnection(address, timeout=600)
        connection.request("POST", f"/ask/{question}", json.dumps(body))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 200, content
        return json.loads(content)


def test_the_collection_learns_while_the_page_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person, out = Person(monkeypatch), tmp_path / "out"
    photographs = write_photographs(tmp_path / "photographs")
    command = ["build", str(photographs), "--out", str(out), *SOLVED, "--image-size", "64"]
    assert main([*command, "--correct", "--port", "0", "--format", "coco,csv"]) == 0
    assert person.failed is None
    assert person.said["learned"].startswith("all boxes found anew in ")
    assert person.said["after"]["boxes"][0]["edges"] == [3, 4, 40, 30]
    [kept] = boxes_of(out)[person.said["name"]]
    assert (kept["bbox"], kept["source"]) == ([3, 4, 37, 26], "person")
    assert json.loads((out / "run/metrics.json").read_text())["learned"]["corrections"]["photographs"] == 1
    written = {path.name for path in (out / "boxes").iterdir()}
    assert {"coco.json", "boxes.csv", "review.html", "corrected.json", "pictures"} <= written
    assert "writing the other formats and the review sheet" in capsys.readouterr().out
    # Called again it begins with what was learned: nothing is found anew.
    person.said.clear()
    assert main([*command, "--correct", "--port", "0"]) == 0
    assert person.failed is None
    assert "0 done, 24 skipped" in capsys.readouterr().out
    assert boxes_of(out)[person.said["name"]][0]["source"] == "person"
    # Called again with what was corrected, all is there.
    assert main([*command, "--truth", str(out / "boxes/corrected.json")]) == 0
    assert boxes_of(out)[person.said["name"]] == [kept]


def test_a_damaged_file_of_corrections_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs, out = write_photographs(tmp_path / "photographs"), tmp_path / "out"
    (out / "boxes").mkdir(parents=True)
    (out / "boxes/corrected.json").write_text('{"images": [')
    command = ["build", str(photographs), "--out", str(out), *SOLVED, "--image-size", "64", "--correct"]
    assert main(command) == 1
    assert "corrected.json" in capsys.readouterr().err


def test_what_is_trained_is_corrected_without_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, out = Person(monkeypatch), tmp_path / "out"
    photographs = write_photographs(tmp_path / "photographs")
    command = ["build", str(photographs), "--out", str(out), *QUICK, "--method", "cam", "--correct"]
    assert main([*command, "--port", "0"]) == 0
    assert person.failed is None
    assert not person.said["about"]["learns"]
    assert (out / "boxes/corrected.json").is_file()
    before = (out / "boxes/coco.json").read_bytes()
    assert main([*command, "--port", "0"]) == 0
    assert (out / "boxes/coco.json").read_bytes() == before, "nor are its boxes measured with"
