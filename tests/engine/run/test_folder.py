from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import NAMES, RunFolder
from rfga.types import UserError
from tests.engine import tiny

NEW = RunPolicy()
CONFIG = TrainConfig(method="cam", epochs=3)
LEFTOVER = f".{'0' * 32}.tmp"


def started(path: Path) -> RunFolder:
    run = RunFolder(path)
    run.start(CONFIG, ("ä", "b"), {"name": "data"}, NEW)
    return run


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = started(tmp_path / "a" / "run")
    assert run.read_config() == (CONFIG, {"name": "data"})
    assert run.read_classes() == ("ä", "b")
    assert run.read_metrics() == {}
    run.update_metrics(history=[{"epoch": 1}])
    run.update_metrics(thresholds={})
    assert run.read_metrics() == {"history": [{"epoch": 1}], "thresholds": {}}
    assert (run.is_started, run.is_finished) == (True, False)
    tensor = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    run.write_model({"w": tensor})
    assert run.is_finished
    assert torch.equal(run.read_model()["w"], tensor)


def test_existing_run_is_refused_unless_told(tmp_path: Path) -> None:
    run = started(tmp_path)
    with pytest.raises(UserError, match="add --resume to go on with it, --overwrite to start anew"):
        run.check(NEW)
    run.check(tiny.RESUME)
    run.check(tiny.OVERWRITE)


@pytest.mark.parametrize("policy", [NEW, tiny.RESUME, tiny.OVERWRITE])
@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "notes.txt"])
def test_folder_of_somebody_else_is_left_alone(policy: RunPolicy, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine: 1")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine.ckpt").write_text("mine")
    before = tiny.snapshot(tmp_path)
    with pytest.raises(UserError, match="choose another --out"):
        RunFolder(tmp_path).start(CONFIG, ("a", "b"), {}, policy)
    assert tiny.snapshot(tmp_path) == before


@pytest.mark.parametrize("policy", [NEW, tiny.RESUME, tiny.OVERWRITE])
def test_new_empty_or_killed_folder_is_taken(policy: RunPolicy, tmp_path: Path) -> None:
    RunFolder(tmp_path / "new").start(CONFIG, ("a", "b"), {}, policy)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / LEFTOVER).write_text("half")
    RunFolder(tmp_path / "killed").start(CONFIG, ("a", "b"), {}, policy)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["classes.json", "config.yaml"]


def test_only_files_of_the_run_go(tmp_path: Path) -> None:
    run = started(tmp_path)
    for name in NAMES:
        if not (tmp_path / name).exists() and "." in name:
            (tmp_path / name).write_text("old")
    (tmp_path / "checkpoints").mkdir()
    run.checkpoint.write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    run.start(CONFIG, ("c", "d"), {}, tiny.OVERWRITE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.json", "config.yaml", "notes.txt"]
    assert run.read_classes() == ("c", "d")


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(UserError, match=r"cannot be written \(.*give another output folder"):
            RunFolder(path).check(NEW)


def test_folder_that_is_no_run(tmp_path: Path) -> None:
    for read in (RunFolder(tmp_path).read_config, RunFolder(tmp_path).read_model):
        with pytest.raises(UserError, match=r"with config\.yaml, found none at .*: give the --out"):
            read()


def test_run_that_has_no_model_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found none yet: finish it with rfga train --resume"):
        started(tmp_path).read_model()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.yaml", b"train: [", "expected the settings of a run in .* found it damaged"),
        ("config.yaml", b"train: 3\ndata: {}", "expected the settings of a run in"),
        ("config.yaml", b"\xff\xfe", "expected text in .*unreadable"),
        ("config.yaml", b"train: {epochs: many}\ndata: {}", "expected setting epochs to be int.*config.yaml"),
        ("config.yaml", b"train: {new_setting: 1}\ndata: {}", "found new_setting: correct or remove it .in"),
        ("classes.json", b"{", "expected JSON in .*classes.json"),
        ("classes.json", b"3", "expected class names in"),
        ("metrics.json", b"[]", "expected numbers by name in"),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0{", "expected weights in .* found the file damaged"),
    ],
)
def test_damaged_files_are_told(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    run = started(tmp_path)
    (tmp_path / name).write_bytes(content)
    readers = {
        "config.yaml": run.read_config,
        "classes.json": run.read_classes,
        "metrics.json": run.read_metrics,
        "model.safetensors": run.read_model,
    }
    with pytest.raises(UserError, match=sentence):
        readers[name]()
