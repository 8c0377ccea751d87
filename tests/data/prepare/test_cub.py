from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.prepare import cub
from rfga.data.prepare.download import Remote
from tests.data.prepare import made_up
from tests.data.prepare.made_up import BIRDS, Bird
from tests.data.prepare.server import Served, serving

REAL_LINES = {  # of the data set's own bounding_boxes.txt
    "0046_18": (60.0, 27.0, 325.0, 304.0),
    "0009_34": (139.0, 30.0, 153.0, 264.0),
    "0002_55": (14.0, 112.0, 388.0, 186.0),
    "0090_796077": (5.0, 4.0, 210.0, 130.0),
    "0005_796090": (1.0, 2.0, 499.0, 286.0),  # ends at the photograph's right edge
    "0053_796109": (40.0, 4.0, 368.0, 445.0),
    "0050_796125": (5.0, 127.0, 496.0, 131.0),  # and one pixel beyond it
}


def listed(folder: Path, name: str) -> list[list[str]]:
    return [line.split(",") for line in (folder / name).read_text().splitlines()]


def prepare(*arguments: object) -> int:
    return main(["data", "prepare", "cub", *map(str, arguments)])


@pytest.mark.parametrize("ending", REAL_LINES)
def test_the_rule_of_boxes_gives_the_benchmark_s_numbers(ending: str, shared: Path) -> None:
    for split in ("train", "test"):
        lists = shared / "wsol-metadata" / "CUB" / split
        rows = zip(listed(lists, "localization.txt"), listed(lists, "image_sizes.txt"), strict=True)
        for (name, *box), (same, width, height) in rows:
            if name.endswith(f"Footed_Albatross_{ending}.jpg"):
                assert name == same
                found = cub.benchmark_box(REAL_LINES[ending], (int(height), int(width)))
                assert found == tuple(map(int, box))
                return
    pytest.fail("not in the lists")


def birds_of(lists: Path, split: str) -> list[Bird]:
    """The first photograph of each class and all whose box touches an edge, as the data set has them."""
    birds: list[Bird] = []
    labels = dict(listed(lists / split, "class_labels.txt"))
    rows = zip(
        listed(lists / split, "localization.txt"), listed(lists / split, "image_sizes.txt"), strict=True
    )
    for number, ((name, *numbers), (_, width, height)) in enumerate(rows):
        size_wh, (x0, y0, x1, y1) = (int(width), int(height)), map(int, numbers)
        touches = x1 == size_wh[0] - 1 or y1 == size_wh[1] - 1
        if touches or not birds or birds[-1].label != int(labels[name]):
            # A box that ends at the last pixel may have ended up to two pixels further in the data set.
            beyond = [
                number % 3 if end == size - 1 else 0 for end, size in zip((x1, y1), size_wh, strict=True)
            ]
            box = (float(x0), float(y0), float(x1 - x0 + beyond[0]), float(y1 - y0 + beyond[1]))
            birds.append(Bird(name, int(labels[name]), split == "train", size_wh[::-1], box))
    return birds


def test_lists_derived_from_the_archive_are_the_benchmark_s(shared: Path, tmp_path: Path) -> None:
    lists = shared / "wsol-metadata" / "CUB"
    train, test = birds_of(lists, "train"), birds_of(lists, "test")
    assert min(len(train), len(test)) > 150
    mixed = [bird for pair in zip(train, test, strict=False) for bird in pair]  # the archive's order is mixed
    mixed += train[len(test) :] + test[len(train) :]
    archive = made_up.cub_archive(tmp_path / "CUB_200_2011.tgz", mixed)
    assert prepare("--out", tmp_path / "CUB", "--archives", archive, "--quiet") == 0
    for split, birds in (("train", train), ("test", test)):
        chosen = {bird.name for bird in birds}
        for name in ("image_ids.txt", "class_labels.txt", "image_sizes.txt", "localization.txt"):
            expected = [row for row in listed(lists / split, name) if row[0] in chosen]
            assert listed(tmp_path / "CUB" / "metadata" / split, name) == expected
    dataset = open_dataset(tmp_path / "CUB")
    assert [sample.image_id for sample in dataset.samples("train-weaksup")] == [bird.name for bird in train]
    sample = dataset.samples("test")[0]
    truth = dataset.truth(sample)
    assert truth is not None
    assert truth.boxes is not None
    assert dataset.image(sample).size == truth.size_hw[::-1]


def test_a_local_archive_becomes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.cub_archive(tmp_path / "CUB_200_2011.tgz", BIRDS)
    out = tmp_path / "CUB"
    assert prepare("--out", out, "--archives", tmp_path, "--json", tmp_path / "said.json") == 0
    said = capsys.readouterr()
    assert f"cub: 2 train, 2 test photographs in {out}" in said.out
    assert (
        f"note: val (CUBV2) is empty, since its lists and photographs were not given: download {cub.VAL_URL}"
        in said.out
    )
    assert json.loads((tmp_path / "said.json").read_text())["photographs"] == {"train": 2, "test": 2}
    assert sorted(path.name for path in out.iterdir()) == [
        "classes.txt",
        "dataset.json",
        "images",
        "metadata",
    ]
    assert json.loads((out / "dataset.json").read_text())["dataset"] == "cub"
    dataset = open_dataset(out)
    assert dataset.classes == ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    assert [(s.image_id, s.label) for s in dataset.samples("train")] == [
        (BIRDS[0].name, 0),
        (BIRDS[2].name, 1),
    ]
    assert not dataset.samples("val")
    truth = dataset.truth(dataset.samples("train")[1])
    assert truth is not None
    assert truth.boxes is not None
    np.testing.assert_array_equal(truth.boxes, [[0, 0, 43, 32]])
    assert truth.size_hw == (33, 44)


def val_lists(folder: Path) -> Path:
    name = "001.Black_footed_Albatross/123.jpg"
    made_up.write_lists(folder / "CUB" / "val", {name: 0}, [f"{name},1,2,3,4"], [f"{name},31,20"])
    return folder


@pytest.mark.parametrize("top", ["", "./", "CUBV2/"])
def test_val_is_taken_from_its_own_archive_and_lists(top: str, tmp_path: Path) -> None:
    archives = tmp_path / "archives"
    archives.mkdir()
    made_up.cub_archive(archives / "CUB_200_2011.tgz", BIRDS)
    files = {f"{top}001.Black_footed_Albatross/{name}.jpg": made_up.photograph() for name in (123, 456)}
    (archives / "CUBV2.tar").write_bytes(made_up.tar_bytes(files))
    out, lists = tmp_path / "CUB", val_lists(tmp_path / "metadata")
    assert prepare("--out", out, "--archives", archives, "--metadata", lists) == 0
    dataset = open_dataset(out)
    assert [sample.image_id for sample in dataset.samples("train-fullsup")] == [
        "001.Black_footed_Albatross/123.jpg"
    ]
    assert dataset.has_truth("val")
    assert len(list((out / "images").rglob("*.jpg"))) == 5, "what no list names is left out"


def test_what_is_missing_of_val_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = made_up.cub_archive(tmp_path / "CUB_200_2011.tgz", BIRDS)
    lists = val_lists(tmp_path / "metadata")
    assert prepare("--out", tmp_path / "a", "--archives", archive, "--metadata", lists / "CUB") == 0
    assert "val (CUBV2) is empty, since its photographs were not given" in capsys.readouterr().out
    (tmp_path / "CUBV2.tar").write_bytes(made_up.tar_bytes({}))
    both = ("--archives", archive, tmp_path / "CUBV2.tar")
    assert prepare("--out", tmp_path / "b", *both) == 1
    assert "expected the lists of CUBV2.tar" in capsys.readouterr().err
    assert prepare("--out", tmp_path / "c", *both, "--metadata", lists) == 1
    assert "expected 1 photographs of val, found 1 of them missing" in capsys.readouterr().err
    assert prepare("--out", tmp_path / "d", *both, "--metadata", tmp_path / "c") == 1
    assert "expected lists in " in capsys.readouterr().err
    assert not list(tmp_path.glob("[b-d]/dataset.json"))


def test_lists_that_say_something_else_are_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = made_up.cub_archive(tmp_path / "CUB_200_2011.tgz", BIRDS)
    ids = {BIRDS[0].name: 0, BIRDS[2].name: 1}
    boxes = [f"{BIRDS[0].name},2,3,22,13", f"{BIRDS[2].name},0,0,44,33"]
    made_up.write_lists(tmp_path / "metadata" / "train-weaksup", ids, boxes)
    assert prepare("--out", tmp_path / "CUB", "--archives", archive, "--metadata", tmp_path / "metadata") == 0
    assert "note: 2 lines of " in capsys.readouterr().out, "of the second box the given and the derived line"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"images.txt": b""}, "expected images.txt in the archive, found none or an empty one"),
        ({"bounding_boxes.txt": b"1 2.0 3.0 20.0 10.0\n"}, "expected split, class and box of photograph 2"),
        ({"bounding_boxes.txt": b"1 2.0 3.0 20.0\n"}, "expected split, class and box of photograph 1"),
        ({"train_test_split.txt": b"1 yes\n"}, "expected split, class and box of photograph 1"),
        ({f"images/{BIRDS[1].name}": b"no picture"}, "is none or has a damaged beginning"),
        ({f"images/{BIRDS[1].name}": None}, "expected an image, found no file"),
    ],
)
def test_an_archive_of_another_structure_is_refused(
    broken: dict[str, bytes | None], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = made_up.cub_archive(tmp_path / "CUB_200_2011.tgz", BIRDS)
    made_up.change_tgz(archive, {f"CUB_200_2011/{name}": content for name, content in broken.items()})
    assert prepare("--out", tmp_path / "CUB", "--archives", archive) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "CUB" / "dataset.json").exists()


def test_the_archive_is_downloaded_and_goes_on_where_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = made_up.cub_archive(tmp_path / "x", BIRDS).read_bytes()
    checksum = made_up.md5(content)
    with serving(Served(content, cut_after=[1000, 0, 0, 0, 0])) as served:
        monkeypatch.setattr(cub, "ARCHIVE", Remote(served.url, checksum, "CUB_200_2011.tgz"))
        assert prepare("--out", tmp_path / "CUB") == 1
        assert "the connection ended after 1000 of" in capsys.readouterr().err
        assert not (tmp_path / "CUB" / "dataset.json").exists()
        assert prepare("--out", tmp_path / "CUB") == 0
    assert served.asked[-1] == "bytes=1000-"
    assert len(open_dataset(tmp_path / "CUB").samples("train")) == 2
    assert not (tmp_path / "CUB" / ".preparing").exists(), "the archive is not kept"


def test_the_official_place_is_named_with_its_checksum() -> None:
    assert cub.ARCHIVE.file_name == "CUB_200_2011.tgz"
    assert cub.ARCHIVE.url.startswith("https://data.caltech.edu/records/65de6-vp158/")
    assert len(cub.ARCHIVE.checksum) == len("md5:") + 32
