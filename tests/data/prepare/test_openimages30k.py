from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.prepare import openimages30k
from tests.data.prepare import made_up

Captured = pytest.CaptureFixture[str]
CLASSES = ("01226z", "0bt_c3")
TOP = ("", "OpenImages/")


def prepare(*arguments: object) -> int:
    return main(["data", "prepare", "openimages30k", *map(str, arguments)])


def images(split: str) -> dict[str, int]:
    return {
        f"{split}/{name}/{n}abc{label}.jpg": label for label, name in enumerate(CLASSES) for n in range(2)
    }


def mask_rows(split: str) -> list[str]:
    """Two masks of each photograph, the ignored region named once, as in the benchmark."""
    stems = [(name, name.removesuffix(".jpg")) for name in images(split)]
    return [
        row
        for name, stem in stems
        for row in (f"{name},{stem}_m1.png,{stem}_ignore.png", f"{name},{stem}_m2.png,")
    ]


def lists(folder: Path) -> Path:
    for split in ("train", "val", "test"):
        rows = [] if split == "train" else mask_rows(split)
        made_up.write_lists(folder / "OpenImages" / split, images(split), rows)
    return folder


def archives(
    folder: Path, top: str = "", splits: tuple[str, ...] = ("train", "val", "test")
) -> tuple[Path, Path]:
    names = [name for split in splits for name in images(split)]
    masks = {
        cell: made_up.mask(value=128 if "ignore" in cell else 255)
        for split in splits
        if split != "train"
        for row in mask_rows(split)
        for cell in row.split(",")[1:]
        if cell
    }
    return (
        made_up.zip_file(
            folder / "OpenImages_images.zip", {f"{top}{name}": made_up.photograph() for name in names}
        ),
        made_up.zip_file(
            folder / "OpenImages_annotations.zip",
            {f"{top}{name}": content for name, content in masks.items()},
        ),
    )


@pytest.mark.parametrize("top", TOP)
def test_archives_become_a_data_set(top: str, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "OpenImages30k"
    given = archives(tmp_path, top)
    assert prepare("--out", out, "--archives", *given, "--metadata", lists(tmp_path / "metadata")) == 0
    assert f"openimages30k: 4 train, 4 val, 4 test photographs in {out}\n" == capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "classes.txt",
        "dataset.json",
        "images",
        "masks",
        "metadata",
    ]
    dataset = open_dataset(out)
    assert dataset.classes == CLASSES
    assert [(s.image_id, s.label) for s in dataset.samples("train")] == list(images("train").items())
    truth = dataset.truth(dataset.samples("test")[0])
    assert truth is not None
    assert truth.mask is not None
    assert set(np.unique(truth.mask)) == {0, 255}
    assert (truth.mask == 255).mean() == pytest.approx(15 * 10 / (31 * 20), abs=0.02)
    assert dataset.image(dataset.samples("val")[0]).size == (31, 20)


def test_the_archive_for_evaluation_has_no_train(tmp_path: Path, capsys: Captured) -> None:
    image, mask = archives(tmp_path, splits=("val", "test"))
    both = made_up.read_zip(image) | made_up.read_zip(mask)
    evaluation = made_up.zip_file(tmp_path / "OpenImages30k_eval.zip", both)
    metadata = lists(tmp_path / "metadata")
    assert prepare("--out", tmp_path / "out", "--archives", evaluation, "--metadata", metadata) == 0
    assert "note: train is empty, since its photographs are not in the archives" in capsys.readouterr().out
    dataset = open_dataset(tmp_path / "out")
    assert not dataset.samples("train")
    assert dataset.has_truth("val")


def test_a_part_of_the_photographs_or_masks_is_refused(tmp_path: Path, capsys: Captured) -> None:
    metadata = lists(tmp_path / "metadata")
    image, mask = archives(tmp_path)
    for path, what in ((mask, "12 masks of test"), (image, "4 photographs of train")):
        files = made_up.read_zip(path)
        files.pop([name for name in files if name.startswith(what.split()[-1])][1])
        made_up.zip_file(path, files)
        assert prepare("--out", tmp_path / "out", "--archives", image, mask, "--metadata", metadata) == 1
        assert f"expected {what}, found 1 of them missing" in capsys.readouterr().err
        assert not (tmp_path / "out" / "dataset.json").exists()


def test_what_to_get_is_said(tmp_path: Path, capsys: Captured) -> None:
    assert prepare("--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert openimages30k.IMAGES_URL in said
    assert openimages30k.MASKS_URL in said
    assert "--metadata DIR" in said
    given = archives(tmp_path)
    assert prepare("--out", tmp_path / "out", "--archives", *given) == 1
    assert "expected the lists of all splits, found none of train, val, test" in capsys.readouterr().err
    other = made_up.zip_file(tmp_path / "OpenImages30k.zip", {"a.jpg": b""})
    assert prepare("--out", tmp_path / "out", "--archives", other, "--metadata", lists(tmp_path / "m")) == 1
    assert "found none of the lists' photographs" in capsys.readouterr().err
