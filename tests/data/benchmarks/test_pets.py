"""Oxford-IIIT Pet in the files that its archives unpack to, small and made up."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data import open_dataset
from rfga.data.benchmarks.pets import PetsDataset
from rfga.data.checks.readable import readable_samples, require_trainable
from rfga.types import UserError
from tests.made_benchmarks import write_pets


@pytest.fixture
def pets(tmp_path: Path) -> PetsDataset:
    return PetsDataset(write_pets(tmp_path))


def test_classes_splits_and_ids(pets: PetsDataset) -> None:
    assert pets.classes == ("Abyssinian", "Great Pyrenees", "Yorkshire Terrier")
    ids = {split: [s.image_id for s in pets.samples(split)] for split in ("train", "val", "test")}
    assert [len(ids[split]) for split in ids] == [67, 5, 6]
    assert ids["test"][:3] == ["Abyssinian_25.jpg", "Abyssinian_26.jpg", "great_pyrenees_25.jpg"]
    assert not set(ids["train"]) & set(ids["val"])
    assert list(pets.samples("train-fullsup")) == list(pets.samples("val"))
    for split in ids:
        for sample in pets.samples(split):
            name = pets.classes[sample.label].replace(" ", "_").lower()
            assert sample.image_id.lower().startswith(name)
            assert sample.path.is_file()
    require_trainable(pets)


def test_val_is_the_same_whatever_else_is_there(pets: PetsDataset, tmp_path: Path) -> None:
    more = PetsDataset(write_pets(tmp_path / "more", {"Abyssinian": 40, "great_pyrenees": 3}))
    few, many = ({s.image_id for s in dataset.samples("val")} for dataset in (pets, more))
    both = {s.image_id for split in ("train", "val") for s in more.samples(split)}
    assert few & both == many & {s.image_id for split in ("train", "val") for s in pets.samples(split)}
    assert few


def test_trimaps_become_masks_in_stored_pixels(pets: PetsDataset) -> None:
    shapes = set()
    for split in ("train", "val", "test"):
        assert pets.has_truth(split)
        for sample in pets.samples(split):
            truth = pets.truth(sample)
            assert truth is not None
            assert truth.mask is not None
            expected = np.zeros(truth.size_hw, np.uint8)
            expected[4:28, 3:21], expected[6:26, 5:19] = 128, 255
            np.testing.assert_array_equal(truth.mask, expected)
            with Image.open(sample.path) as stored:
                np.testing.assert_array_equal(pets.image(sample), stored.convert("RGB"))
            assert pets.image(sample).size == truth.size_hw[::-1]
            shapes.add(truth.size_hw)
    assert shapes == {(30, 40), (52, 36), (41, 67)}


def test_it_is_opened_by_name_and_folder(pets: PetsDataset, tmp_path: Path) -> None:
    assert list(open_dataset(f"pets:{tmp_path}").samples("val")) == list(pets.samples("val"))
    (tmp_path / "dataset.json").write_text('{"dataset": "pets"}')
    assert open_dataset(str(tmp_path)).name == "pets"
    with pytest.raises(UserError, match="carries its own"):
        open_dataset(tmp_path, tmp_path / "masks")
    copy = pickle.loads(pickle.dumps(pets))
    assert copy.truth(copy.samples("val")[0]) is not None


def test_what_is_missing_or_damaged_is_told(pets: PetsDataset, tmp_path: Path) -> None:
    first, second, third = pets.samples("train")[:3]
    trimaps = tmp_path / "oxford-iiit-pet" / "annotations" / "trimaps"
    first.path.unlink()
    kept, skipped = readable_samples(pets, "train")
    assert ([sample for sample, _ in skipped], len(kept)) == ([first], 66)
    path = trimaps / f"{second.path.stem}.png"
    Image.fromarray(np.full((40, 30), 1, np.uint8)).save(path)
    with pytest.raises(UserError, match=r"expected the trimap of .* found 30x40 in"):
        pets.truth(second)
    Image.fromarray(np.full((52, 36), 255, np.uint8)).save(trimaps / f"{third.path.stem}.png")
    with pytest.raises(UserError, match="found other values in"):
        pets.truth(third)
    path.unlink()
    with pytest.raises(UserError, match="found no file"):
        pets.truth(second)
    (tmp_path / "oxford-iiit-pet" / "annotations" / "test.txt").unlink()
    with pytest.raises(UserError, match="found it not there or damaged"):
        PetsDataset(tmp_path)
    with pytest.raises(UserError, match="download it with rfga data prepare pets"):
        PetsDataset(tmp_path / "absent")
