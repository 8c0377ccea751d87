from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data import open_dataset
from rfga.data.folder import FolderDataset
from rfga.types import UserError


def put(root: Path, names: Iterable[str], size: tuple[int, int] = (30, 20)) -> Path:
    """Small photographs of width x height ``size`` at the given relative paths."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (90, 120, 30)).save(root / name)
    return root


def test_classes_samples_and_ids(tmp_path: Path) -> None:
    names = ["train/tench/b.jpg", "train/tench/a b,c.JPEG", "train/crane/x/y/é.png", "val/tench/1.jpg"]
    put(tmp_path, names)
    (tmp_path / "train" / "tench" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "tench" / ".hidden.jpg").write_text("no image")
    (tmp_path / "train" / ".cache").mkdir()
    dataset = FolderDataset(tmp_path)
    assert dataset.name == tmp_path.name
    assert dataset.classes == ("crane", "tench")
    train = dataset.samples("train")
    assert [(s.image_id, s.label) for s in train] == [
        ("crane/x/y/é.png", 0),
        ("tench/a b,c.JPEG", 1),
        ("tench/b.jpg", 1),
    ]
    assert train[1].path == tmp_path / "train" / "tench" / "a b,c.JPEG"
    assert [(s.image_id, s.label) for s in dataset.samples("val")] == [("tench/1.jpg", 1)]
    assert len(dataset.samples("test")) == 0
    assert dataset.needs_check
    assert not dataset.has_truth("val")
    assert dataset.truth(dataset.samples("val")[0]) is None
    assert dataset.image(train[0]).size == (30, 20)


def test_class_folder_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path, ["elsewhere/fish/a.jpg", "data/train/crane/b.jpg"])
    (tmp_path / "data" / "train" / "tench").symlink_to(tmp_path / "elsewhere" / "fish")
    samples = FolderDataset(tmp_path / "data").samples("train")
    assert [s.image_id for s in samples] == ["crane/b.jpg", "tench/a.jpg"]


def test_classes_come_from_val_where_train_is_absent(tmp_path: Path) -> None:
    dataset = FolderDataset(put(tmp_path, ["val/b/0.jpg", "val/a/0.jpg", "test/a/1.jpg"]))
    assert dataset.classes == ("a", "b")
    assert len(dataset.samples("train")) == 0
    assert [s.label for s in dataset.samples("test")] == [0]


def test_class_folders_without_splits_are_train(tmp_path: Path) -> None:
    dataset = FolderDataset(put(tmp_path, ["cat/0.jpg", "dog/0.jpg"]))
    assert [s.image_id for s in dataset.samples("train")] == ["cat/0.jpg", "dog/0.jpg"]
    assert len(dataset.samples("val")) == 0


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["loose.jpg", "loose2.jpg"], "2 images lying loose in"),
        (["cat/0.jpg", "loose.jpg"], "1 images lying loose"),
        (["train/loose.jpg"], "1 images lying loose"),
        (["deeper/train/cat/0.jpg"], "one level deeper, in 'deeper'"),
        (["Train/cat/0.jpg", "Validation/cat/0.jpg"], "name the folders train, val and test"),
        (["images/0.jpg", "masks/0.png"], "found the folder 'images'"),
        ([], "found none in"),
    ],
)
def test_other_layouts_are_explained(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(
        UserError, match=r"^expected class folders .*train.CLASS/\*.jpg, found .*: "
    ) as caught:
        FolderDataset(put(tmp_path, names))
    assert words in str(caught.value)


def test_missing_root_file_and_no_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing at"):
        FolderDataset(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="found a file at"):
        FolderDataset(tmp_path / "file")
    (tmp_path / "data" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "data" / "train" / "cat" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"expected photographs in the class folders .*\.jpg"):
        FolderDataset(tmp_path / "data")
    with pytest.raises(UserError, match="expected a split of train, val, test, found 'dev'"):
        FolderDataset(put(tmp_path / "good", ["train/cat/0.jpg"])).samples("dev")


def test_unknown_class_in_val_is_named(tmp_path: Path) -> None:
    put(tmp_path, ["train/cat/0.jpg", "train/dog/0.jpg", "val/cat/0.jpg", "val/bird/0.jpg", "val/fox/0.jpg"])
    with pytest.raises(UserError, match=r"val/ among those of train/, found bird, fox"):
        FolderDataset(tmp_path)


def test_truth_belongs_to_one_split(tmp_path: Path) -> None:
    put(tmp_path, ["train/cat/0.jpg", "train/dog/0.jpg", "val/cat/0.jpg", "val/dog/1.jpg"])
    box = {"image_id": 1, "bbox": [3, 4, 10, 12]}
    content = {"images": [{"id": 1, "file_name": "cat/0.jpg"}], "annotations": [box]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    dataset = FolderDataset(tmp_path, tmp_path / "boxes.json")
    cat, dog = dataset.samples("val")
    truth = dataset.truth(cat)
    assert truth is not None
    assert truth.boxes is not None
    assert truth.size_hw == (20, 30)
    np.testing.assert_array_equal(truth.boxes, [[3, 4, 13, 16]])
    assert dataset.truth(dog) is None
    assert dataset.truth(dataset.samples("train")[0]) is None  # the same id in another split
    assert (dataset.has_truth("val"), dataset.has_truth("train")) == (True, False)
    assert dataset.truth_reader is not None
    assert dataset.truth_reader.images_without_truth == ("dog/1.jpg",)
    with pytest.raises(UserError, match=r"expected photographs in .*test for the truth"):
        FolderDataset(tmp_path, tmp_path / "boxes.json", "test")


def test_open_dataset_takes_a_folder(tmp_path: Path) -> None:
    put(tmp_path, ["train/cat/0.jpg", "train/dog/0.jpg"])
    for data in (tmp_path, str(tmp_path)):
        assert open_dataset(data).classes == ("cat", "dog")
    with pytest.raises(UserError, match="carries its own"):
        open_dataset("synthetic", truth=tmp_path)


def test_objects10(shared: Path) -> None:
    root = shared / "photos" / "objects10"
    dataset = FolderDataset(root, root / "val_boxes.json")
    assert (len(dataset.classes), dataset.classes[0], dataset.classes[-1]) == (10, "cassette_player", "tench")
    assert len(dataset.samples("train")) == 1500
    assert np.bincount([s.label for s in dataset.samples("val")]).tolist() == [25] * 10
    truths = [dataset.truth(sample) for sample in dataset.samples("val")]
    boxes = [truth.boxes for truth in truths if truth is not None and truth.boxes is not None]
    assert len(boxes) == 250
    assert sum(map(len, boxes)) == 377
    assert all(truth.size_hw == (224, 224) for truth in truths if truth is not None)
    reader = dataset.truth_reader
    assert reader is not None
    assert (reader.missing_images, reader.images_without_truth) == ((), ())


def test_pets3(shared: Path) -> None:
    root = shared / "photos" / "pets3"
    dataset = FolderDataset(root, root / "val_masks")
    assert len(dataset.samples("train")) == 300
    assert len(dataset.samples("val")) == 120
    shapes = set()
    for sample in dataset.samples("val"):
        truth = dataset.truth(sample)
        assert truth is not None
        assert truth.mask is not None
        width, height = dataset.image(sample).size
        assert truth.size_hw == truth.mask.shape == (height, width)
        assert set(np.unique(truth.mask)) <= {0, 128, 255}
        shapes.add((height, width))
    assert len(shapes) > 20
