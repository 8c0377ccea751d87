from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import rfga
from rfga.engine.export.command import ExportCommand, export_run
from rfga.engine.run.pretrained import MODEL_FILES
from rfga.types import UserError
from tests.engine import tiny


@pytest.fixture(scope="session")
def folder(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("folder") / "model"
    assert export_run(ExportCommand(tiny_run, out, "folder")).agreement is None
    return out


def test_it_loads_as_the_same_model(folder: Path, tiny_run: Path) -> None:
    run = rfga.Localizer.load(tiny_run, device="cpu")
    found = rfga.Localizer.from_pretrained(folder, device="cpu")
    assert (found.fingerprint, found.classes, found.threshold) == (
        run.fingerprint,
        run.classes,
        run.threshold,
    )
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert np.array_equal(found.score(pixels).maps, run.score(pixels).maps)


def test_it_holds_what_the_hub_wants_and_nothing_else(folder: Path, tiny_run: Path, birds: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {*MODEL_FILES, "README.md"}
    for path in folder.iterdir():
        assert path.suffix in (".yaml", ".json", ".safetensors", ".md")
        held = path.read_bytes()
        assert str(birds).encode() not in held, f"{path.name} tells where the photographs lay"
        assert str(tiny_run).encode() not in held
    data = yaml.safe_load((folder / "config.yaml").read_text())["data"]
    assert (data["source"], data["truth"], data["skipped_photographs"]) == (birds.name, "val_boxes.json", 0)
    assert json.loads((folder / "metrics.json").read_text()) == tiny.metrics(tiny_run)


def test_paths_of_weights_and_reasons_of_what_was_skipped_stay_here(tiny_run: Path, tmp_path: Path) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    held = yaml.safe_load((run / "config.yaml").read_text())
    held["train"]["weights"] = "/home/somebody/secret/weights.pth"
    held["data"]["skipped"] = [{"image": "a.jpg", "reason": "found /home/somebody/a.jpg damaged"}]
    (run / "config.yaml").write_text(yaml.safe_dump(held))
    export_run(ExportCommand(run, tmp_path / "out", "folder"))
    written = (tmp_path / "out" / "config.yaml").read_text()
    assert "somebody" not in written
    assert "weights: weights.pth" in written
    assert yaml.safe_load(written)["data"]["skipped_photographs"] == 1


def test_an_earlier_export_is_replaced_if_asked_for(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    export_run(ExportCommand(tiny_run, out, "folder"))
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (out / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"expected a new --out, found that .* exists: add --overwrite"):
        export_run(ExportCommand(tiny_run, out, "folder"))
    assert (out / "README.md").read_text() == "mine"
    export_run(ExportCommand(tiny_run, out, "folder", overwrite=True))
    assert (out / "README.md").read_text().startswith("---\n")
    assert (out / ".git" / "HEAD").read_text() == "ref: refs/heads/main"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_other_files_are_never_replaced(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("a photograph")
    with pytest.raises(UserError, match=r"expected a new folder or an earlier export, found .* photo\.jpg"):
        export_run(ExportCommand(tiny_run, tmp_path, "folder", overwrite=True))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    run = tiny.copied(tiny_run, tmp_path / "run")
    before = tiny.snapshot(run)
    with pytest.raises(UserError, match="expected another --out than the run itself"):
        export_run(ExportCommand(run, run, "folder", overwrite=True))
    assert tiny.snapshot(run) == before


def test_a_folder_whose_weights_are_damaged_is_refused(folder: Path, tmp_path: Path) -> None:
    damaged = tiny.copied(folder, tmp_path / "model")
    (damaged / "model.safetensors").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(UserError, match="found the file damaged"):
        rfga.Localizer.from_pretrained(damaged)
