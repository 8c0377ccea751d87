"""Training and measuring on a benchmark's folder, named as NAME:PATH or known by its dataset.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rfga.cli import main
from rfga.data import open_dataset
from rfga.engine.runtime.machine import Runtime
from tests.engine import tiny
from tests.made_benchmarks import write_benchmark


def source_of(run: Path) -> dict[str, object]:
    held: dict[str, object] = yaml.safe_load((run / "config.yaml").read_text())["data"]
    return {name: held[name] for name in ("source", "truth", "name")}


@pytest.mark.slow
def test_a_run_goes_on_and_is_measured_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_benchmark(tmp_path / "birds")
    (tmp_path / "birds" / "metadata").rename(tmp_path / "lists")
    options = ["--out", "run", *tiny.flags(batch_size=4, epochs=1)]
    assert main(["train", "cub:birds", "--truth", "lists", *options]) == 0
    expected = {"source": "cub:birds", "truth": "lists", "name": "cub"}
    assert source_of(tmp_path / "run") == expected
    assert tiny.metrics(tmp_path / "run")["evaluations"]["val"]["images"] == 6
    (tmp_path / "run" / "model.safetensors").unlink()
    assert main(["train", "cub:birds", "--out", "run", "--resume", "--device", "cpu", "--workers", "0"]) == 0
    assert source_of(tmp_path / "run") == expected
    found = {}
    for split in ("val", "train-fullsup"):
        command = [
            "evaluate",
            "run",
            "cub:birds",
            "--truth",
            "lists",
            "--split",
            split,
            "--json",
            f"{split}.json",
        ]
        assert main([*command, "--device", "cpu", "--workers", "0", "--step", "0.1"]) == 0
        found[split] = json.loads((tmp_path / f"{split}.json").read_text())
    assert found["val"] == found["train-fullsup"]
    assert (found["val"]["dataset"], found["val"]["split"]) == ("cub", "val")
    assert "MaxBoxAccV2" in found["val"]["metrics"]
    assert set(tiny.metrics(tmp_path / "run")["evaluations"]) == {"val"}
    assert main(["evaluate", "run", "cub:birds", "--split", "train-fullsup", "--device", "cpu"]) == 1
    assert "expected the lists of 'cub'" in capsys.readouterr().err


def test_a_split_that_is_not_there_is_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_benchmark(tmp_path / "birds")
    (root / "dataset.json").write_text('{"dataset": "cub"}')
    for image in (root / "images" / "val").rglob("*.jpg"):
        image.unlink()
    loud = Runtime(device="cpu", workers=0, quiet=False)
    run = tiny.train(root, tmp_path / "run", runtime=loud, epochs=1, batch_size=4)
    assert "the val lists of 'cub' name 6 photographs, of which none of the 6" in capsys.readouterr().out
    assert "evaluations" not in tiny.metrics(run)
    assert main(["evaluate", str(run), str(root), "--device", "cpu", "--workers", "0"]) == 1
    said = capsys.readouterr().err
    assert "found none (the val lists of 'cub' name 6" in said
    assert main(["evaluate", str(run), str(root), "--split", "test", "--step", "0.1", "--device", "cpu"]) == 0


@pytest.mark.slow
def test_workers_read_a_benchmark_as_the_process_itself(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "birds", "masks")
    (root / "dataset.json").write_text('{"dataset": "openimages30k"}')
    two = Runtime(device="cpu", workers=2, quiet=True)
    alone = tiny.train(root, tmp_path / "alone", epochs=1, batch_size=4)
    shared_out = tiny.train(root, tmp_path / "two", runtime=two, epochs=1, batch_size=4)
    assert not tiny.differing(tiny.weights(alone), tiny.weights(shared_out))
    assert open_dataset(root).has_truth("test")
    assert "PxAP" in tiny.metrics(alone)["evaluations"]["val"]["metrics"]
