"""CUB against the benchmark's own lists, and the layout that all benchmarks share."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data import open_dataset
from rfga.data.benchmarks.cub import CubDataset
from rfga.data.checks.readable import readable_samples, require_trainable
from rfga.types import UserError
from tests.made_benchmarks import BOX, CLASSES, SIZES_HW, write_benchmark, write_image, write_lists
from tests.real_lists import require_the_same


def test_every_record_is_that_of_the_files(shared: Path, tmp_path: Path) -> None:
    dataset = require_the_same("cub", shared / "wsol-metadata" / "CUB", tmp_path, {"train", "val", "test"})
    assert [len(dataset.samples(split)) for split in ("train", "val", "test")] == [5994, 1000, 5794]
    assert [len(dataset.samples(split)) for split in ("train-weaksup", "train-fullsup")] == [5994, 1000]
    assert len(dataset.classes) == 200
    assert dataset.classes[:2] == ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    assert all(
        sample.image_id.startswith(f"{dataset.classes[sample.label]}/") for sample in dataset.samples("val")
    )
    assert [dataset.has_truth(split) for split in ("train", "train-fullsup", "test")] == [True] * 3


def test_pictures_and_truth_of_a_made_up_folder(tmp_path: Path) -> None:
    dataset = CubDataset(write_benchmark(tmp_path))
    assert dataset.classes == CLASSES
    assert dataset.name == "cub"
    for number, sample in enumerate(list(dataset.samples("train-fullsup"))[:3]):
        truth = dataset.truth(sample)
        assert truth is not None
        assert truth.boxes is not None
        height, width = SIZES_HW[number]
        assert truth.boxes.tolist() == [list(BOX), [1, 2, width, height]]
        assert truth.size_hw == (height, width)
        with Image.open(sample.path) as stored:
            np.testing.assert_array_equal(dataset.image(sample), stored.convert("RGB"))  # never turned
        assert not dataset.image(sample).getexif()
    assert dataset.truth(dataset.samples("train")[0]) is None
    assert (dataset.has_truth("train-weaksup"), dataset.has_truth("val")) == (False, True)
    with pytest.raises(UserError, match="expected a split of train, val, test, found 'dev'"):
        dataset.samples("dev")


def test_samples_are_a_lazy_sequence(tmp_path: Path) -> None:
    samples = CubDataset(write_benchmark(tmp_path)).samples("train")
    whole = list(samples)
    assert (len(samples), len(whole)) == (6, 6)
    assert samples[-1] == whole[5] == samples[5]
    assert list(samples[1:5:2]) == whole[1:5:2]
    assert list(samples[::-1][:2]) == whole[::-1][:2]
    assert samples[2:][0] in samples
    assert whole[4].path == tmp_path / "images" / whole[4].image_id
    for index in (6, -7):
        with pytest.raises(IndexError):
            _ = samples[index]


def test_each_place_that_lists_and_photographs_may_have(tmp_path: Path) -> None:
    plain = write_benchmark(tmp_path / "plain")
    expected = list(CubDataset(plain).samples("val"))
    own = write_benchmark(tmp_path / "own", set_folder="CUB")
    assert [s.image_id for s in CubDataset(own).samples("val")] == [s.image_id for s in expected]
    (own / "metadata").rename(tmp_path / "elsewhere")
    for truth in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "CUB"):
        dataset = open_dataset(f"cub:{own}", truth)
        assert dataset.truth(dataset.samples("val")[0]) is not None
    (plain / "metadata" / "val").rename(plain / "metadata" / "train-fullsup")
    (plain / "metadata" / "train").rename(plain / "metadata" / "train-weaksup")
    assert list(CubDataset(plain).samples("val")) == expected
    for child in (plain / "images").iterdir():
        child.rename(plain / child.name)
    (plain / "images").rmdir()
    assert CubDataset(plain).samples("val")[0].path == plain / expected[0].image_id


def test_a_prepared_folder_is_known_and_may_be_named(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "birds mine")
    with pytest.raises(UserError, match=r"found none: finish rfga data prepare, or say which .*cub:"):
        open_dataset(str(root))
    assert isinstance(open_dataset(f"cub:{root}"), CubDataset)
    (root / "dataset.json").write_text(json.dumps({"dataset": "cub", "more": 1}))
    for data in (root, str(root), f"cub:{root}"):
        assert isinstance(open_dataset(data), CubDataset)
    assert open_dataset(f"openimages30k:{root}").name == "openimages30k"
    for content, said in (
        ("{", "expected JSON"),
        ('{"dataset": "dogs"}', "found 'dogs'"),
        ("[]", "found None"),
    ):
        (root / "dataset.json").write_text(content)
        with pytest.raises(UserError, match=rf"dataset\.json, {said}|{said} in .*dataset\.json"):
            open_dataset(root)


def test_names_that_need_a_folder_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="found nothing at cub"):
        open_dataset("cub")
    write_benchmark(tmp_path / "cub")
    (tmp_path / "cub" / "dataset.json").write_text('{"dataset": "cub"}')
    assert open_dataset("cub").name == "cub"
    with pytest.raises(UserError, match="expected 'synthetic' alone"):
        open_dataset("synthetic:here")
    for name in ("train", "val"):
        write_image(tmp_path / "plain" / name / "cat" / "0.jpg", (20, 30))
    assert open_dataset("folder:plain").classes == ("cat",)


def test_class_names_from_a_file(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path)
    (root / "classes.txt").write_text("Héron\r\n\nTench \n", encoding="utf-8")
    assert CubDataset(root).classes == ("Héron", "Tench")
    for wrong in ("one\n", "one\none\n"):
        (root / "classes.txt").write_text(wrong)
        with pytest.raises(UserError, match="expected a name for each of 2 classes"):
            CubDataset(root)
    (root / "classes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="expected class names"):
        CubDataset(root)


def test_classes_without_folders_of_their_own_are_numbers(tmp_path: Path) -> None:
    rows = [("a/0.jpg", 0), ("a/1.jpg", 1), ("b/2.jpg", 1)]
    write_lists(tmp_path / "metadata" / "train", class_labels=rows)
    write_image(tmp_path / "images" / "a" / "0.jpg", (20, 30))
    assert CubDataset(tmp_path).classes == ("0", "1")


def test_photographs_that_are_missing(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path)
    first = CubDataset(root).samples("train")[0]
    first.path.unlink()
    kept, skipped = None, None
    with pytest.raises(UserError, match=r"tenth of the train photographs of 'cub' unreadable, found 1 of 6"):
        kept, skipped = readable_samples(CubDataset(root), "train")
    rows = [(f"train/{name}/{n}.jpg", label) for label, name in enumerate(("a", "b")) for n in range(10)]
    write_lists(root / "metadata" / "train", class_labels=rows, image_ids=[(name,) for name, _ in rows])
    for name, _ in rows[1:]:
        write_image(root / "images" / name, (20, 30))
    (root / "images" / rows[-1][0]).write_bytes(b"")
    kept, skipped = readable_samples(CubDataset(root), "train")
    assert [sample.image_id for sample in kept] == [name for name, _ in rows[1:-1]]
    assert [sample.image_id for sample, _ in skipped] == [rows[0][0], rows[-1][0]]
    assert "found no file" in skipped[0][1]
    assert "found the empty file" in skipped[1][1]


def test_a_split_without_photographs_is_left_out_and_named(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path)
    (root / "images" / "val").rename(root / "gone")
    dataset = CubDataset(root)
    assert len(dataset.samples("val")) == 0
    assert not dataset.has_truth("val")
    (note,) = dataset.notes
    assert "the val lists of 'cub' name 6 photographs, of which none of the 6 looked for" in note
    require_trainable(dataset)
    (root / "images" / "train").rename(root / "gone too")
    with pytest.raises(UserError, match=r"found none in 'cub' \(the train lists of 'cub' name 6 photographs"):
        require_trainable(CubDataset(root))
    (root / "images" / "test").rename(root / "gone as well")
    with pytest.raises(
        UserError, match=r"expected the photographs that the lists of 'cub' name, found the train"
    ):
        CubDataset(root)


def test_empty_lists_are_no_split(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path)
    for name in ("image_ids", "class_labels", "image_sizes", "localization"):
        (root / "metadata" / "val" / f"{name}.txt").write_text("")
    dataset = CubDataset(root)
    assert (len(dataset.samples("val")), dataset.notes, dataset.has_truth("val")) == (0, (), False)
    for split in ("train", "test"):
        (root / "metadata" / split / "class_labels.txt").write_text("\n")
        (root / "metadata" / split / "image_ids.txt").unlink()
    with pytest.raises(UserError, match="expected images in the lists of 'cub', found none"):
        CubDataset(root)


def test_what_is_not_there_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found none at .*absent: check its name, or make it with rfga data"):
        CubDataset(tmp_path / "absent")
    with pytest.raises(UserError, match=r"SPLIT/class_labels.txt in .*metadata, found none: give them with"):
        CubDataset(tmp_path)
    root = write_benchmark(tmp_path / "set")
    with pytest.raises(UserError, match=r"found none: give .*metadata$"):
        CubDataset(root, root / "metadata" / "val")
    with pytest.raises(UserError, match="give the folder above train, val and test"):
        CubDataset(root, tmp_path / "absent")


def test_workers_may_be_sent_a_copy(tmp_path: Path) -> None:
    dataset = CubDataset(write_benchmark(tmp_path, "masks"))
    sample = dataset.samples("val")[0]
    truth = dataset.truth(sample)
    copy = pickle.loads(pickle.dumps(dataset))
    assert list(copy.samples("val")) == list(dataset.samples("val"))
    assert truth is not None
    np.testing.assert_array_equal(copy.truth(sample).mask, truth.mask)
