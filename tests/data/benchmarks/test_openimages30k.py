"""OpenImages30k against the benchmark's own lists and recorded masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data import open_dataset
from rfga.data.benchmarks.openimages30k import OpenImages30kDataset
from rfga.geometry.maps import resize_mask
from rfga.metrics.localization import LocalizationMetrics
from rfga.types import UserError
from tests.made_benchmarks import CLASSES, SIZES_HW, write_benchmark, write_image
from tests.real_lists import require_the_same, rows, with_some_photographs
from tests.thin import some

GREYS = {"foreground": 255, "ignored": 128, "background": 0}


def test_every_record_is_that_of_the_files(shared: Path, tmp_path: Path) -> None:
    lists = shared / "wsol-metadata" / "OpenImages"
    dataset = require_the_same("openimages30k", lists, tmp_path, set())
    assert [len(dataset.samples(split)) for split in ("train", "val", "test")] == [29_819, 2500, 5000]
    assert [dataset.has_truth(s) for s in ("train-weaksup", "train-fullsup", "test")] == [False, True, True]
    assert len(dataset.classes) == 100
    assert all(s.image_id.split("/")[1] == dataset.classes[s.label] for s in dataset.samples("val"))


@pytest.mark.parametrize("split", ["val", "test"])
def test_every_mask_is_linked_as_in_the_files(shared: Path, split: str) -> None:
    from rfga.data.truth.metadata import read_metadata

    lists = read_metadata(shared / "wsol-metadata" / "OpenImages" / split)
    masks: dict[str, list[str]] = {}
    ignored: dict[str, str] = {}
    for image_id, mask, ignore in rows(shared / "wsol-metadata" / "OpenImages" / split / "localization.txt"):
        masks.setdefault(image_id, []).append(mask)
        if ignore:
            assert ignored.setdefault(image_id, ignore) == ignore
    assert {name: (list(files), ignore) for name, (files, ignore) in lists.masks.items()} == {
        name: (files, ignored.get(name)) for name, files in masks.items()
    }


@pytest.mark.parametrize("size_hw", some([(301, 225), (683, 1024), (768, 1024)]))
def test_recorded_masks_whatever_the_photographs_size(
    shared: Path, tmp_path: Path, size_hw: tuple[int, int]
) -> None:
    expected = json.loads((shared / "golden" / "openimages_masks_expected.json").read_text())
    (tmp_path / "masks").symlink_to(shared / "golden" / "openimages_masks")
    lists = shared / "wsol-metadata" / "OpenImages"
    for name in expected:
        write_image(tmp_path / "images" / "val" / f"{name}.jpg", size_hw)
    dataset = open_dataset(f"openimages30k:{with_some_photographs(lists, tmp_path)}", lists)
    samples = {sample.image_id: sample for sample in dataset.samples("val")}
    for name, counts in expected.items():
        truth = dataset.truth(samples[f"val/{name}.jpg"])
        assert truth is not None
        assert truth.mask is not None
        assert truth.size_hw == truth.mask.shape == size_hw
        scored = resize_mask(truth.mask)  # what PxAP compares
        assert {what: int((scored == grey).sum()) for what, grey in GREYS.items()} == counts


def test_made_up_masks_are_united_and_scored(tmp_path: Path) -> None:
    dataset = OpenImages30kDataset(write_benchmark(tmp_path, "masks"))
    assert dataset.classes == CLASSES
    metrics = LocalizationMetrics(step=0.1, num_classes=2)
    for number, sample in enumerate(list(dataset.samples("val"))[:3]):
        truth = dataset.truth(sample)
        assert truth is not None
        assert truth.mask is not None
        expected = np.zeros(SIZES_HW[number], np.uint8)
        expected[:6, :40] = 128
        expected[4:28, 3:21] = expected[20:30, 20:30] = 255
        np.testing.assert_array_equal(truth.mask, expected)
        perfect = (resize_mask(expected) == 255).astype(np.float64)
        metrics.update([sample.image_id], perfect[None], [truth])
    assert metrics.compute()["metrics"]["PxAP"][0]["value"] == 1
    assert dataset.truth(dataset.samples("train")[0]) is None


def test_masks_may_lie_beside_the_photographs(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path, "masks")
    for mask in list((root / "masks").rglob("*.png")):
        mask.rename(root / "images" / mask.relative_to(root / "masks"))
    for folder in sorted((root / "masks").rglob("*"), reverse=True):
        folder.rmdir()
    (root / "masks").rmdir()
    dataset = OpenImages30kDataset(root)
    assert dataset.truth(dataset.samples("val")[0]) is not None


def test_a_missing_or_damaged_mask_is_told(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path, "masks")
    dataset = OpenImages30kDataset(root)
    first, second, *_ = dataset.samples("val")
    (root / "masks" / f"{first.image_id.removesuffix('.jpg')}_m1.png").unlink()
    (root / "masks" / f"{second.image_id.removesuffix('.jpg')}_m0.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"found no file .*_m1.png"):
        dataset.truth(first)
    with pytest.raises(UserError, match=r"_m0.png is none"):
        dataset.truth(second)


def test_colour_decides_in_masks_of_every_mode(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path, "masks")
    dataset = OpenImages30kDataset(root)
    sample = dataset.samples("val")[0]
    expected = dataset.truth(sample)
    assert expected is not None
    path = root / "masks" / f"{sample.image_id.removesuffix('.jpg')}_m0.png"
    with Image.open(path) as file:
        grey = file.convert("L")
    for mode in ("1", "RGB", "RGBA", "P"):
        picture = grey.convert(mode)
        if mode == "RGBA":
            picture.putalpha(0)
        picture.save(path)
        truth = dataset.truth(sample)
        assert truth is not None
        np.testing.assert_array_equal(truth.mask, expected.mask)
