from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.prepare import ilsvrc
from rfga.data.prepare.download import Remote
from tests.data.prepare import made_up
from tests.data.prepare.server import Served, serving

Captured = pytest.CaptureFixture[str]
WNIDS = ("n01443537", "n01440764", "n01484850")  # not in order
SHA = {
    f"{label}/{n}.jpeg": f"{label}/{hashlib.sha1(bytes([label, n])).hexdigest()}.jpeg"
    for label in range(3)
    for n in (0, 1)
}


def prepare(*arguments: object) -> int:
    return main(["data", "prepare", "ilsvrc", *map(str, arguments)])


def train_archive(folder: Path, wnids: tuple[str, ...] = WNIDS) -> Path:
    """A tar with a tar for each class."""
    classes = {
        f"{wnid}.tar": made_up.tar_bytes(
            {f"{wnid}_{number}.JPEG": made_up.photograph(seed=number) for number in (18, 2)}
        )
        for wnid in wnids
    }
    path = folder / "ILSVRC2012_img_train.tar"
    path.write_bytes(made_up.tar_bytes(classes))
    return path


def archive_of_test(folder: Path) -> Path:
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 4)]
    path = folder / "ILSVRC2012_img_val.tar"
    path.write_bytes(made_up.tar_bytes({name: made_up.photograph() for name in names}))
    return path


def val_archive(folder: Path, *, renamed: bool) -> Path:
    names = [SHA[name] if renamed else name for name in SHA]
    files = {f"imagenetv2-threshold0.7-format-val/{name}": made_up.photograph() for name in names}
    path = folder / "imagenetv2-threshold0.7.tar.gz"
    path.write_bytes(gzip.compress(made_up.tar_bytes(files)))
    return path


def lists(folder: Path, *, mapping: bool = True) -> Path:
    """Lists of val and test as the benchmark has them; test has two boxes on one photograph."""
    test = {f"val/ILSVRC2012_val_{number:08d}.JPEG": number - 1 for number in range(1, 4)}
    boxes = [f"{name},1,2,20,15" for name in test]
    made_up.write_lists(
        folder / "ILSVRC" / "test",
        test,
        [*boxes, f"{next(iter(test))},3,4,9,9"],
        [f"{name},31,20" for name in test],
    )
    val = {f"val2/{name}": int(name[0]) for name in SHA}
    made_up.write_lists(
        folder / "ILSVRC" / "val",
        val,
        [f"{name},1,2,20,15" for name in val],
        [f"{name},31,20" for name in val],
    )
    if mapping:
        text = "".join(f"{old}, {new}\n" for old, new in SHA.items())
        (folder / "ILSVRC" / "val" / "mapping.txt").write_text(text)
    return folder


@pytest.mark.parametrize("renamed", [True, False])
def test_archives_become_a_data_set(renamed: bool, tmp_path: Path, capsys: Captured) -> None:
    archives = tmp_path / "archives"
    archives.mkdir()
    train_archive(archives)
    archive_of_test(archives)
    val_archive(archives, renamed=renamed)
    (archives / "ILSVRC2012_bbox_val_v3.tgz").write_bytes(b"not needed")
    out = tmp_path / "ILSVRC"
    assert prepare("--out", out, "--archives", archives, "--metadata", lists(tmp_path / "metadata")) == 0
    said = capsys.readouterr().out
    assert f"ilsvrc: 6 train, 6 val, 3 test photographs in {out}" in said
    assert "note: train holds 6 photographs of 3 classes; the whole one has 1281167 of 1000" in said
    dataset = open_dataset(out)
    assert dataset.classes == tuple(sorted(WNIDS))
    assert [(sample.image_id, sample.label) for sample in dataset.samples("train")] == [
        (f"train/{wnid}/{wnid}_{number}.JPEG", label)
        for label, wnid in enumerate(sorted(WNIDS))
        for number in (18, 2)
    ]
    assert not dataset.has_truth("train")
    assert [sample.image_id for sample in dataset.samples("val")] == [f"val2/{name}" for name in SHA]
    truth = dataset.truth(dataset.samples("test")[0])
    assert truth is not None
    assert truth.boxes is not None
    assert truth.boxes.tolist() == [[1, 2, 20, 15], [3, 4, 9, 9]]
    for split in ("train", "val", "test"):
        assert all(dataset.image(sample).size == (31, 20) for sample in dataset.samples(split))


def test_without_archives_the_account_is_named(tmp_path: Path, capsys: Captured) -> None:
    assert prepare("--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in (
        "account",
        "https://image-net.org",
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "bbox_val_v3",
    ):
        assert word in said


def test_parts_may_be_prepared_alone(tmp_path: Path, capsys: Captured) -> None:
    assert prepare("--out", tmp_path / "train", "--archives", train_archive(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "val (ImageNetV2) is empty" in said
    assert "test is empty" in said
    assert len(open_dataset(tmp_path / "train").samples("train")) == 6
    metadata = lists(tmp_path / "metadata")
    archives = (archive_of_test(tmp_path), val_archive(tmp_path, renamed=True))
    assert prepare("--out", tmp_path / "rest", "--archives", *archives, "--metadata", metadata) == 0
    assert "train is empty" in capsys.readouterr().out
    assert len(open_dataset(tmp_path / "rest").samples("test")) == 3


def test_lists_are_asked_for(tmp_path: Path, capsys: Captured) -> None:
    assert prepare("--out", tmp_path / "out", "--archives", archive_of_test(tmp_path)) == 1
    assert (
        "expected the lists of ILSVRC2012_img_val.tar, found none: give --metadata" in capsys.readouterr().err
    )


def test_renamed_photographs_need_the_mapping(tmp_path: Path, capsys: Captured) -> None:
    metadata = lists(tmp_path / "metadata", mapping=False)
    archives = (archive_of_test(tmp_path), val_archive(tmp_path, renamed=True))
    assert prepare("--out", tmp_path / "out", "--archives", *archives, "--metadata", metadata) == 1
    assert (
        "found 6 of them missing, for later archives name them otherwise: put mapping.txt of"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_a_part_of_the_classes_is_no_train_for_the_lists(tmp_path: Path, capsys: Captured) -> None:
    archives = (
        train_archive(tmp_path, WNIDS[:2]),
        archive_of_test(tmp_path),
        val_archive(tmp_path, renamed=True),
    )
    metadata = lists(tmp_path / "metadata")
    assert prepare("--out", tmp_path / "out", "--archives", *archives, "--metadata", metadata) == 1
    assert "expected the 3 classes of the lists in the archive of train, found 2" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_off_archive_is_no_train(kept: float, tmp_path: Path, capsys: Captured) -> None:
    path = train_archive(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content.rstrip(b"\0")))])
    assert prepare("--out", tmp_path / "out", "--archives", path) == 1
    assert "damaged or cut off" in capsys.readouterr().err


def test_a_hostile_class_stays_inside(tmp_path: Path, capsys: Captured) -> None:
    inner = made_up.tar_bytes({"../../../evil.JPEG": b"evil"})
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(made_up.tar_bytes({"n01440764.tar": inner}))
    assert prepare("--out", tmp_path / "out", "--archives", tmp_path / "ILSVRC2012_img_train.tar") == 1
    assert "expected paths inside n01440764.tar" in capsys.readouterr().err
    assert not list(tmp_path.rglob("evil*"))


def test_imagenet_v2_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = val_archive(tmp_path, renamed=True).read_bytes()
    with serving(Served(content)) as served:
        remote = Remote(
            served.url, f"sha256:{hashlib.sha256(content).hexdigest()}", ilsvrc.VAL_ARCHIVE.file_name
        )
        monkeypatch.setattr(ilsvrc, "VAL_ARCHIVE", remote)
        archive, metadata = archive_of_test(tmp_path), lists(tmp_path / "metadata")
        assert prepare("--out", tmp_path / "out", "--archives", archive, "--metadata", metadata) == 0
    assert len(open_dataset(tmp_path / "out").samples("val")) == 6
