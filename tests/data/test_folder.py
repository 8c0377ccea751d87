from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data import open_dataset
from rfga.data.checks.readable import require_trainable
from rfga.data.folder import FolderDataset
from rfga.files import mark_output
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


@pytest.mark.parametrize("valid", ["valid", "Validation", "dev", "eval", "val"])
def test_splits_under_the_names_that_people_write(tmp_path: Path, valid: str) -> None:
    names = ["Training/cat/0.jpg", "Training/dog/0.jpg", f"{valid}/cat/1.jpg", "testing/dog/2.jpg"]
    dataset = FolderDataset(put(tmp_path, names))
    assert {split: [s.path for s in dataset.samples(split)] for split in ("val", "test")} == {
        "val": [tmp_path / valid / "cat" / "1.jpg"],
        "test": [tmp_path / "testing" / "dog" / "2.jpg"],
    }
    assert (f"{valid}/ holds the photographs of the split val" in dataset.notes) == (valid != "val")
    put(tmp_path, ["VALID2/cat/0.jpg", "evaluation/cat/0.jpg"])
    assert "(VALID2, evaluation): they are left out" in FolderDataset(tmp_path).notes[-1]


def test_two_folders_of_one_split(tmp_path: Path) -> None:
    put(tmp_path, ["train/cat/0.jpg", "train/dog/0.jpg", "val/cat/1.jpg", "valid/dog/1.jpg"])
    with pytest.raises(UserError, match=r"one folder of the split val in .*, found val and valid: put"):
        FolderDataset(tmp_path)


def test_photographs_beside_the_class_folders_are_told(tmp_path: Path) -> None:
    dataset = FolderDataset(put(tmp_path, ["cat/0.jpg", "dog/0.jpg", "cover.JPG"]))
    assert len(dataset.samples("train")) == 2
    assert "found 1 beside them in" in dataset.notes[0]
    assert "(cover.JPG): they have no class and are left out" in dataset.notes[0]
    split = put(tmp_path / "split", ["train/cat/0.jpg", "train/dog/0.jpg", "a.jpg", "train/b.jpg"])
    assert [note.count("found 1 beside them") for note in FolderDataset(split).notes] == [1, 1]


def test_class_names_are_compared_composed(tmp_path: Path) -> None:
    composed, decomposed = "M\u00fcnster", "Mu\u0308nster"
    put(tmp_path, [f"train/{decomposed}/0.jpg", "train/tench/0.jpg", f"val/{composed}/1.jpg"])
    dataset = FolderDataset(tmp_path)
    assert dataset.classes == (composed, "tench")
    (train, _), (val,) = dataset.samples("train"), dataset.samples("val")
    assert (train.label, val.label, train.image_id) == (0, 0, f"{decomposed}/0.jpg")
    assert train.path.is_file()
    assert dataset.notes == ()
    both = FolderDataset(put(tmp_path, [f"train/{composed}/7.jpg"]))
    assert [sample.label for sample in both.samples("train")] == [0, 0, 1]
    assert "both count for the class" in both.notes[0]


def test_names_of_photographs_that_differ_in_composition_alone(tmp_path: Path) -> None:
    names = ["val/cat/m\u00fc.jpg", "val/cat/mu\u0308.jpg", "val/cat/o.jpg", "val/dog/o.jpg"]
    put(tmp_path, names)
    images = [{"id": n, "file_name": name.removeprefix("val/")} for n, name in enumerate(names)]
    boxes = [{"image_id": n, "bbox": [3, 4, 10, 12]} for n in (0, 2)]
    (tmp_path / "boxes.json").write_text(json.dumps({"images": [images[0], images[2]], "annotations": boxes}))
    dataset = FolderDataset(tmp_path, tmp_path / "boxes.json")
    assert len(dataset.samples("val")) == 4
    assert [dataset.truth(sample) is not None for sample in dataset.samples("val")] == [
        False,
        False,
        True,
        False,
    ]
    assert "found 2 in" in dataset.notes[-1]
    assert "truth cannot tell them apart" in dataset.notes[-1]


def test_names_that_differ_in_case_or_space_are_told(tmp_path: Path) -> None:
    put(tmp_path, ["train/Church/0.jpg", "train/tench/0.jpg", "val/church/1.jpg"])
    with pytest.raises(UserError, match=r"church in .* alone .it differs from 'Church' in case or"):
        FolderDataset(tmp_path)
    one = FolderDataset(put(tmp_path / "one", ["Church/0.jpg", "church /0.jpg", "tench/0.jpg"]))
    assert one.classes == ("Church", "church ", "tench")
    assert "found 'Church', 'church ': they count as classes of their own" in one.notes[0]


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    put(tmp_path, ["cat/0.jpg", "dog/0.jpg"])
    for name in ("cat/1.CR2", "cat/2.cr2", "dog/3.jxl"):
        (tmp_path / name).write_bytes(b"no matter")
    dataset = FolderDataset(tmp_path)
    assert len(dataset.samples("train")) == 2
    assert "found 2 that end in .cr2, 1 that end in .jxl, left out: convert it to JPEG" in dataset.notes[-1]
    (tmp_path / "raw" / "cat").mkdir(parents=True)
    (tmp_path / "raw" / "cat" / "1.CR2").write_bytes(b"no matter")
    with pytest.raises(UserError, match=r"JPEG, PNG or the like, found 1 that end in \.cr2, left out: con"):
        FolderDataset(tmp_path / "raw")


def test_folders_that_are_nobodys_are_no_classes(tmp_path: Path) -> None:
    hidden = ["@eaDir", "__MACOSX", ".thumbnails", "$RECYCLE.BIN", "lost+found", "System Volume Information"]
    put(tmp_path, ["cat/0.jpg", "cat/@eaDir/0.jpg/SYNOPHOTO_THUMB.jpg", "dog/0.jpg", "dog/._0.jpg"])
    put(tmp_path, [f"{name}/a.jpg" for name in hidden])
    dataset = FolderDataset(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert [sample.image_id for sample in dataset.samples("train")] == ["cat/0.jpg", "dog/0.jpg"]


def test_classes_one_level_deeper_are_told(tmp_path: Path) -> None:
    put(tmp_path, ["things/cat/0.jpg", "things/dog/0.jpg"])
    (note,) = FolderDataset(tmp_path).notes
    assert f"give {tmp_path / 'things'} if these are the classes" in note
    with pytest.raises(UserError, match=r"found only 'things' in .*give .*things if these are the classes"):
        require_trainable(FolderDataset(tmp_path))
    assert FolderDataset(put(tmp_path, ["things/1.jpg"])).notes == ()


def test_a_class_of_pictures_that_are_not_read(tmp_path: Path) -> None:
    put(tmp_path, ["cat/0.jpg", "dog/0.jpg"])
    (tmp_path / "dog" / "0.jpg").rename(tmp_path / "dog" / "0.cr2")
    with pytest.raises(UserError, match=r"found none in dog .*found 1 that end in \.cr2, left out: convert"):
        require_trainable(FolderDataset(tmp_path))


def test_output_is_no_input(tmp_path: Path) -> None:
    put(tmp_path, ["cat/0.jpg", "dog/0.jpg", "dog/found/pictures/0.jpg.jpg", "boxes/pictures/0.jpg.jpg"])
    mark_output(tmp_path / "boxes")
    (tmp_path / "dog" / "found" / ".journal.jsonl").touch()  # of a run before there was a mark
    dataset = FolderDataset(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert [sample.image_id for sample in dataset.samples("train")] == ["cat/0.jpg", "dog/0.jpg"]


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    put(tmp_path, ["elsewhere/more/1.jpg", "photos/cat/0.jpg", "photos/dog/0.jpg"])
    photos = tmp_path / "photos"
    (photos / "cat" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (photos / "cat" / "above").symlink_to(photos / "cat")
    (tmp_path / "elsewhere" / "more" / "back").symlink_to(tmp_path / "elsewhere")
    (photos / "cat" / "itself").symlink_to("itself")
    (photos / "cat" / "self.jpg").symlink_to("self.jpg")
    (photos / "lost").symlink_to(tmp_path / "nowhere")
    (photos / "hound").symlink_to(photos / "dog")
    dataset = FolderDataset(photos)
    assert dataset.classes == ("cat", "dog", "hound")
    names = [sample.image_id for sample in dataset.samples("train")]
    assert names == ["cat/0.jpg", "cat/more/1.jpg", "cat/self.jpg", "dog/0.jpg", "hound/0.jpg"]
    assert f"found that by a link {photos / 'dog'} is of dog and hound" in dataset.notes[0]
    (photos / "cat" / "hounds").symlink_to(photos / "dog")
    again = FolderDataset(photos)
    assert [s.image_id for s in again.samples("train") if s.label == 0][1] == "cat/hounds/0.jpg"
    assert f"{photos / 'dog'} is of cat and dog and hound: its photographs count for each" in again.notes[0]


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
        (["cat/0.jpg", "Validation/cat/0.jpg"], "name the folders train, val and test"),
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


def test_one_file_in_several_class_folders_has_several_classes(tmp_path: Path) -> None:
    """By a link, by a second name of the file, and by a linked folder; a copy is a photograph of its own."""
    root = put(tmp_path, ["cat/0.jpg", "cat/1.jpg", "dog/2.jpg", "dog/same.jpg"])
    (root / "dog" / "a.jpg").symlink_to(root / "cat" / "0.jpg")
    os.link(root / "dog" / "2.jpg", root / "cat" / "b.jpg")
    (root / "eel").symlink_to(root / "cat")
    names = {
        path.relative_to(root).as_posix(): labels
        for path, labels in FolderDataset(root).several_classes("train").items()
    }
    every, two = (0, 1, 2), (0, 2)
    assert names == {
        **dict.fromkeys(("cat/0.jpg", "dog/a.jpg", "eel/0.jpg"), every),
        **dict.fromkeys(("cat/b.jpg", "dog/2.jpg", "eel/b.jpg"), every),
        **dict.fromkeys(("cat/1.jpg", "eel/1.jpg"), two),
    }
