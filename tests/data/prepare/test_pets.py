from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from torchvision.datasets import OxfordIIITPet

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.prepare import pets
from rfga.data.prepare.download import Remote
from tests.data.prepare import made_up
from tests.data.prepare.server import Served, serving

Captured = pytest.CaptureFixture[str]
NAMES = {"Abyssinian": 1, "american_bulldog": 2}


def prepare(*arguments: object) -> int:
    return main(["data", "prepare", "pets", *map(str, arguments)])


def archives(folder: Path) -> dict[str, bytes]:
    """images.tar.gz and annotations.tar.gz, with what macOS left in the real one."""
    names = [(f"{breed}_{number}", label) for breed, label in NAMES.items() for number in range(30)]
    listed = {"trainval": names[::2], "test": names[1::2]}
    annotations = {
        f"annotations/{split}.txt": made_up.lines(
            f"{name} {label} {1 + (label > 1)} 1" for name, label in of_split
        )
        for split, of_split in listed.items()
    }
    annotations |= {f"annotations/trimaps/{name}.png": made_up.trimap() for name, _ in names}
    annotations["annotations/trimaps/._Abyssinian_0.png"] = b"left by macOS"
    images = {f"images/{name}.jpg": made_up.photograph() for name, _ in names}
    images["images/Abyssinian_0.mat"] = b"left over"
    contents = {
        "images.tar.gz": gzip.compress(made_up.tar_bytes(images)),
        "annotations.tar.gz": gzip.compress(made_up.tar_bytes(annotations)),
    }
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return contents


def test_archives_become_a_data_set(tmp_path: Path, capsys: Captured) -> None:
    archives(tmp_path / "archives")
    out = tmp_path / "pets"
    assert prepare("--out", out, "--archives", tmp_path / "archives") == 0
    assert f"pets: 30 trainval, 30 test photographs in {out}" in capsys.readouterr().out
    loader = OxfordIIITPet(out, split="trainval", target_types="segmentation", download=False)
    assert len(loader) == 30
    assert loader[0][0].size == loader[0][1].size == (31, 20)
    dataset = open_dataset(out)
    assert dataset.classes == ("Abyssinian", "American Bulldog")
    assert len(dataset.samples("train")) + len(dataset.samples("val")) == 30
    assert len(dataset.samples("test")) == 30
    truth = dataset.truth(dataset.samples("test")[0])
    assert truth is not None
    assert truth.mask is not None
    assert truth.mask.shape == (20, 31)


def test_addresses_and_checksums_are_torchvision_s() -> None:
    own = [(remote.url, remote.checksum.removeprefix("md5:")) for remote in (pets.IMAGES, pets.ANNOTATIONS)]
    assert own == list(OxfordIIITPet._RESOURCES)


def test_both_archives_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    contents = archives(tmp_path / "archives")
    images, annotations = contents["images.tar.gz"], contents["annotations.tar.gz"]
    with serving(Served(images, cut_after=[100])) as first, serving(Served(annotations)) as second:
        monkeypatch.setattr(pets, "IMAGES", Remote(first.url, made_up.md5(images), "images.tar.gz"))
        monkeypatch.setattr(pets, "ANNOTATIONS", Remote(second.url, "md5:00", "annotations.tar.gz"))
        assert prepare("--out", tmp_path / "pets") == 1
        assert "to have the checksum md5:00, found md5:" in capsys.readouterr().err
        assert not (tmp_path / "pets" / "dataset.json").exists()
        monkeypatch.setattr(
            pets, "ANNOTATIONS", Remote(second.url, made_up.md5(annotations), "annotations.tar.gz")
        )
        assert prepare("--out", tmp_path / "pets") == 0
    assert first.asked == [None, "bytes=100-"]
    assert len(open_dataset(tmp_path / "pets").samples("test")) == 30


def test_a_missing_trimap_is_noticed(tmp_path: Path, capsys: Captured) -> None:
    archives(tmp_path / "archives")
    made_up.change_tgz(
        tmp_path / "archives" / "annotations.tar.gz", {"annotations/trimaps/Abyssinian_4.png": None}
    )
    assert prepare("--out", tmp_path / "pets", "--archives", tmp_path / "archives") == 1
    assert (
        "found 1 of them missing in the archives (first annotations/trimaps/Abyssinian_4.png)"
        in capsys.readouterr().err
    )
    archives(tmp_path / "others")
    made_up.change_tgz(tmp_path / "others" / "annotations.tar.gz", {"annotations/test.txt": None})
    assert prepare("--out", tmp_path / "pets", "--archives", tmp_path / "others") == 1
    assert "expected annotations/test.txt in annotations.tar.gz" in capsys.readouterr().err
