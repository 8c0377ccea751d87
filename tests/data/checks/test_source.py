from __future__ import annotations

from pathlib import Path

import pytest

from rfga.data.checks.source import open_for_check
from rfga.data.folder import FolderDataset
from rfga.types import UserError
from tests.data.checks.folders_to_check import clean_folders, photograph, put
from tests.made_benchmarks import write_benchmark


def test_clean_folders_are_opened_as_ever(tmp_path: Path) -> None:
    root = clean_folders(tmp_path / "data", train=2)
    source = open_for_check(str(root))
    assert source.findings == ()
    assert source.split_folder == root / "val"
    assert not source.carries_truth
    dataset = FolderDataset(root)
    assert source.dataset.classes == dataset.classes
    assert source.dataset.samples("train") == dataset.samples("train")


def test_a_class_that_train_lacks_comes_behind_the_others(tmp_path: Path) -> None:
    root = clean_folders(tmp_path / "data", train=2)
    put(root / "val" / "ape" / "0.jpg", photograph(99))
    dataset = open_for_check(str(root)).dataset
    assert dataset.classes == ("cat", "dog", "ape")
    assert [sample.image_id for sample in dataset.samples("val") if sample.label == 2] == ["ape/0.jpg"]
    with pytest.raises(UserError, match=r"found ape in .*val alone"):
        FolderDataset(root)


def test_pictures_that_are_left_out_are_named(tmp_path: Path) -> None:
    root = clean_folders(tmp_path / "data", train=2)
    put(root / "train" / "loose.jpg", photograph(99))
    (root / "val" / "cat" / "new").mkdir()
    (root / "val" / "cat" / "new" / "IMG_1.CR2").write_bytes(b"ftypheic")
    (root / "val" / "cat" / "notes.txt").write_text("no picture, none of our business")
    (root / "val" / "cat" / ".hidden.heic").write_bytes(b"")
    findings = sorted(open_for_check(str(root)).findings, key=lambda one: one.file)
    assert [(one.kind, one.file) for one in findings] == [
        ("left_out", "train/loose.jpg"),
        ("left_out", "val/cat/new/IMG_1.CR2"),
    ]
    assert "found one beside them" in findings[0].sentence
    assert "found .CR2: convert it" in findings[1].sentence


def test_prepared_folders_carry_their_truth(tmp_path: Path) -> None:
    source = open_for_check(f"cub:{write_benchmark(tmp_path / 'cub')}")
    assert source.carries_truth
    assert source.split_folder is None


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing at"):
        open_for_check(str(tmp_path / "lost"))
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(UserError, match="expected photographs in the class folders"):
        open_for_check(str(tmp_path))
