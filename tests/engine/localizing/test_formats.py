"""Every format of ``rfga localize`` from the command line, and its boxes as truth of ``rfga evaluate``."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from rfga.cli import main
from rfga.data.truth.readers import open_truth
from rfga.files import held_in
from rfga.types import ByteArray
from tests.engine import tiny
from tests.output.export.test_round_trip import submitted
from tests.output.export.test_yolo import label_file, listed

FORMATS = "coco,csv,yolo,voc,labelstudio"
PLAIN, TURNED = "hookbeak/plain.jpg", "hookbeak/turned & <ü>.jpg"
SIZE_WH = (96, 64)


@pytest.fixture(scope="module")
def data(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of val, and one of them twice, the second time on its side with EXIF orientation 6."""
    folder = tmp_path_factory.mktemp("formats") / "data"
    shutil.copytree(birds / "val", folder / "val")
    picture = sorted((folder / "val" / "hookbeak").iterdir())[0]
    with Image.open(picture) as image:
        upright = image.convert("RGB").resize(SIZE_WH)
    upright.save(folder / "val" / PLAIN, quality=100, subsampling=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    lying.save(folder / "val" / TURNED, quality=100, subsampling=0, exif=exif)
    upright.save(folder / "val" / "hookbeak/plain.png")
    return folder


@pytest.fixture(scope="module")
def written(tiny_run: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("formats_out") / "out"
    command = [
        "localize",
        str(tiny_run),
        str(data / "val"),
        "--out",
        str(out),
        "--format",
        FORMATS,
        "--masks",
    ]
    assert main([*command, "--threshold", "0.4", "--max-boxes", "2", "--workers", "0", "--quiet"]) == 0
    return out


def ids(data: Path) -> list[str]:
    return sorted(p.relative_to(data / "val").as_posix() for p in (data / "val").rglob("*") if p.is_file())


def boxes_in(path: Path, data: Path) -> dict[str, Any]:
    reader = open_truth(path, data / "val", ids(data))
    assert not reader.missing_images
    found = {}
    for image_id in ids(data):
        truth = reader.truth(image_id)
        found[image_id] = np.zeros((0, 4)) if truth is None or truth.boxes is None else truth.boxes
    return found


def test_files_are_those_that_are_promised(written: Path) -> None:
    names = set(held_in(written)) - {".journal.jsonl"}
    assert names == {
        *("coco.json", "boxes.csv", "yolo", "voc", "labelstudio.json", "labelstudio_config.xml"),
        *("pictures", "masks", "summary.json", "review.html"),
    }


def test_all_formats_hold_the_same_boxes(written: Path, data: Path, tmp_path: Path) -> None:
    expected = boxes_in(written / "coco.json", data)
    assert sum(map(len, expected.values())) > len(expected)  # several boxes in some photographs
    with (written / "boxes.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    held: dict[str, Any] = {image_id: [] for image_id in expected}
    for row in rows:
        held[row["image"]].append([float(row[edge]) for edge in ("x0", "y0", "x1", "y1")])
    json_file = shutil.copy(written / "labelstudio.json", tmp_path / "labelstudio.json")
    held_in = {
        "csv": (held, 1e-9),
        "yolo": (boxes_in(written / "yolo", data), 1e-5),
        "voc": (boxes_in(written / "voc", data), 0.5),
        "labelstudio": (boxes_in(submitted(Path(json_file)), data), 1e-9),
    }
    for name, (found, tolerance) in held_in.items():
        for image_id, boxes in expected.items():
            np.testing.assert_allclose(found[image_id], boxes, atol=tolerance, err_msg=f"{name} {image_id}")


def test_boxes_of_a_turned_photograph_are_upright_everywhere(written: Path) -> None:
    held = json.loads((written / "coco.json").read_text())
    images = {image["file_name"]: image for image in held["images"]}
    assert (images[TURNED]["width"], images[TURNED]["height"]) == SIZE_WH
    boxes = {
        name: [a["bbox"] for a in held["annotations"] if a["image_id"] == images[name]["id"]]
        for name in (PLAIN, TURNED)
    }
    np.testing.assert_allclose(boxes[TURNED], boxes[PLAIN], atol=1)
    size = ElementTree.parse(written / "voc" / Path(TURNED).with_suffix(".xml")).find("size")
    assert size is not None
    assert (size.findtext("width"), size.findtext("height")) == ("96", "64")
    tasks = {t["data"]["photograph"]: t for t in json.loads((written / "labelstudio.json").read_text())}
    result = tasks[TURNED]["predictions"][0]["result"][0]
    assert (result["original_width"], result["original_height"]) == SIZE_WH
    with Image.open(written / "masks" / f"{TURNED}.png") as mask:
        assert mask.size == SIZE_WH


def test_masks_in_coco_are_the_pixels_of_the_png(written: Path) -> None:
    coco = COCO(str(written / "coco.json"))
    for image in coco.loadImgs(coco.getImgIds()):
        with Image.open(written / "masks" / f"{image['file_name']}.png") as file:
            mask: ByteArray = np.asarray(file) == 255
        together = np.zeros_like(mask)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            pixels = coco.annToMask(annotation).astype(bool)  # from the polygons
            np.testing.assert_array_equal(coco_mask.decode(annotation["rle"]).astype(bool), pixels)
            assert annotation["area"] == pixels.sum() == coco_mask.area(annotation["rle"])
            x, y, width, height = coco_mask.toBbox(annotation["rle"])
            np.testing.assert_allclose([x, y, width, height], annotation["bbox"], atol=1)
            assert (mask | ~pixels).all()
            together |= pixels
        box = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        if len(box) == 1:  # nothing else is above the threshold
            np.testing.assert_array_equal(together, mask)


def test_yolo_finds_photographs_and_boxes(written: Path, data: Path) -> None:
    described = written / "yolo" / "data.yaml"
    images = [*listed(described, "train"), *listed(described, "val")]
    assert len(images) == len(set(images)) == len(ids(data))
    assert len(listed(described, "val")) == len(images) // 10
    held = yaml.safe_load(described.read_text())
    assert held["renamed"] == {"hookbeak/plain.png.png": "hookbeak/plain.png"}
    for image in images:
        name = image.split(f"{written / 'yolo' / 'images'}/")[1]
        name = held["renamed"].get(name, name)
        assert Path(image).resolve() == (data / "val" / name).resolve()
        assert held["names"][int(label_file(image).read_text().split()[0])] == name.split("/")[0]


def accuracy(run: Path, data: Path, truth: Path, tmp_path: Path) -> float:
    """Share of photographs whose box at the threshold of the export agrees with the truth."""
    file = tmp_path / "found.json"
    command = ["evaluate", str(run), str(data), "--truth", str(truth), "--threshold", "0.4", "--step", "0.1"]
    assert main([*command, "--json", str(file), "--workers", "0", "--quiet"]) == 0
    entries = json.loads(file.read_text())["metrics"]["GTKnownLoc"]
    return float(next(e["value"] for e in entries if e["threshold_source"] == "fixed"))


@pytest.mark.parametrize("name", ["coco.json", "yolo", "yolo/data.yaml", "voc", "labelstudio.json"])
def test_boxes_come_back_as_truth_and_are_scored(
    name: str, tiny_run: Path, written: Path, data: Path, tmp_path: Path
) -> None:
    run, truth = tiny.copied(tiny_run, tmp_path / "run"), written / name
    if name == "labelstudio.json":
        truth = submitted(Path(shutil.copy(truth, tmp_path)))
    assert accuracy(run, data, truth, tmp_path) == 1


def test_predictions_of_label_studio_are_no_truth(
    tiny_run: Path, written: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(tiny_run), str(data), "--truth", str(written / "labelstudio.json")]
    assert main([*command, "--workers", "0", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "predictions are no truth" in said
    assert "Traceback" not in said


def test_going_on_ends_with_the_same_files(tiny_run: Path, data: Path, written: Path, tmp_path: Path) -> None:
    flags = [
        "--format",
        FORMATS,
        "--masks",
        "--threshold",
        "0.4",
        "--max-boxes",
        "2",
        "--workers",
        "0",
        "--quiet",
    ]
    some, out = tmp_path / "some", tmp_path / "out"
    shutil.copytree(data / "val", some)
    kept = sorted(some.rglob("*.jpg"))[0]
    moved = kept.rename(tmp_path / "later.jpg")
    assert main(["localize", str(tiny_run), str(some), "--out", str(out), *flags]) == 0
    moved.rename(kept)
    assert main(["localize", str(tiny_run), str(some), "--out", str(out), *flags, "--resume"]) == 0
    names = {"coco.json", "boxes.csv", "labelstudio.json", "labelstudio_config.xml"}
    names |= {
        p.relative_to(written).as_posix() for top in ("yolo", "voc") for p in (written / top).rglob("*.*")
    }
    names = {name for name in names if (written / name).is_file()}
    assert tiny.snapshot(out, sorted(names)) == tiny.snapshot(written, sorted(names))
    assert {p.name for p in out.iterdir()} == {p.name for p in written.iterdir()}


def test_photographs_may_be_left_where_they_are(tiny_run: Path, data: Path, tmp_path: Path) -> None:
    flags = ["--format", "yolo", "--no-pictures", "--workers", "0", "--quiet"]
    for how, expected in (("none", False), ("copy", True)):
        out = tmp_path / how
        command = ["localize", str(tiny_run), str(data / "val" / "hookbeak"), "--out", str(out), *flags]
        assert main([*command, "--labels", "predicted", "--photographs", how]) == 0
        assert (out / "yolo" / "images").is_dir() == expected
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))
