"""``rfga build``: class folders in; a check, a run, boxes in every format and a review sheet out; goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rfga.backbones.layout import CPU_BATCH
from rfga.cli import main
from rfga.data import open_dataset
from rfga.engine.building.box_set import photographs_of
from rfga.engine.learning.passes import Passes
from rfga.engine.run.folder import RunFolder
from rfga.files import claimed, held_in
from rfga.types import UserError
from tests.engine.tiny import metrics, seen_by_networks

SIZES_HW = ((48, 80), (70, 50), (64, 64))
SOLVED = ["--backbone", "test_resnet", "--weights", "none", "--device", "cpu", "--workers", "0", "--quiet"]
QUICK = [
    *("--backbone", "test_resnet", "--weights", "none", "--epochs", "1", "--image-size", "64"),
    *("--batch-size", "6", "--device", "cpu", "--workers", "0", "--quiet"),
]


def write_photographs(root: Path, splits: tuple[str, ...] = ("train", "val")) -> Path:
    """Bright squares of two colours on noise, six of each class and split, of several shapes."""
    rng = np.random.default_rng(0)
    for split in splits:
        for channel, name in enumerate(("red", "green")):
            for number in range(6):
                height, width = SIZES_HW[number % 3]
                pixels = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
                pixels[10:35, 15:40, channel] = 250
                path = root / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def built(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "boxes of mine"
    assert main(["build", str(photographs), "--out", str(out), *QUICK]) == 0
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """Every file's bytes but those that say when or how often something was done."""
    told = {"build.json", "summary.json", "review.html", "metrics.json", "report.html"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in told
    }


def test_everything_is_there_and_agrees(photographs: Path, built: Path) -> None:
    coco = json.loads((built / "boxes/coco.json").read_text())
    names = {
        f"{split}/{name}/{n}.png" for split in ("train", "val") for name in ("red", "green") for n in range(6)
    }
    assert {image["file_name"] for image in coco["images"]} == names
    of_class = {c["id"]: c["name"] for c in coco["categories"]}
    by_id = {image["id"]: image["file_name"] for image in coco["images"]}
    assert all(of_class[a["category_id"]] in by_id[a["image_id"]] for a in coco["annotations"])
    for name in (
        "yolo/data.yaml",
        "voc",
        "labelstudio.json",
        "labelstudio_config.xml",
        "boxes.csv",
        "review.html",
    ):
        assert (built / "boxes" / name).exists(), name
    for name in ("check/check.html", "check/check.json", "run/model.safetensors", "run/report.html"):
        assert (built / name).is_file(), name
    told = json.loads((built / "build.json").read_text())
    counts = told["photographs"]
    assert counts["done"] + counts["skipped"] + len(counts["failed"]) == counts["inputs"] == len(names)
    assert {row["class"] for row in told["least_sure"]} == {"red", "green"}


def test_a_second_call_does_nothing_again(photographs: Path, built: Path) -> None:
    before = contents(built)
    assert main(["build", str(photographs), "--out", str(built), *QUICK]) == 0
    assert contents(built) == before
    assert json.loads((built / "build.json").read_text())["photographs"]["skipped"] == 24


def test_it_goes_on_after_a_stop(photographs: Path, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    shutil.copytree(built, out, symlinks=True)
    journal = out / "boxes/.journal.jsonl"
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join(lines[:8]) + b"\n" + lines[8][:20])  # killed while it wrote a line
    for name in ("coco.json", "review.html", "summary.json"):
        (out / "boxes" / name).unlink()
    assert main(["build", str(photographs), "--out", str(out), *QUICK]) == 0
    assert json.loads((out / "build.json").read_text())["photographs"]["done"] == 17
    after, before = contents(out), contents(built)
    assert after["boxes/coco.json"] == before["boxes/coco.json"]
    assert set(after) == set(before)


def test_other_settings_are_refused(
    photographs: Path, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(photographs), "--out", str(built), *QUICK, "--epochs", "2"]) == 1
    assert "expected" in capsys.readouterr().err


def test_a_folder_with_other_files_is_refused(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["build", str(photographs), "--out", str(tmp_path), *QUICK]) == 1
    assert "with other files: choose another --out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_photographs_are_named_below_the_folder_that_was_given(tmp_path: Path) -> None:
    root = write_photographs(tmp_path / "all", ("train",))
    (root / "train").rename(tmp_path / "classes")  # class folders alone
    found = photographs_of(open_dataset(tmp_path / "classes"), str(tmp_path / "classes"))
    assert [p.image_id for p in found][:2] == ["green/0.png", "green/1.png"]
    assert {p.folder_class for p in found} == {"red", "green"}


def test_a_set_without_files_is_refused() -> None:
    with pytest.raises(UserError, match="expected photographs as files, found that synthetic makes its own"):
        photographs_of(open_dataset("synthetic"), "synthetic")


def test_what_masks_need_is_looked_for_before_training(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "boxes"
    weights = str(tmp_path / "nowhere")
    refine = ["--refine", "sam", "--sam-weights", weights]
    assert main(["build", str(photographs), "--out", str(out), *QUICK, *refine]) == 1
    assert "expected" in capsys.readouterr().err
    assert main(["build", str(photographs), "--out", str(out), *QUICK, "--refine", "grabcutt"]) == 2
    assert not out.exists()


def test_the_output_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``cd photos; rfga build . --out boxes``, and once more."""
    root = write_photographs(tmp_path / "all", ("train",)) / "train"
    monkeypatch.chdir(root)
    for skipped in (0, 12):
        assert main(["build", ".", "--out", "boxes", *QUICK]) == 0
        told = json.loads(Path("boxes/build.json").read_text())
        assert (told["photographs"]["inputs"], told["photographs"]["skipped"]) == (12, skipped)
        assert told["photographs"]["class_from"] == {"folder": 12}
        assert json.loads(Path("boxes/run/classes.json").read_text()) == ["green", "red"]
        assert json.loads(Path("boxes/check/check.json").read_text())["counts"]["error"] == 0


@pytest.mark.slow
def test_a_run_among_the_photographs(tmp_path: Path) -> None:
    root = write_photographs(tmp_path / "all", ("train",)) / "train"
    for switches in ((), ("--overwrite",)):
        assert main(["train", str(root), "--out", str(root / "run"), *QUICK, *switches]) == 0
        assert json.loads((root / "run" / "classes.json").read_text()) == ["green", "red"]


def test_two_at_once_in_one_folder(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with claimed(tmp_path / "boxes", "rfga build"):
        assert main(["build", str(photographs), "--out", str(tmp_path / "boxes"), *QUICK]) == 1
    assert "expected one rfga build at a time in" in capsys.readouterr().err
    assert held_in(tmp_path / "boxes") == []


def test_photographs_without_any_object(tmp_path: Path) -> None:
    """No class, no box, learned from; and the run knows of them when it is used."""
    root = write_photographs(tmp_path / "all")
    (root / "val" / "green").rename(root / "val" / "empty")
    out = tmp_path / "out"
    assert main(["build", str(root), "--out", str(out), *SOLVED, "--image-size", "64"]) == 0
    coco = json.loads((out / "boxes/coco.json").read_text())
    empty = {image["id"] for image in coco["images"] if "/empty/" in image["file_name"]}
    assert len(empty) == 6
    assert not empty & {annotation["image_id"] for annotation in coco["annotations"]}
    assert all(image.get("reviewed", False) == (image["id"] in empty) for image in coco["images"])
    assert [category["name"] for category in coco["categories"]] == ["green", "red"]
    told = json.loads((out / "boxes/summary.json").read_text())
    assert (told["inputs"], told["reviewed"], told["class_from"]) == (24, 6, {"folder": 18})
    assert not [name for name in told["nothing_found"] if "empty" in name]


def test_a_size_that_was_found_stays_when_boxes_come(photographs: Path, tmp_path: Path) -> None:
    """The collection chooses a size where none is given: in the first call, and not again."""
    command = ["train", str(photographs), "--out", str(tmp_path), "--method", "foreground", *SOLVED]
    assert main([*command, "--image-size", "64"]) == 0
    RunFolder(tmp_path).reopen()
    assert main([*command, "--resume"]) == 0
    assert RunFolder(tmp_path).read_config()[0].image_size == 64


def write_corrections(path: Path, boxes: dict[str, list[list[float]]]) -> Path:
    """COCO as ``rfga review`` writes it: photographs of 80 x 48 pixels that a person has looked at."""
    images = [
        {"id": k, "file_name": name, "width": 80, "height": 48, "reviewed": True}
        for k, name in enumerate(boxes)
    ]
    pairs = [(k, box) for k, held in enumerate(boxes.values()) for box in held]
    annotations = [
        {"id": n, "image_id": k, "category_id": 1, "bbox": box, "source": "person"}
        for n, (k, box) in enumerate(pairs)
    ]
    categories = [{"id": 1, "name": "red"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def boxes_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Of every photograph, its annotations in COCO."""
    coco = json.loads((out / "boxes/coco.json").read_text())
    found: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        found[annotation["image_id"]].append(annotation)
    return {image["file_name"]: found[image["id"]] for image in coco["images"]}


def test_boxes_by_a_person_are_learned_from_and_stay(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called again with other boxes it solves anew, from the sums that it has, and replaces the boxes."""
    looked: list[int] = []
    whole = Passes._batch

    def counting(self: Passes, *given: Any) -> Any:
        looked.append(len(given[1]))
        return whole(self, *given)

    monkeypatch.setattr(Passes, "_batch", counting)
    first = {"train/red/0.png": [[15.0, 10.0, 25.0, 25.0]], "val/red/3.png": [[3.0, 4.0, 50.0, 20.0]]}
    truth = write_corrections(tmp_path / "corrected.json", first)
    command = ["build", str(photographs), "--out", str(tmp_path / "out"), *SOLVED, "--image-size", "64"]
    assert main([*command, "--truth", str(truth)]) == 0
    found = boxes_of(tmp_path / "out")
    for name, boxes in first.items():
        assert [annotation["bbox"] for annotation in found[name]] == boxes
        assert [(a["score"], a["source"]) for a in found[name]] == [(1, "person")]
    assert not [
        name for name, held in found.items() if name not in first and any("source" in a for a in held)
    ]
    assert metrics(tmp_path / "out/run")["learned"]["corrections"]["photographs"] == 2
    before = len(looked)
    write_corrections(truth, {"train/red/0.png": []})
    assert main([*command, "--truth", str(truth)]) == 0
    found = boxes_of(tmp_path / "out")
    assert found["train/red/0.png"] == []
    assert "source" not in found["val/red/3.png"][0]
    assert len(looked) == before, "no photograph is looked at again for the sums"
    assert metrics(tmp_path / "out/run")["learned"]["corrections"]["photographs"] == 1
    summary = json.loads((tmp_path / "out/boxes/summary.json").read_text())
    assert (summary["reviewed"], summary["done"], summary["nothing_found"]) == (1, 24, [])


def test_a_rebuild_asks_the_network_of_changed_photographs_alone_and_finds_the_same_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saw = seen_by_networks(monkeypatch)
    photographs, out = write_photographs(tmp_path / "photographs", ("train", "val")), tmp_path / "out"
    truth = write_corrections(tmp_path / "corrected.json", {"val/red/3.png": [[3.0, 4.0, 50.0, 20.0]]})
    command = ["build", str(photographs), *SOLVED, "--image-size", "64", "--out"]
    assert main([*command, str(out)]) == 0
    assert len(list((out / "run/features").rglob("*.safetensors"))) == 24
    saw.clear()
    assert main([*command, str(out), "--truth", str(truth)]) == 0
    assert not sum(saw)

    assert len(boxes_of(out)) == 24

    for name in ("train/green/1.png", "val/green/1.png"):
        Image.open(photographs / name).transpose(Image.Transpose.ROTATE_180).save(photographs / name)
    write_corrections(truth, {"val/red/3.png": [[2.0, 4.0, 50.0, 20.0]], "train/red/0.png": []})
    assert main([*command, str(out), "--truth", str(truth)]) == 0
    assert sum(saw) == 2 * CPU_BATCH, "those of its batch, to learn from and to box"

    plain = tmp_path / "plain"  # built anew, from nothing that was kept
    assert main([*command, str(plain), "--truth", str(truth), "--features-gb", "0"]) == 0
    assert not (plain / "run/features").exists()
    found, expected = boxes_of(out), boxes_of(plain)
    assert found.keys() == expected.keys()
    for name, boxes in expected.items():
        for one, other in zip(found[name], boxes, strict=True):
            assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-6)
            assert one["score"] == pytest.approx(other["score"], abs=1e-6)
