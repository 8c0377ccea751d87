"""Truth from files other than COCO JSON: folders of masks, and the benchmark's lists for class folders."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data.folder import FolderDataset
from rfga.data.truth.readers import open_truth
from rfga.geometry.maps import resize_mask
from rfga.types import UserError
from tests.made_benchmarks import write_image, write_lists, write_mask

WIDTH, HEIGHT = 60, 40
IDS = ["cat/0.jpg", "dog/a b,c.jpg", "dog/é.jpg"]


def mask(path: Path, values: list[int], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A mask of width x height ``size`` in vertical stripes of the given values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stripes = np.repeat(values, -(-size[0] // len(values)))[: size[0]].astype(np.uint8)
    Image.fromarray(np.tile(stripes, (size[1], 1))).save(path)
    return path


def test_masks(val: Path, tmp_path: Path) -> None:
    mask(tmp_path / "masks/cat/0.png", [0, 128, 255])
    mask(tmp_path / "masks/dog/e\u0301.jpg.png", [0])
    mask(tmp_path / "masks/dog/gone.png", [0])
    (tmp_path / "masks/read me.txt").touch()
    reader = open_truth(tmp_path / "masks", val, IDS)
    truth = reader.truth(IDS[0])
    assert truth is not None
    assert truth.mask is not None
    assert truth.size_hw == truth.mask.shape == (40, 60)
    assert truth.mask.dtype == np.uint8
    assert truth.mask[0, ::20].tolist() == [0, 128, 255]
    assert reader.truth(IDS[1]) is None
    assert reader.truth(IDS[2]) is not None
    assert reader.images_without_truth == (IDS[1],)
    assert reader.missing_images == ("dog/gone.png",)
    assert reader.warnings() == []


def test_one_bit_masks_are_taken(val: Path, tmp_path: Path) -> None:
    mask(tmp_path / "masks/cat/0.png", [0, 255])
    Image.open(tmp_path / "masks/cat/0.png").convert("1").save(tmp_path / "masks/cat/0.png")
    truth = open_truth(tmp_path / "masks", val, IDS).truth(IDS[0])
    assert truth is not None
    assert truth.mask is not None
    assert np.unique(truth.mask).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("values", "words"), [([0, 1], "multiply it by 255"), ([0, 7, 255], "without smoothing")]
)
def test_masks_of_other_values(val: Path, tmp_path: Path, values: list[int], words: str) -> None:
    mask(tmp_path / "masks/cat/0.png", values)
    with pytest.raises(UserError, match=words) as caught:
        open_truth(tmp_path / "masks", val, IDS).truth(IDS[0])
    assert f"found {values} in {tmp_path / 'masks/cat/0.png'}: " in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "I;16"])
def test_masks_of_other_modes(val: Path, tmp_path: Path, mode: str) -> None:
    path = mask(tmp_path / "masks/cat/0.png", [0, 255])
    with Image.open(path) as file:
        other = Image.new(mode, file.size) if mode == "I;16" else file.convert(mode)
    other.save(path)
    with pytest.raises(
        UserError, match=rf"expected a mask of 8-bit grey, found Pillow mode {mode} in .*: save"
    ):
        open_truth(tmp_path / "masks", val, IDS).truth(IDS[0])


def test_masks_of_other_sizes_and_damaged_ones(val: Path, tmp_path: Path) -> None:
    mask(tmp_path / "masks/cat/0.png", [0, 255], size=(HEIGHT, WIDTH))
    (tmp_path / "masks/dog").mkdir()
    (tmp_path / "masks/dog/é.png").write_bytes(b"")
    reader = open_truth(tmp_path / "masks", val, IDS)
    with pytest.raises(UserError, match=r"60x40, found 40x60 for mask .*0.png: apply its EXIF orientation"):
        reader.truth(IDS[0])
    with pytest.raises(UserError, match="empty file"):
        reader.truth(IDS[2])


def test_masks_fit_turned_photographs(val: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(val / "cat/0.jpg", exif=exif)
    mask(tmp_path / "masks/cat/0.png", [0, 255], size=(HEIGHT, WIDTH))
    truth = open_truth(tmp_path / "masks", val, IDS).truth(IDS[0])
    assert truth is not None
    assert truth.size_hw == (WIDTH, HEIGHT)


def test_a_mask_that_is_turned_itself_is_taken_as_a_viewer_shows_it(val: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # half a turn: the object, which is stored on the right, is seen on the left
    stored = mask(tmp_path / "masks/cat/0.png", [0, 0, 255])
    Image.open(stored).save(stored, exif=exif)
    truth = open_truth(tmp_path / "masks", val, IDS).truth(IDS[0])
    assert truth is not None
    assert truth.mask is not None
    assert truth.mask[0, ::20].tolist() == [255, 0, 0]


def test_truth_of_no_known_kind(val: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").touch()
    for path in (tmp_path / "boxes.csv", tmp_path / "absent", tmp_path / "absent.json"):
        with pytest.raises(
            UserError,
            match=r"expected truth as Label Studio.s JSON file or COCO JSON file .* of masks, found",
        ):
            open_truth(path, val, IDS)
    with pytest.raises(UserError, match=r"found 0 PNG files in .*: name them CLASS/NAME.png"):
        open_truth(val, val, IDS)


def class_folders(root: Path) -> Path:
    """One photograph of 60 x 40 and one of 90 x 120 in val."""
    for name, size_hw in {"cat/0.jpg": (40, 60), "dog/1.jpg": (120, 90)}.items():
        for split in ("train", "val"):
            write_image(root / split / name, size_hw)
    return root


@pytest.mark.parametrize("prefix", ["", "val/"])
def test_boxes_of_the_benchmarks_lists(tmp_path: Path, prefix: str) -> None:
    root, here, gone = class_folders(tmp_path), f"{prefix}cat/0.jpg", f"{prefix}cat/gone.jpg"
    lists = write_lists(
        tmp_path / "metadata" / "val",
        localization=[(here, 3, 4, 10, 12), (here, 1, 1, 59, 39), (gone, 1, 2, 3, 4)],
        image_sizes=[(here, 60, 40), (gone, 60, 40)],
    )
    dataset = FolderDataset(root, lists)
    cat, dog = dataset.samples("val")
    truth = dataset.truth(cat)
    assert truth is not None
    assert truth.boxes is not None
    assert truth.boxes.tolist() == [[3, 4, 10, 12], [1, 1, 59, 39]]
    assert truth.size_hw == (40, 60)
    assert dataset.truth(dog) is None
    reader = dataset.truth_reader
    assert reader is not None
    assert reader.missing_images == (gone,)
    assert reader.images_without_truth == ("dog/1.jpg",)
    assert reader.warnings() == []
    assert dataset.truth(dataset.samples("train")[0]) is None
    assert pickle.loads(pickle.dumps(dataset)).truth(cat).size_hw == (40, 60)  # workers are sent a copy


def test_listed_sizes_must_be_those_of_the_photographs(tmp_path: Path) -> None:
    lists = write_lists(
        tmp_path / "lists", localization=[("cat/0.jpg", 3, 4, 10, 12)], image_sizes=[("cat/0.jpg", 40, 60)]
    )
    dataset = FolderDataset(class_folders(tmp_path / "data"), lists)
    with pytest.raises(UserError, match=r"60x40, found 40x60 for image 'cat/0.jpg'"):
        dataset.truth(dataset.samples("val")[0])


def test_masks_of_the_benchmarks_lists_are_found_beside_them(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data")
    lists = write_lists(
        tmp_path / "bench" / "metadata" / "SET" / "val", localization=[("dog/1.jpg", "m.png", "i.png")]
    )
    with pytest.raises(UserError, match=r"in a folder masks, found none in .*bench: put it there"):
        FolderDataset(root, lists)
    write_mask(tmp_path / "bench" / "masks" / "m.png", (120, 90), (3, 4, 10, 12))
    write_mask(tmp_path / "bench" / "masks" / "i.png", (120, 90), (5, 4, 20, 12))
    dataset = FolderDataset(root, lists)
    truth = dataset.truth(dataset.samples("val")[1])
    assert truth is not None
    assert truth.mask is not None
    expected = np.zeros((120, 90), np.uint8)
    expected[4:12, 5:20], expected[4:12, 3:10] = 128, 255
    np.testing.assert_array_equal(truth.mask, expected)
    assert resize_mask(truth.mask).any()


def test_lists_of_other_photographs_are_refused(tmp_path: Path) -> None:
    lists = write_lists(
        tmp_path / "lists", localization=[("test/x.jpg", 3, 4, 10, 12)], image_sizes=[("test/x.jpg", 40, 60)]
    )
    with pytest.raises(UserError, match=r"found none in the lists of .* \(they name 1 others\): give ids"):
        FolderDataset(class_folders(tmp_path / "data"), lists)
