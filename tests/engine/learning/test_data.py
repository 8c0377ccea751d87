"""What is said before training begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from rfga.data.folder import FolderDataset
from rfga.engine.learning.data import read_training_data
from rfga.engine.runtime.machine import Runtime
from rfga.types import Sample


def test_what_truth_leaves_out_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train/cat/0.png", "train/dog/0.png", "val/cat/1.png", "val/dog/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    names = ["train/cat/0.png", "val/cat/1.png", "val/dog/9.png"]
    boxes = [[1, 1, 9, 9], [1, 1, 9, 9], [1, 1, 9, 0]]
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [{"image_id": min(n, 1), "bbox": box} for n, box in enumerate(boxes)],
    }
    (tmp_path / "t.json").write_text(json.dumps(content))
    dataset = FolderDataset(tmp_path, tmp_path / "t.json")
    read_training_data(dataset, Runtime(device="cpu", workers=0))
    said = capsys.readouterr().out
    assert "found [1, 1, 9, 0] in entry 2 of 'annotations'" in said
    assert "found 1 of others (first: train/cat/0.png)" in said
    assert "truth of no photograph: 1 named that are not there (first: val/dog/9.png)" in said
    read_training_data(dataset, Runtime(device="cpu", workers=0, quiet=True))
    assert capsys.readouterr().out == ""


def test_what_was_looked_at_is_not_looked_at_again_until_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        for number in range(12):
            path = tmp_path / "train" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 7)).save(path)
    (tmp_path / "train/a/3.png").write_bytes(b"no picture")
    looked: list[str] = []
    check = FolderDataset.check

    def counting(self: FolderDataset, sample: Sample) -> None:
        looked.append(sample.image_id)
        check(self, sample)

    monkeypatch.setattr(FolderDataset, "check", counting)
    quiet = Runtime(device="cpu", workers=0, quiet=True)
    first = read_training_data(FolderDataset(tmp_path), quiet)
    assert len(looked) == 24
    again = read_training_data(FolderDataset(tmp_path), quiet, before=first.record())
    assert len(looked) == 24
    assert again.record() == first.record()
    assert [name for name, _ in again.skipped] == ["train/a/3.png"]
    Image.new("RGB", (9, 7)).save(tmp_path / "train/a/3.png")
    mended = read_training_data(FolderDataset(tmp_path), quiet, before=first.record())
    assert len(looked) == 48
    assert not mended.skipped
