import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from rfga.data.synthetic.brush import Brush
from rfga.data.synthetic.canvas import Canvas
from rfga.data.synthetic.dataset import SyntheticDataset, tight_box
from rfga.data.synthetic.files import write_class_folders
from rfga.data.synthetic.heads import HEADS
from rfga.data.synthetic.individual import BLUR_RADIUS, draw_individual, render, telling_region
from rfga.types import ByteArray, Sample, UserError

GROW = np.ones((2 * BLUR_RADIUS + 1, 2 * BLUR_RADIUS + 1), np.uint8)


@pytest.fixture(scope="module")
def birds() -> SyntheticDataset:
    return SyntheticDataset(seed=5, train_per_class=8, val_per_class=2, test_per_class=2)


def all_samples(birds: SyntheticDataset) -> Iterator[Sample]:
    for split in ("train", "val", "test"):
        yield from birds.samples(split)


def pixels(birds: SyntheticDataset, sample: Sample) -> ByteArray:
    return np.asarray(birds.image(sample))


def differing(first: ByteArray, second: ByteArray) -> ByteArray:
    changed: ByteArray = (first != second).any(axis=2).astype(np.uint8)
    return changed


def test_lists_every_class_in_every_split(birds: SyntheticDataset) -> None:
    assert birds.classes == ("hookbeak", "hornhelm", "maskbrow", "needlebill", "plumecrest", "rubybib")
    assert [len(birds.samples(split)) for split in ("train", "val", "test", "other")] == [48, 12, 12, 0]
    assert [s.label for s in birds.samples("val")] == [k for k in range(6) for _ in range(2)]
    sample = birds.samples("train")[9]
    assert sample == Sample("hornhelm/0002.png", Path("synthetic/train/hornhelm/0002.png"), 1)
    assert len({s.path for s in all_samples(birds)}) == 72
    assert all(birds.has_truth(split) for split in ("train", "val", "test"))


def test_default_sizes() -> None:
    assert [len(SyntheticDataset().samples(split)) for split in ("train", "val", "test")] == [720, 150, 150]


def test_same_seed_same_pixels_whatever_was_drawn_before(birds: SyntheticDataset) -> None:
    again = SyntheticDataset(seed=5, train_per_class=2, val_per_class=1, test_per_class=1)
    for sample in reversed(list(all_samples(again))):
        np.testing.assert_array_equal(pixels(again, sample), pixels(birds, sample))
        np.testing.assert_array_equal(again.mask(sample), birds.mask(sample))
        assert again.image(sample).mode == "RGB"


def test_other_seed_other_pixels(birds: SyntheticDataset) -> None:
    other = SyntheticDataset(seed=6, train_per_class=2)
    for sample in other.samples("train"):
        assert pixels(other, sample).tobytes() != pixels(birds, sample).tobytes()


def test_no_picture_comes_twice(birds: SyntheticDataset) -> None:
    assert len({pixels(birds, sample).tobytes() for sample in all_samples(birds)}) == 72
    assert len({birds.individual(sample).texture_seed for sample in all_samples(birds)}) == 72


def test_a_picture_stays_in_memory_and_cannot_be_spoilt(birds: SyntheticDataset) -> None:
    sample = birds.samples("train")[0]
    before = pixels(birds, sample).copy()
    image = birds.image(sample)
    image.paste((255, 0, 255), (0, 0, 40, 40))
    np.testing.assert_array_equal(pixels(birds, sample), before)


@pytest.mark.parametrize("longer_side_pixels", [96, 160])
def test_sizes_are_varied_and_never_square(longer_side_pixels: int) -> None:
    birds = SyntheticDataset(train_per_class=5, longer_side_pixels=longer_side_pixels)
    sizes = [birds.image(sample).size for sample in birds.samples("train")]
    assert all(max(size) == longer_side_pixels and min(size) < 0.9 * longer_side_pixels for size in sizes)
    assert len(set(sizes)) > 15
    assert any(width > height for width, height in sizes)
    assert any(width < height for width, height in sizes)


def test_box_is_the_tight_extent_of_the_mask(birds: SyntheticDataset) -> None:
    masks = SyntheticDataset(seed=5, train_per_class=8, truth_kind="masks")
    for sample in birds.samples("train"):
        truth = birds.truth(sample)
        mask = masks.truth(sample).mask
        assert mask is not None
        assert truth.boxes is not None
        assert truth.boxes.dtype == np.float64
        assert truth.size_hw == mask.shape == birds.image(sample).size[::-1]
        assert set(np.unique(mask)) == {0, 255}
        rows, columns = np.nonzero(mask)
        expected = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
        np.testing.assert_array_equal(truth.boxes, expected)


def test_the_bird_is_one_thing_of_a_varied_size() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for species, _ in zip(list(HEADS) * 20, range(120), strict=True):
        mask = render(draw_individual(rng, 160), species)[1]
        shares.append((mask > 0).mean())
        sizes = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]
        assert sizes.max() > 0.98 * sizes.sum()  # the frame may cut off the end of a toe
    assert min(shares) > 0.06
    assert max(shares) < 0.50
    assert np.quantile(shares, 0.1) < 0.13
    assert np.quantile(shares, 0.9) > 0.20


def test_without_the_bird_only_its_own_pixels_differ(birds: SyntheticDataset) -> None:
    for sample in birds.samples("train"):
        mask = birds.mask(sample)
        scene, nothing = render(birds.individual(sample), None)
        changed = differing(scene, pixels(birds, sample))
        grown = cv2.dilate(mask, np.ones((2 * BLUR_RADIUS + 3,) * 2, np.uint8))  # +1: less than half covered
        assert not (changed[grown == 0]).any()
        assert not nothing.any()
        inside = cv2.erode(mask, GROW) > 0
        assert changed[inside].mean() > 0.97


def test_coverage_follows_an_outline_to_a_third_of_a_pixel() -> None:
    """Against another program's (Pillow, 8 times enlarged); OpenCV also fills the sub-pixels on the line."""
    corners = np.array([[5.3, 3.2], [41.7, 9.9], [30.1, 27.4], [11.6, 22.8]])
    canvas = Canvas(np.zeros((32, 48, 3), np.float32))
    canvas.paint(canvas.area([corners]), (1.0, 0.5, 0.0))
    large = Image.new("L", (48 * 8, 32 * 8))
    ImageDraw.Draw(large).polygon([(x * 8 - 0.5, y * 8 - 0.5) for x, y in corners], fill=255)
    expected = np.asarray(large, np.float64).reshape(32, 8, 48, 8).mean(axis=(1, 3)) / 255
    drawn = canvas.picture[..., 0]
    assert np.abs(drawn - expected).max() < 0.35
    perimeter = np.hypot(*(corners - np.roll(corners, 1, axis=0)).T).sum()
    assert abs(drawn.sum() - expected.sum()) < perimeter / 4
    np.testing.assert_array_equal(canvas.object_mask() > 0, drawn >= 0.5)
    np.testing.assert_allclose(canvas.picture[..., 1], drawn / 2, atol=1e-6)


def test_species_share_all_but_the_head(birds: SyntheticDataset) -> None:
    for sample in birds.samples("train")[::4]:
        individual = birds.individual(sample)
        drawn = [render(individual, species) for species in birds.classes]
        region = cv2.dilate(telling_region(individual), GROW) > 0
        for (first, mask_a), (second, mask_b) in pairwise(drawn):
            changed = differing(first, second) > 0
            assert changed.any()
            assert not changed[~region].any()
            np.testing.assert_array_equal(mask_a[~region], mask_b[~region])
        np.testing.assert_array_equal(drawn[sample.label][0], pixels(birds, sample))


def test_the_telling_part_is_small_and_the_body_is_most_of_the_bird() -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(12):
        individual = draw_individual(rng, 160)
        drawn = [render(individual, species) for species in HEADS]
        common = np.median([picture for picture, _ in drawn], axis=0)  # what most species look like
        for picture, mask in drawn:
            told = np.abs(picture - common).max(axis=2) > 16
            shares.append(float((told & (mask > 0)).sum() / (mask > 0).sum()))
    assert 0.05 < np.median(shares) < 0.18
    assert np.quantile(shares, 0.9) < 0.30


def test_the_telling_part_is_in_the_picture(birds: SyntheticDataset) -> None:
    for sample in birds.samples("train"):
        individual = birds.individual(sample)
        canvas = Canvas(np.zeros((*individual.size_hw, 3), np.float32))
        HEADS[birds.classes[sample.label]](
            Brush(canvas, individual.frame, (0.0, -1.0), (1.0, 1.0, 1.0)), individual.variation
        )
        rows, columns = np.nonzero(canvas.object_mask())
        at_border = (rows == 0) | (columns == 0) | (columns == individual.size_hw[1] - 1)
        assert len(rows) >= 0.008 * canvas.object_mask().size
        assert at_border.mean() < 0.03


def test_backgrounds_do_not_depend_on_the_class() -> None:
    birds = SyntheticDataset(train_per_class=150, longer_side_pixels=48)
    scenes: dict[str, list[int]] = {}
    for sample in birds.samples("train"):
        scenes.setdefault(birds.individual(sample).scene, [0] * 6)[sample.label] += 1
    counts = np.array(list(scenes.values()))
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    assert counts.shape == (6, 6)
    assert ((counts - expected) ** 2 / expected).sum() < 52.6  # chi-squared, 25 degrees, p = 0.001


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"seed": -1}, "-1"),
        ({"val_per_class": -3}, "-3"),
        ({"longer_side_pixels": 20}, "20"),
        ({"truth_kind": "points"}, "points"),
    ],
)
def test_bad_options_are_told(options: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=rf"expected .*found .*{found}.*: "):
        SyntheticDataset(**options)


def test_a_strange_sample_is_told(birds: SyntheticDataset) -> None:
    with pytest.raises(UserError, match=r"found elsewhere.a\.png: take one from samples"):
        birds.image(Sample("a.png", Path("elsewhere/a.png"), 0))


def test_class_folders_round_trip(tmp_path: Path) -> None:
    birds = SyntheticDataset(seed=2, train_per_class=2, val_per_class=2, test_per_class=0)
    out = tmp_path / "new" / "birds"
    write_class_folders(birds, out)
    assert sorted(path.name for path in out.iterdir()) == ["train", "val", "val_boxes.json", "val_masks"]
    assert [path.name for path in out.parent.iterdir()] == ["birds"]
    assert sorted(path.name for path in (out / "train").iterdir()) == sorted(birds.classes)
    for split in ("train", "val"):
        for sample in birds.samples(split):
            with Image.open(out / split / sample.image_id) as image:
                np.testing.assert_array_equal(np.asarray(image), pixels(birds, sample))
    coco = json.loads((out / "val_boxes.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    files = {image["id"]: image for image in coco["images"]}
    assert len(coco["annotations"]) == len(files) == 12
    by_id = {sample.image_id: sample for sample in birds.samples("val")}
    for annotation in coco["annotations"]:
        image = files[annotation["image_id"]]
        sample = by_id[image["file_name"]]
        assert names[annotation["category_id"]] == birds.classes[sample.label]
        assert (image["width"], image["height"]) == birds.image(sample).size
        x, y, width, height = annotation["bbox"]
        np.testing.assert_array_equal([x, y, x + width, y + height], tight_box(birds.mask(sample)))
        with Image.open(out / "val_masks" / image["file_name"]) as mask:
            np.testing.assert_array_equal(np.asarray(mask), birds.mask(sample))
            assert annotation["area"] == (np.asarray(mask) == 255).sum()


def test_class_folders_do_not_overwrite(tmp_path: Path) -> None:
    birds = SyntheticDataset(train_per_class=1, val_per_class=1, test_per_class=1)
    (tmp_path / "kept.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="expected a new or empty folder"):
        write_class_folders(birds, tmp_path)
    with pytest.raises(UserError, match="expected a folder to write to"):
        write_class_folders(birds, tmp_path / "kept.txt" / "out")
    (tmp_path / "empty").mkdir()
    write_class_folders(birds, tmp_path / "empty")
    assert (tmp_path / "empty" / "test_boxes.json").is_file()
    assert (tmp_path / "kept.txt").read_text(encoding="utf-8") == "mine"
