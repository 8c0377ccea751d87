from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rfga.cli import main
from rfga.engine.reviewing.command import review_boxes
from rfga.engine.reviewing.sitting import ReviewCommand, opened
from tests.engine.reviewing import made


def test_ctrl_c_writes_what_was_said_and_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder, said = made.boxes_folder(tmp_path), []
    with opened(ReviewCommand(folder)) as review:
        review.change(1, "right")

    def announced(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 2:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    command = ReviewCommand(folder, port=0, formats=("coco", "csv"))
    review_boxes(command, announced)
    assert said[0].startswith("the page is at http://127.0.0.1:")
    assert said[2:] == [
        "writing the corrected boxes",
        "5 photographs: 1 right, 4 not looked at",
        f"written in {folder}: corrected.json, corrected/boxes.csv, corrected/wrong.txt",
        "the page has ended",
    ]
    assert len(json.loads((folder / "corrected.json").read_text())["images"]) == 5
    said.clear()
    review_boxes(command, announced)  # nothing new was said
    assert said[2:] == ["the page has ended"]
    assert capfd.readouterr().err == ""


def test_a_person_waits_for_no_network() -> None:
    code = (
        "import sys, rfga.engine.reviewing.app, rfga.engine.reviewing.command\n"
        "assert not {'torch', 'timm', 'lightning', 'gradio', 'fastapi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_without_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made.boxes_folder(tmp_path)
    assert main(["review", str(folder), "--export", "--format", "coco,voc"]) == 0
    assert "5 photographs: 5 not looked at" in capsys.readouterr().out
    assert {path.name for path in (folder / "corrected").iterdir()} == {"voc", "wrong.txt"}
    assert main(["review", str(tmp_path / "photos")]) == 1
    assert "expected a folder that rfga localize or rfga build wrote" in capsys.readouterr().err
    assert main(["review", str(folder), "--format", "coc"]) == 1
    assert "format" in capsys.readouterr().err


def test_what_localize_writes_can_be_reviewed(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    group = sorted((birds / "val").iterdir())[0]
    assert (
        main(["localize", str(tiny_run), str(group.parent), "--out", str(out), "--no-pictures", "--quiet"])
        == 0
    )
    coco = json.loads((out / "coco.json").read_text())
    with opened(ReviewCommand(out / "coco.json")) as review:
        assert list(review.found.names) == [image["file_name"] for image in coco["images"]]
        assert review.classes == tuple(category["name"] for category in coco["categories"])
        path = review.photograph(0)
        assert path is not None
        assert path == birds / "val" / coco["images"][0]["file_name"]
        review.change(0, "corrected", [(1.0, 2.0, 9.0, 8.0, review.classes[1])])
    # What a person said outlives new boxes.
    again = [
        "localize",
        str(tiny_run),
        str(group.parent),
        "--out",
        str(out),
        "--no-pictures",
        "--overwrite",
        "--quiet",
    ]
    assert main(again) == 0
    with opened(ReviewCommand(out)) as review:
        assert review.entry(0)["boxes"] == [{"edges": (1.0, 2.0, 9.0, 8.0), "class": 1, "score": None}]
