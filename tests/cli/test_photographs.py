"""Photographs of every kind, good and bad, from the command line to its end."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from rfga.cli import main
from rfga.cli.printing import print_summary
from rfga.engine.localizing.journal import Summary
from tests.engine import tiny
from tests.odd_photographs import BAD, GOOD, SIZE_WH, picture

PLAIN = 20  # photographs a class, so that the bad ones are less than a tenth


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes whose training photographs are of every kind; all of val are good."""
    data = tmp_path_factory.mktemp("odd") / "data"
    for name in ("cat", "Grüner Hund, klein"):
        for split in ("train", "val"):
            (data / split / name).mkdir(parents=True)
        for number in range(PLAIN):
            picture(number).save(data / "train" / name / f"{number}.png")
        for file, write in GOOD.items():
            write(data / "train" / name / file)
            write(data / "val" / name / file)
    for file, (write_bad, _) in BAD.items():
        write_bad(data / "train" / "cat" / file)
    return data


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run, and what was said while it was trained."""
    run, said = tmp_path_factory.mktemp("odd_run") / "run", io.StringIO()
    truth = folder / "val_boxes.json"
    truth.write_text(json.dumps(boxes(folder)))
    command = [
        "train",
        str(folder),
        "--out",
        str(run),
        "--truth",
        str(truth),
        *tiny.flags(batch_size=16, epochs=1),
    ]
    with contextlib.redirect_stdout(said):
        assert main(command) == 0
    return run, said.getvalue()


def boxes(folder: Path) -> dict[str, Any]:
    """Boxes in the right half of every photograph of val, as a viewer shows it."""
    names = sorted(path.relative_to(folder / "val").as_posix() for path in (folder / "val").rglob("*.*"))
    width, height = SIZE_WH
    size, box = {"width": width, "height": height}, [width / 2, 0, width / 2, height]
    return {
        "images": [{"id": i, "file_name": name, **size} for i, name in enumerate(names)],
        "annotations": [{"image_id": i, "bbox": box} for i in range(len(names))],
    }


def localized(run: Path, photographs: Path, out: Path, *flags: str) -> dict[str, Any]:
    """The summary of ``rfga localize``."""
    assert main(["localize", str(run), str(photographs), "--out", str(out), "--workers", "0", *flags]) == 0
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def test_bad_training_photographs_are_skipped_and_listed(trained: tuple[Path, str]) -> None:
    run, said = trained
    skipped = yaml.safe_load((run / "config.yaml").read_text())["data"]["skipped"]
    reasons = {item["image"]: item["reason"] for item in skipped}
    assert set(reasons) == {f"train/cat/{file}" for file in BAD}
    page = (run / "report.html").read_text()
    for file, (_, reason) in BAD.items():
        assert reason in reasons[f"train/cat/{file}"]
        assert f"skipped train/cat/{file}: expected" in said
        assert f"skipped in training: train/cat/{file}" in page
    assert f"{2 * PLAIN + 2 * len(GOOD)} photographs of 2 classes" in said
    assert json.loads((run / "metrics.json").read_text())["evaluations"]["val"]["images"] == 2 * len(GOOD)


def test_boxes_fit_what_a_viewer_shows(trained: tuple[Path, str], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    localized(trained[0], folder / "val", out, "--masks")
    held = json.loads((out / "coco.json").read_text())
    assert {Path(image["file_name"]).name for image in held["images"]} == set(GOOD)
    for image in held["images"]:
        assert (image["width"], image["height"]) == SIZE_WH, image["file_name"]
        with Image.open(out / "pictures" / f"{image['file_name']}.jpg") as drawn:
            assert drawn.width > drawn.height
        with Image.open(out / "masks" / f"{image['file_name']}.png") as mask:
            assert mask.size == SIZE_WH
    for annotation in held["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert 0 <= x < x + width <= SIZE_WH[0]
        assert 0 <= y < y + height <= SIZE_WH[1]
    classes = {category["id"]: category["name"] for category in held["categories"]}
    names = {image["id"]: image["file_name"].split("/")[0] for image in held["images"]}
    assert all(classes[a["category_id"]] == names[a["image_id"]] for a in held["annotations"])


def test_failures_are_listed_and_the_counts_add_up(
    trained: tuple[Path, str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ("--workers", "2", "--batch-size", "8", "--format", "coco,csv")
    said = localized(trained[0], folder / "train" / "cat", out, *flags)
    assert said["inputs"] == PLAIN + len(GOOD) + len(BAD)
    assert said["done"] + said["skipped"] + len(said["failed"]) == said["inputs"]
    assert set(said["failed"]) == set(BAD)
    shown = capsys.readouterr()
    assert f"{said['inputs']} photographs: {said['done']} done" in shown.out
    for file, (_, reason) in BAD.items():
        assert reason in said["failed"][file]
        assert f"failed {file}: expected" in shown.err
    assert "Traceback" not in shown.err
    assert "Warning" not in shown.err
    assert len(json.loads((out / "coco.json").read_text())["images"]) == said["done"]


def test_file_that_is_none_of_ours(trained: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "notes.pdf").write_text("no picture")
    said = localized(trained[0], tmp_path / "notes.pdf", tmp_path / "out")
    assert (said["inputs"], said["done"], list(said["failed"])) == (1, 0, ["notes.pdf"])


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


def test_more_than_a_tenth_unreadable_is_an_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(folder, tmp_path / "data"))
    for number in range(3):
        (data / "train" / "cat" / f"{number}.png").write_text("")
    said = refused(["train", str(data), "--out", str(tmp_path / "run"), *tiny.flags()], capsys)
    assert "at most a tenth of the train photographs" in said
    assert "found 7 of 64" in said
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_folders_that_cannot_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    command = ["train", str(tmp_path), "--out", str(tmp_path / "run"), *tiny.flags()]
    assert "expected photographs in the class folders" in refused(command, capsys)
    picture().save(tmp_path / "train" / "cat" / "a.png")
    assert "expected at least two classes to train on, found only 'cat'" in refused(command, capsys)
    (tmp_path / "train" / "dog").mkdir()
    assert "found none in dog: fill or remove it" in refused(command, capsys)


def test_name_that_is_no_text(trained: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    good, bad = folder / "caf\udce9.png", folder / "th\udce9.png"
    picture().save(good)
    bad.write_text("")
    said = localized(trained[0], folder, tmp_path / "out", "--format", "coco,csv")
    assert list(said["failed"]) == [bad.name]
    assert json.loads((tmp_path / "out" / "coco.json").read_text())["images"][0]["file_name"] == good.name


def test_a_name_of_a_folder_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(Summary(inputs=0, done=0, skipped=0, failed={}, without_box=0), "boxes\x1b[2J")
    assert "boxes\\u001b[2J" in capsys.readouterr().out
