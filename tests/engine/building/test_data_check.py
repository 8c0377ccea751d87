from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.cli import main
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.engine.building.data_check import CheckCommand, check_data, write_check
from rfga.types import UserError
from tests.data.checks.folders_to_check import CLASSES, clean_folders, good_boxes, photograph, put, write_coco
from tests.made_benchmarks import write_benchmark

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return clean_folders(tmp_path / "data")


def spoil(root: Path) -> Path:
    """One fault of each kind that photographs and boxes can have; returns the boxes."""
    train, val = root / "train" / "cat", root / "val" / "cat"
    (train / "empty.jpg").touch()
    (train / "text.jpg").write_text("no picture")
    whole = (train / "0.jpg").read_bytes()
    (train / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    shutil.copy(train / "1.jpg", root / "val" / "cat" / "again.jpg")
    shutil.copy(train / "2.jpg", root / "train" / "dog" / "again.jpg")
    shutil.copy(train / "3.jpg", train / "again.jpg")
    with Image.open(train / "4.jpg") as image:
        put(val / "near.png", image.resize((50, 40)).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    put(train / "small.png", photograph(900, (20, 16)))
    put(train / "long.png", photograph(901, (400, 40)))
    put(train / "white.png", Image.new("RGB", (60, 40), "white"))
    put(train / "png.jpg", photograph(902), format="PNG")
    put(train / "cmyk.jpg", photograph(903).convert("CMYK"))
    exif = Image.Exif()
    exif[0x0112] = 6
    put(train / "<b>turned & 'odd'</b>.jpg".replace("/", "_"), photograph(904), exif=exif)
    put(root / "val" / "eel" / "0.jpg", photograph(905))
    boxes = [*good_boxes(), ("cat/0.jpg", [30, 20, -10, 8]), ("cat/1.jpg", [60, 20, 40, 8])]
    return write_coco(root / "boxes.json", boxes)


SPOILED = {
    "unreadable", "empty", "damaged", "duplicate_across_splits", "duplicate_across_classes", "duplicate",
    "near_duplicate_across_splits", "tiny", "extreme_aspect", "blank", "wrong_extension", "cmyk",
    "exif_rotated", "class_not_in_train", "box_inverted", "box_over_edge", "without_truth",
}  # fmt: skip


def run(command: list[str], capsys: Captured) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["data", "check", *command])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_clean_folder_gives_exit_status_0(clean: Path, tmp_path: Path, capsys: Captured) -> None:
    truth = write_coco(tmp_path / "boxes.json", good_boxes())
    code, out, err = run([str(clean), "--truth", str(truth), "--strict"], capsys)
    assert (code, err) == (0, "")
    assert "46 photographs: 0 errors, 0 warnings, 0 notes" in out


def test_every_kind_is_found_and_written(clean: Path, tmp_path: Path, capsys: Captured) -> None:
    truth = spoil(clean)
    code, out, err = run([str(clean), "--truth", str(truth), "--out", str(tmp_path / "out")], capsys)
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("rfga: error: expected a data set with nothing wrong, found 1 x no image")
    written = json.loads((tmp_path / "out" / "check.json").read_text())
    assert set(written["kinds"]) == SPOILED
    assert sum(written["kinds"].values()) == len(written["findings"]) == sum(written["counts"].values())
    assert written["photographs"] == {"train": 51, "val": 9}
    assert written["classes"] == [*CLASSES, "eel"]
    for finding in written["findings"]:
        assert re.match(r"(expected .*found|found EXIF)", finding["sentence"]), finding
    page = (tmp_path / "out" / "check.html").read_text()
    assert page.count("data:image/jpeg;base64,") > 15
    assert "<b>turned" not in page
    assert "&lt;b&gt;turned &amp; " in page
    assert "same photograph in two splits" in out
    assert "train/cat/1.jpg: expected different photographs in the splits" in out


def test_warnings_count_only_when_asked(clean: Path, capsys: Captured) -> None:
    put(clean / "train" / "cat" / "small.png", photograph(900, (20, 16)))
    assert run([str(clean)], capsys)[0] == 0
    code, _, err = run([str(clean), "--strict"], capsys)
    assert code == 1
    assert "found 1 x tiny photograph; the first (train/cat/small.png): expected sides of at least" in err


def test_notes_never_count(clean: Path, capsys: Captured) -> None:
    put(clean / "train" / "cat" / "cmyk.jpg", photograph(903).convert("CMYK"))
    code, out, _ = run([str(clean), "--strict"], capsys)
    assert code == 0
    assert "0 errors, 0 warnings, 1 note" in out


def test_masks_of_another_size_are_drawn(clean: Path, tmp_path: Path) -> None:
    for name in CLASSES:
        for number in range(3):
            pixels = np.zeros((24, 32), np.uint8)
            pixels[5:20, 8:20] = 255
            put(tmp_path / "masks" / name / f"{number}.png", Image.fromarray(pixels))
    check = check_data(CheckCommand(str(clean), tmp_path / "masks", quiet=True))
    assert {kind: len(found) for kind, found in check.findings.items()} == {"mask_size": 6}
    write_check(check, tmp_path / "check.html")
    assert (tmp_path / "check.html").read_text().count("data:image/jpeg;base64,") == 6


def test_json_and_page_alone(clean: Path, tmp_path: Path, capsys: Captured) -> None:
    files = ["--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "b" / "a.html")]
    assert run([str(clean), *files, "--quiet"], capsys)[0] == 0
    assert json.loads((tmp_path / "a.json").read_text())["findings"] == []
    assert "0 errors, 0 warnings, 0 notes" in (tmp_path / "b" / "a.html").read_text()


def test_prepared_folders(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "cub")
    check = check_data(CheckCommand(f"cub:{root}", quiet=True))
    assert check.counts["error"] == 3  # its pictures of one size are the same in all classes and splits
    assert set(check.findings) == {"duplicate_across_classes", "few_photographs", "exif_rotated", "tiny"}


def test_the_drawn_set_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyntheticDataset.__init__, "__defaults__", (0, 20, 1, 1, 64, "boxes"))
    check = check_data(CheckCommand("synthetic", quiet=True))
    assert len(check.survey) == 6 * 22
    assert check.counts == {"error": 0, "warning": 0, "note": 0}


def test_wrong_calls(clean: Path, tmp_path: Path, capsys: Captured) -> None:
    code, _, err = run([str(tmp_path / "lost")], capsys)
    assert code == 1
    assert "expected a folder with train/CLASS/*.jpg, found nothing at" in err
    assert run([str(clean), "--split", "all"], capsys)[0] == 2
    with pytest.raises(UserError, match="found no such thing at"):
        check_data(CheckCommand(str(clean), tmp_path / "lost.json", quiet=True))


def test_photographs_of_pets_are_clean_but_for_two_pairs(shared: Path) -> None:
    pets = shared / "photos" / "pets3"
    check = check_data(CheckCommand(str(pets), pets / "val_masks", quiet=True))
    pairs = {kind: [(one.file, *one.others) for one in found] for kind, found in check.findings.items()}
    cats = "train/abyssinian/Abyssinian"
    assert pairs == {
        "near_duplicate_across_splits": [(f"{cats}_172.jpg", "val/abyssinian/Abyssinian_122.jpg")],
        "near_duplicate": [(f"{cats}_24.jpg", f"{cats}_56.jpg")],
    }
