"""The benchmark's lists: the real ones, the recorded masks, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data.truth.metadata import MetadataTruth, is_metadata, read_metadata
from rfga.geometry.maps import resize_mask
from rfga.types import UserError
from tests.made_benchmarks import write_lists, write_mask

COUNTS = {
    "CUB/train": 5994,
    "CUB/val": 1000,
    "CUB/test": 5794,
    "ILSVRC/val": 10_000,
    "ILSVRC/test": 50_000,
    "OpenImages/val": 2500,
    "OpenImages/test": 5000,
}


LARGE = "ILSVRC/test"


@pytest.mark.parametrize(
    "split", [pytest.param(split, marks=pytest.mark.slow if split == LARGE else ()) for split in COUNTS]
)
def test_the_real_lists_are_read_whole(shared: Path, split: str) -> None:
    metadata = read_metadata(shared / "wsol-metadata" / split)
    assert len(metadata.image_ids) == len(set(metadata.image_ids)) == COUNTS[split]
    assert set(metadata.labels) == set(metadata.image_ids)
    lines = (shared / "wsol-metadata" / split / "localization.txt").read_text().split()
    numbers = sum(len(boxes) for boxes in metadata.boxes.values()) + sum(
        len(m) for m, _ in metadata.masks.values()
    )
    assert numbers == len(lines)
    assert bool(metadata.masks) == split.startswith("OpenImages")
    if metadata.masks:
        assert all(ignored for _, ignored in metadata.masks.values())


@pytest.mark.slow
def test_a_box_and_a_size_are_read_where_they_stand(shared: Path) -> None:
    metadata = read_metadata(shared / "wsol-metadata" / "ILSVRC" / "test")
    truth = MetadataTruth(metadata).truth("val/ILSVRC2012_val_00000001.JPEG")
    assert truth is not None
    assert truth.boxes is not None
    assert truth.size_hw == (375, 500)
    assert truth.boxes.tolist() == [[111, 108, 441, 193]]


def test_recorded_masks_of_every_png_mode(shared: Path, tmp_path: Path) -> None:
    expected = json.loads((shared / "golden" / "openimages_masks_expected.json").read_text())
    root = shared / "golden" / "openimages_masks"
    real = (shared / "wsol-metadata" / "OpenImages" / "val" / "localization.txt").read_text().splitlines()
    rows = [line for line in real if any(name in line for name in expected)]
    (tmp_path / "localization.txt").write_text("\n".join(rows))
    reader = MetadataTruth(read_metadata(tmp_path), root)
    assert len(reader.metadata.image_ids) == len(expected) == 5
    for image_id in reader.metadata.image_ids:
        truth = reader.truth(image_id)
        assert truth is not None
        assert truth.mask is not None
        counts = expected[image_id.removeprefix("val/").removesuffix(".jpg")]
        found = {"foreground": 255, "ignored": 128, "background": 0}
        assert {name: int((truth.mask == value).sum()) for name, value in found.items()} == counts


def test_several_boxes_on_one_line_or_on_several(tmp_path: Path) -> None:
    (tmp_path / "image_sizes.txt").write_text("a b,c.jpg".replace(",", ";") + ",80,60\n")
    (tmp_path / "localization.txt").write_text("a b;c.jpg,1,2,3,4,5,6,7,8\na b;c.jpg,9,10,11,12\n")
    metadata = read_metadata(tmp_path)
    assert is_metadata(tmp_path)
    assert metadata.boxes["a b;c.jpg"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert metadata.sizes_hw["a b;c.jpg"] == (60, 80)
    assert MetadataTruth(metadata).truth("other.jpg") is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "localization.txt"),
        ({"localization.txt": "a,1,2,3"}, "id,x0,y0,x1,y1"),
        ({"localization.txt": "a,1,2,3,x", "image_sizes.txt": "a,5,5"}, "id,x0,y0,x1,y1"),
        ({"localization.txt": "a,1,2,3,nan", "image_sizes.txt": "a,5,5"}, "id,x0,y0,x1,y1"),
        ({"localization.txt": "a,1,2,3,4"}, "size of every image"),
        ({"localization.txt": "a,1,2,3,4", "image_sizes.txt": "a,5"}, "2 whole numbers"),
        ({"localization.txt": "a,1,2,3,4", "image_sizes.txt": "a,5," + "9" * 400}, "2 whole numbers"),
        ({"localization.txt": "a,1,2,3,4", "image_sizes.txt": "a,0,5"}, "above 0"),
        ({"localization.txt": "a,1,2,3,4\nb,m.png,", "image_sizes.txt": "a,5,5"}, "found both"),
        (
            {"localization.txt": "a,1,2,3,4", "image_sizes.txt": "a,5,5", "image_ids.txt": "a\nb"},
            "every image",
        ),
        (
            {"localization.txt": "a,1,2,3,4", "image_sizes.txt": "a,5,5", "class_labels.txt": "a,x"},
            "whole numbers",
        ),
    ],
)
def test_damaged_lists_are_told_in_one_sentence(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        read_metadata(tmp_path)


@pytest.mark.parametrize("name", ["image_sizes.txt", "class_labels.txt"])
def test_two_lines_that_contradict_each_other_are_refused(tmp_path: Path, name: str) -> None:
    held = {
        "localization.txt": "a.jpg,1,2,3,4\n",
        "image_sizes.txt": "a.jpg,60,40\n",
        "class_labels.txt": "a.jpg,1\n",
    }
    for file, text in held.items():
        (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_metadata(tmp_path).sizes_hw == {"a.jpg": (40, 60)}
    (tmp_path / name).write_text(held[name] * 2)
    assert read_metadata(tmp_path).labels == {"a.jpg": 1}
    (tmp_path / name).write_text(held[name] + held[name].replace("1", "2").replace("60", "61"))
    with pytest.raises(UserError, match=r"expected each image once, found 'a\.jpg' again with another value"):
        read_metadata(tmp_path)


def test_masks_are_united_and_objects_win_over_ignored_pixels(tmp_path: Path) -> None:
    left, top = np.zeros((20, 40), np.uint8), np.zeros((20, 40), np.uint8)
    left[:, :10], top[:5] = 255, 255
    for name, pixels in {"a.png": left, "b.png": top, "ignore.png": np.full((20, 40), 255, np.uint8)}.items():
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "localization.txt").write_text("x.jpg,a.png,ignore.png\nx.jpg,b.png,\n")
    truth = MetadataTruth(read_metadata(tmp_path), tmp_path).truth("x.jpg")
    assert truth is not None
    assert truth.mask is not None
    assert set(np.unique(truth.mask)) == {128, 255}
    assert (truth.mask == 255).mean() == pytest.approx((10 * 20 + 5 * 30) / 800)


def test_masks_need_their_folder(tmp_path: Path) -> None:
    (tmp_path / "localization.txt").write_text("x.jpg,a.png,\n")
    with pytest.raises(UserError, match="--masks"):
        MetadataTruth(read_metadata(tmp_path))


def test_a_mask_outside_its_folder_is_refused(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 255).save(tmp_path / "secret.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "localization.txt").write_text("x.jpg,../secret.png,\n")
    with pytest.raises(UserError, match="inside"):
        MetadataTruth(read_metadata(tmp_path), tmp_path / "masks").truth("x.jpg")


def test_lists_of_images_without_truth_are_read_where_that_is_allowed(shared: Path, tmp_path: Path) -> None:
    train = shared / "wsol-metadata" / "OpenImages" / "train"
    with pytest.raises(UserError, match="found none for 29819"):
        read_metadata(train)
    lists = read_metadata(train, complete=False)
    assert (len(lists.image_ids), lists.boxes, lists.masks) == (29_819, {}, {})
    write_lists(
        tmp_path, image_ids=[("a",), ("b",)], localization=[("b", 1, 2, 3, 4)], image_sizes=[("a", 9, 5)]
    )
    with pytest.raises(
        UserError, match="size of every image with a box"
    ):  # a box needs its size all the same
        read_metadata(tmp_path, complete=False)


@pytest.mark.parametrize("size_hw", [(300, 500), (224, 1000), (683, 227), (224, 224)])
def test_masks_in_the_photographs_pixels_are_the_benchmarks_at_224(
    tmp_path: Path, size_hw: tuple[int, int]
) -> None:
    boxes = {"a.png": ((120, 90), (5, 60, 50, 100)), "b.png": ((500, 333), (100, 10, 300, 200))}
    boxes["ignore.png"] = ((70, 110), (20, 0, 90, 40))  # no two files of one size, none as the photograph
    for name, (mask_hw, box) in boxes.items():
        write_mask(tmp_path / name, mask_hw, box)
    write_lists(tmp_path, localization=[("x.jpg", "a.png", "ignore.png"), ("x.jpg", "b.png", "")])
    lists = read_metadata(tmp_path)
    at_eval_size = MetadataTruth(lists, tmp_path).truth("x.jpg")
    truth = MetadataTruth(lists, tmp_path, lambda image_id: size_hw).truth("x.jpg")
    assert truth is not None
    assert truth.mask is not None
    assert at_eval_size is not None
    assert at_eval_size.mask is not None
    assert truth.size_hw == truth.mask.shape == size_hw
    assert set(np.unique(at_eval_size.mask)) == {0, 128, 255}
    np.testing.assert_array_equal(resize_mask(truth.mask), at_eval_size.mask)
    if size_hw == (300, 500):  # seen directly: the top of the second object, in the photograph's own pixels
        top, bottom = np.flatnonzero(truth.mask[:, 300] == 255)[[0, -1]] / 300
        assert (top, bottom) == pytest.approx((10 / 500, 200 / 500), abs=1 / 224)


def test_masks_of_the_photographs_size_are_taken_pixel_for_pixel(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", (31, 47), (3, 4, 10, 12))
    write_mask(tmp_path / "b.png", (31, 47), (40, 0, 47, 31))
    write_mask(tmp_path / "ignore.png", (31, 47), (0, 0, 47, 6))
    write_lists(tmp_path, localization=[("x.jpg", "a.png", "ignore.png"), ("x.jpg", "b.png", "")])
    lists = read_metadata(tmp_path)
    truth = MetadataTruth(lists, tmp_path, lambda image_id: (31, 47)).truth("x.jpg")
    assert truth is not None
    assert truth.mask is not None
    expected = np.zeros((31, 47), np.uint8)
    expected[:6], expected[4:12, 3:10], expected[:, 40:] = 128, 255, 255
    np.testing.assert_array_equal(truth.mask, expected)
    at_eval_size = MetadataTruth(lists, tmp_path).truth("x.jpg")
    assert at_eval_size is not None
    assert at_eval_size.mask is not None
    np.testing.assert_array_equal(resize_mask(expected), at_eval_size.mask)
