"""Refined masks through ``rfga localize``: the files, what coco.json makes of them, and what is refused."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from rfga.cli import main
from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.localizing.refiners import REFINERS, load_refiner
from rfga.engine.run.options import resolve
from rfga.geometry.refine import grabcut_mask, mask_of
from rfga.output.export.segmentation import in_box
from rfga.types import Prediction, UserError
from tests.engine import tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def written(tiny_run: Path, birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("refined") / "out"
    command = ["localize", str(tiny_run), str(birds / "val"), "--out", str(out), "--workers", "0", "--quiet"]
    assert main([*command, "--no-pictures", "--maps", "--refine", "grabcut"]) == 0
    return out


def test_masks_of_the_command_are_refined(written: Path, birds: Path) -> None:
    summary = json.loads((written / "summary.json").read_text())
    settings = summary["settings"]
    assert (settings["refine"], settings["sam_weights"], settings["masks"]) == ("grabcut", None, True)
    changed = 0
    names = [path.relative_to(written / "maps").as_posix()[:-4] for path in written.rglob("*.npy")]
    assert len(names) == summary["done"] == 12
    for name in names:
        photograph = np.asarray(Image.open(birds / "val" / name).convert("RGB"))
        score_map = np.load(written / "maps" / f"{name}.npy")
        with Image.open(written / "masks" / f"{name}.png") as mask:
            found = np.asarray(mask)
        np.testing.assert_array_equal(found, grabcut_mask(photograph, score_map, settings["threshold"]))
        height, width = found.shape
        assert height != width
        changed += bool((found != mask_of(score_map, settings["threshold"], (height, width))).any())
    assert changed > 6


def test_coco_json_holds_the_refined_masks(written: Path) -> None:
    held = json.loads((written / "coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in held["images"]}
    for annotation in held["annotations"]:
        with Image.open(written / "masks" / f"{names[annotation['image_id']]}.png") as image:
            mask = np.asarray(image)
        x, y, width, height = annotation["bbox"]
        expected = in_box(mask, np.array([x, y, x + width, y + height]))
        np.testing.assert_array_equal(coco_mask.decode(annotation["rle"]), expected)
        assert annotation["area"] == expected.sum()


def test_going_on_with_another_refiner_is_refused(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    localizer = Localizer.load(tiny_run, device="cpu")
    photographs = find_photographs([birds / "val" / "rubybib"], localizer.classes)

    def run(policy: Any = None, **options: Any) -> None:
        asked = LocalizeOptions(pictures=False, **options)
        localize(localizer, photographs, tmp_path / "out", asked, runtime=tiny.QUIET, policy=policy)

    run(masks=True)
    with pytest.raises(UserError, match="found another refine than in"):
        run(tiny.RESUME, masks=True, refine="grabcut")
    run(tiny.OVERWRITE, refine="grabcut")
    assert len(list((tmp_path / "out" / "masks").rglob("*.png"))) == len(photographs)


def test_what_cannot_be_loaded_is_said_before_anything_is_written(
    tiny_run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["localize", str(tiny_run), str(birds / "val"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*command, "--refine", "sam"]) == 1
    assert "--refine sam, found none: give --sam-weights" in capsys.readouterr().err
    assert main([*command, "--refine", "grabcut", "--sam-weights", str(tmp_path)]) == 1
    assert "found --refine grabcut: leave one of them out" in capsys.readouterr().err
    assert main([*command, "--masks", "--sam-weights", str(tmp_path)]) == 1
    assert main([*command, "--refine", "magic"]) == 2
    assert not (tmp_path / "out").exists()


def test_unknown_names_and_missing_maps() -> None:
    with pytest.raises(UserError, match="expected a refiner of masks out of grabcut, sam, found 'magic'"):
        load_refiner("magic", None, CPU)
    refine = load_refiner("grabcut", None, CPU)
    assert refine is not None
    bare = Prediction("a", (4, 5), 0, 0.5, np.zeros((0, 4)), np.zeros(0), None, 0.3)
    with pytest.raises(ValueError, match="expected the score map of a, found none"):
        refine(np.zeros((4, 5, 3), np.uint8), bare)


@pytest.mark.parametrize("name", REFINERS)
def test_entries_of_the_registry_are_made_in_the_same_way(name: str) -> None:
    make = resolve(REFINERS, name, "refiner")
    assert list(inspect.signature(make).parameters) == ["weights", "device"]
    assert inspect.getdoc(make)
