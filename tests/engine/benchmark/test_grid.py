from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from rfga.cli import main
from rfga.engine.benchmark import cells as benchmark_cells
from rfga.engine.benchmark.cells import attempt
from rfga.engine.benchmark.grid import require_all_done, run_benchmark
from rfga.engine.benchmark.plan import BenchmarkCommand, Task, make_plan
from rfga.engine.evaluating.command import evaluate_run
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.methods.cam import CAM
from rfga.types import UserError
from tests.engine import tiny

GRID = ("methods", "backbones", "seeds", "normalisations")
SETTINGS = {
    name: value for name, value in tiny.SETTINGS.items() if name not in ("method", "backbone", "seed")
}


def asked(data: Path, out: Path, **changes: Any) -> BenchmarkCommand:
    given = {"methods": ["cam", "rfga"], "backbones": ["test_resnet"], "seeds": [0, 1], "settings": SETTINGS}
    truth = data / "val_boxes.json"
    return BenchmarkCommand(str(data), out, **{**given, "truth": truth, **changes})


class FakeWork:
    """Numbers without training; ``at`` is called with each task's name before."""

    def __init__(self, at: Callable[[str], None] = lambda name: None) -> None:
        self.at, self.done = at, list[str]()
        self.normalisations: set[tuple[str, ...]] = set()

    def __call__(self, task: Task) -> dict[str, Any]:
        self.at(task.name)
        self.done.append(task.name)
        self.normalisations.add(task.normalisations)
        if task.folder is not None:
            (task.out / task.folder).mkdir(parents=True, exist_ok=True)
            (task.out / task.folder / "model.safetensors").write_text(task.name)
        rng = np.random.default_rng(list(task.name.encode()))
        found = {
            how: {"metrics": {name: [{"value": rng.uniform()}] for name in ("MaxBoxAccV2", "Top1Cls")}}
            for how in task.normalisations
        }
        times = {"train_seconds": 3.0, "evaluate_seconds": 1.0}
        return {"state": "done", "evaluations": found, "weights": 10, **times}


def run(command: BenchmarkCommand, work: Any, slots: Sequence[Any] = ()) -> dict[str, Any]:
    return run_benchmark(command, tiny.QUIET, work=work, slots=slots)


def record(out: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((out / "benchmark.json").read_text(encoding="utf-8"))
    return held


def states(out: Path) -> dict[str, str]:
    return {cell["name"]: cell["state"] for cell in record(out)["cells"]}


def lines(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "table.csv").read_text(encoding="utf-8").splitlines()))


def stop_at(name: str) -> Callable[[str], None]:
    def at(task: str) -> None:
        if task == name:
            raise KeyboardInterrupt

    return at


def test_stopped_grid_goes_on_where_it_stopped(birds: Path, tmp_path: Path) -> None:
    stopped = FakeWork(stop_at("rfga-test_resnet-seed0"))
    with pytest.raises(KeyboardInterrupt):
        run(asked(birds, tmp_path), stopped)
    found = states(tmp_path)
    assert found["cam-test_resnet-seed0"] == "done"
    assert found["rfga-test_resnet-seed0"] == found["cam-test_resnet-seed1"] == "waiting"
    assert "waiting" in (tmp_path / "table.md").read_text()
    with pytest.raises(UserError, match="add --resume to go on with it"):
        run(asked(birds, tmp_path), FakeWork())
    going_on = FakeWork()
    run(asked(birds, tmp_path, policy=tiny.RESUME), going_on)
    assert going_on.done == ["rfga-test_resnet-seed0", "cam-test_resnet-seed1", "rfga-test_resnet-seed1"]
    assert set(states(tmp_path).values()) == {"done", "not possible"}
    again = FakeWork()
    run(asked(birds, tmp_path, policy=tiny.RESUME), again)
    assert again.done == []
    fresh = tmp_path / "fresh"
    run(asked(birds, fresh), FakeWork())
    assert record(tmp_path)["cells"] == record(fresh)["cells"]
    assert (tmp_path / "table.csv").read_bytes() == (fresh / "table.csv").read_bytes()


def test_failed_cell_is_told_and_does_not_end_the_grid(birds: Path, tmp_path: Path) -> None:
    fails = {"rfga-test_resnet-seed0"}

    def work(task: Task) -> dict[str, Any]:
        if task.name in fails:
            return {"state": "failed", "reason": "expected a finite loss, found nan: lower --lr"}
        return FakeWork()(task)

    found = run(asked(birds, tmp_path), work)
    assert sorted(states(tmp_path).values()).count("failed") == 1
    assert all((tmp_path / name).is_file() for name in ("benchmark.json", "table.md", "benchmark.html"))
    for name in ("table.md", "benchmark.html"):
        said = (tmp_path / name).read_text()
        assert "seed 0 failed: expected a finite loss, found nan: lower --lr" in said, name
    [line] = [row for row in lines(tmp_path) if (row["method"], row["metric"]) == ("rfga", "MaxBoxAccV2")]
    assert (line["seeds"], line["deviation_points"]) == ("1", "")
    with pytest.raises(UserError, match=r"found 1 of \d failed \(first rfga-test_resnet-seed0: expected a"):
        require_all_done(found, "out")
    fails.clear()
    require_all_done(run(asked(birds, tmp_path, policy=tiny.RESUME), work), "out")


def test_mean_and_deviation_over_the_seeds(birds: Path, tmp_path: Path) -> None:
    found = run(asked(birds, tmp_path, seeds=[0, 1, 2], normalisations=["minmax", "ivr"]), FakeWork())
    for line in lines(tmp_path):
        if not line["metric"] or line["method"].endswith("baseline"):
            continue
        values = [
            100 * cell["evaluations"][line["normalisation"]]["metrics"][line["metric"]][0]["value"]
            for cell in found["cells"]
            if cell["method"] == line["method"]
        ]
        assert len(values) == 3
        assert float(line["mean_percent"]) == pytest.approx(np.mean(values), abs=1e-3)
        assert float(line["deviation_points"]) == pytest.approx(np.std(values, ddof=1), abs=1e-3)
    assert {line["normalisation"] for line in lines(tmp_path)} == {"", "minmax", "ivr"}


def test_grid_may_grow_but_not_change(birds: Path, tmp_path: Path) -> None:
    run(asked(birds, tmp_path, methods=["cam"], seeds=[0]), FakeWork())
    before = tiny.snapshot(tmp_path)
    for changes, said in (
        ({"settings": {**SETTINGS, "epochs": 5}}, "epochs 5 instead of 2"),
        ({"few_shot_epochs": 9}, "few-shot epochs 9 instead of 2"),
    ):
        with pytest.raises(UserError, match=said):
            run(asked(birds, tmp_path, policy=tiny.RESUME, **changes), FakeWork())
    assert tiny.snapshot(tmp_path) == before
    more = FakeWork()
    run(asked(birds, tmp_path, seeds=[0, 1], policy=tiny.RESUME), more)
    assert [name for name in more.done if "baseline" not in name] == [
        "rfga-test_resnet-seed0",
        "cam-test_resnet-seed1",
        "rfga-test_resnet-seed1",
    ]
    less = FakeWork()
    run(asked(birds, tmp_path, methods=["rfga"], policy=tiny.RESUME), less)
    assert less.done == []
    assert len([name for name in states(tmp_path) if name.startswith("cam")]) == 2
    with pytest.raises(UserError, match=r"rfga\.light True instead of False"):
        run(asked(birds, tmp_path, options={"rfga.light": True}, policy=tiny.RESUME), FakeWork())


@pytest.mark.slow
def test_another_normalisation_or_split_is_measured_on_what_was_trained(birds: Path, tmp_path: Path) -> None:
    run(asked(birds, tmp_path, seeds=[0]), FakeWork())
    both = FakeWork()
    before = record(tmp_path)["cells"]
    found = run(asked(birds, tmp_path, seeds=[0], normalisations=["minmax", "ivr"], policy=tiny.RESUME), both)
    assert len(both.done) == 4
    assert both.normalisations == {("ivr",)}
    for cell, old in zip(found["cells"], before, strict=True):
        assert set(cell["evaluations"]) == ({"minmax", "ivr"} if cell["state"] == "done" else set())
        assert cell["evaluations"].get("minmax") == old["evaluations"].get("minmax")
    on_test = {"split": "test", "truth": birds / "test_boxes.json", "val_truth": birds / "val_boxes.json"}
    other = FakeWork()
    found = run(asked(birds, tmp_path, seeds=[0], policy=tiny.RESUME, **on_test), other)
    assert len(other.done) == 5  # the few-shot baseline learns from val, which is not reported now
    assert {cell["measured"]["split"] for cell in found["cells"]} == {"test"}


def test_run_that_is_lost_is_trained_again(birds: Path, tmp_path: Path) -> None:
    run(asked(birds, tmp_path, seeds=[0]), FakeWork())
    (tmp_path / "runs" / "cam-test_resnet-seed0" / "model.safetensors").unlink()
    again = FakeWork()
    run(asked(birds, tmp_path, seeds=[0], policy=tiny.RESUME), again)
    assert again.done == ["cam-test_resnet-seed0"]


def test_only_a_benchmark_is_replaced(birds: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for policy in (tiny.RESUME, tiny.OVERWRITE):
        with pytest.raises(UserError, match=r"no sound benchmark\.json: choose another --out"):
            run(asked(birds, mine, policy=policy), FakeWork())
    assert tiny.snapshot(mine) == {"notes.txt": b"mine"}
    out = tmp_path / "out"
    run(asked(birds, out, seeds=[0, 1]), FakeWork())
    (out / "notes.txt").write_text("mine")
    anew = FakeWork()
    run(asked(birds, out, methods=["cam"], seeds=[0], policy=tiny.OVERWRITE), anew)
    assert "cam-test_resnet-seed0" in anew.done
    assert [path.name for path in (out / "runs").iterdir()] == ["cam-test_resnet-seed0"]
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "it learns from the truth of val, which is the split that is reported"),
        ({"split": "test", "truth": "test_boxes.json"}, "no boxes or masks of val are known"),
        ({"truth": None}, "no boxes or masks of val are known"),
    ],
)
def test_few_shot_baseline_never_learns_what_it_is_scored_on(
    changes: dict[str, Any], reason: str, birds: Path, tmp_path: Path
) -> None:
    if changes.get("truth"):
        changes = {**changes, "truth": birds / changes["truth"]}
    work = FakeWork()
    run(asked(birds, tmp_path, methods=["cam"], seeds=[0], **changes), work)
    assert not any(name.startswith("few-shot") for name in work.done)
    assert f"not possible: {reason}" in (tmp_path / "table.md").read_text()


def test_published_numbers_stand_beside_ours_where_the_data_set_is_the_same(
    birds: Path, tmp_path: Path
) -> None:
    cub = tmp_path / "CUB"
    for name in ("train", "val", "test"):
        shutil.copytree(birds / name, cub / name)
    grid = {"backbones": ["wsol_resnet50"], "normalisations": ["minmax", "ivr"], "seeds": [0]}
    truth = birds / "test_boxes.json"
    run(asked(cub, tmp_path / "out", split="test", **{**grid, "truth": truth}), FakeWork())
    rows = {
        (r["method"], r["normalisation"]): r for r in lines(tmp_path / "out") if r["metric"] == "MaxBoxAccV2"
    }
    assert rows["cam", "minmax"]["published_percent"] == "63.0; 62.98"
    assert rows["cam", "ivr"]["published_percent"] == "66.83"
    assert rows["rfga", "minmax"]["published_percent"] == ""
    assert rows["centre-Gaussian baseline", "minmax"]["published_percent"] == "59.7"
    page = (tmp_path / "out" / "benchmark.html").read_text()
    assert "normalisation not stated" in page  # of DA-WSOL, which is listed apart
    assert "Choe et al. 2020 (wsolevaluation main table)" in page
    run(asked(birds, tmp_path / "plain", split="test", **{**grid, "truth": truth}), FakeWork())
    assert not any(row["published_percent"] for row in lines(tmp_path / "plain"))


@pytest.mark.slow
def test_grid_from_the_command_line_trains_and_measures(
    birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "out", tmp_path / "numbers.json"
    command = ["benchmark", str(birds), "--out", str(out), "--methods", "cam,rfga"]
    command += ["--seeds", "0", "--normalisations", "minmax,ivr", "--split", "test", "--json", str(file)]
    command += ["--truth", str(birds / "test_boxes.json"), "--val-truth", str(birds / "val_boxes.json")]
    command += ["--backbones", "test_resnet", "--device", "cpu", "--workers", "0"]
    for name, value in {**SETTINGS, "epochs": 1}.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    assert main([*command, "--set", "rfga.light=true"]) == 0
    held = record(out)
    assert held == json.loads(file.read_text())
    assert set(states(out).values()) == {"done"}
    said = capsys.readouterr().out
    assert "score maps normalised by ivr" in said
    cells = {cell["name"]: cell for cell in held["cells"]}
    cam = cells["cam-test_resnet-seed0"]
    models = {
        name: (out / cell["run"] / "model.safetensors").stat().st_mtime_ns
        for name, cell in cells.items()
        if cell["run"]
    }
    own = tiny.metrics(out / cam["run"])["evaluations"]
    assert set(own) == {"val", "test"}
    assert cam["evaluations"]["minmax"]["metrics"] == own["test"]["metrics"]
    asked_for = EvaluateCommand(birds / "test_boxes.json", "test", normalisation="ivr")
    again = evaluate_run(out / cam["run"], str(birds), asked_for, tiny.QUIET).result
    assert cam["evaluations"]["ivr"]["metrics"] == again["metrics"] != own["test"]["metrics"]
    for how in ("minmax", "ivr"):
        entries = cam["evaluations"][how]["metrics"]["MaxBoxAccV2"]
        sources = {entry["threshold_source"] for entry in entries}
        assert sources == {"oracle", "label-free", "val", "fixed"}
        assert {entry["normalisation"] for entry in entries} == {how}
    assert cells["rfga-test_resnet-seed0"]["weights"] > cam["weights"] > 0
    assert cam["train_seconds"] > 0
    few = cells["few-shot-test_resnet-seed0"]["evaluations"]["minmax"]["metrics"]
    assert "MaxBoxAccV2" in few
    assert not any(name.startswith("Top") for name in few)
    # Nothing is trained again, not even for another normalisation.
    assert main([*command, "--set", "rfga.light=true", "--resume", "--normalisations", "max,minmax"]) == 0
    for name, written in models.items():
        assert (out / cells[name]["run"] / "model.safetensors").stat().st_mtime_ns == written
    assert "max" in record(out)["cells"][2]["evaluations"]
    # Another option would be another run.
    assert main([*command, "--resume"]) == 1
    assert "rfga.light False instead of True" in capsys.readouterr().err


@pytest.mark.slow
def test_a_method_is_measured_beside_itself_with_the_foreground_on_top(birds: Path, tmp_path: Path) -> None:
    methods = ["cam", "cam+foreground"]
    found = run_benchmark(asked(birds, tmp_path, methods=methods, seeds=[0], few_shot=False), tiny.QUIET)
    cells = {cell["method"]: cell for cell in found["cells"] if cell["kind"] == "method"}
    assert {row: cell["state"] for row, cell in cells.items()} == dict.fromkeys(methods, "done")
    plain, on_top = (tiny.weights(tmp_path / cells[row]["run"]) for row in methods)
    assert not {"discriminants", "levels"} & plain.keys()
    assert {"discriminants", "levels"} <= on_top.keys()
    maps = [cells[row]["evaluations"]["minmax"]["metrics"]["MaxBoxAccV2"] for row in methods]
    assert maps[0] != maps[1]


@pytest.mark.slow
def test_training_that_was_stopped_goes_on_to_the_same_weights(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = {"methods": ["cam"], "seeds": [0, 1], "few_shot": False}
    run(asked(birds, tmp_path / "whole", **{**command, "seeds": [1]}), attempt)
    plain, steps = CAM.loss, iter(range(100))

    def loss(self: CAM, *batch: Any) -> torch.Tensor:
        if next(steps) == 10:  # the second epoch of the second run, of three steps each
            raise KeyboardInterrupt
        return plain(self, *batch)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(CAM, "loss", loss)
        with pytest.raises(KeyboardInterrupt):
            run(asked(birds, out, **command), attempt)
    first = tiny.snapshot(out / "runs" / "cam-test_resnet-seed0")
    calls = []

    def counted(self: CAM, *batch: Any) -> torch.Tensor:
        calls.append(1)
        return plain(self, *batch)

    monkeypatch.setattr(CAM, "loss", counted)
    run(asked(birds, out, policy=tiny.RESUME, **command), attempt)
    assert len(calls) == 3  # the second epoch alone
    assert tiny.snapshot(out / "runs" / "cam-test_resnet-seed0") == first
    name = "cam-test_resnet-seed1"
    kept, whole = (tiny.weights(folder / "runs" / name) for folder in (out, tmp_path / "whole"))
    assert tiny.differing(kept, whole) == []
    numbers = [
        cell["evaluations"]
        for folder in (out, tmp_path / "whole")
        for cell in record(folder)["cells"]
        if cell["name"] == name
    ]
    assert numbers[0] == numbers[1]


def task_of(birds: Path, out: Path, **changes: Any) -> Task:
    return next(t for t in make_plan(asked(birds, out, **changes), tiny.QUIET).tasks if t.kind == "method")


def test_what_goes_wrong_in_a_cell_becomes_its_reason(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = task_of(birds, tmp_path, methods=["rfga"], options={"kernel_size": 4})
    assert attempt(wrong) == {"state": "failed", "reason": attempt(wrong)["reason"]}
    assert "odd kernel_size, found 4" in attempt(wrong)["reason"]

    def broken(*arguments: Any) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(CAM, "loss", broken)
    assert attempt(task_of(birds, tmp_path))["reason"] == "unexpected RuntimeError: out of memory"

    def ended(*arguments: Any) -> None:
        raise UserError("stopped by the system (SIGTERM)") from SIGTERMException()

    monkeypatch.setitem(benchmark_cells._WAYS, "method", ended)
    with pytest.raises(UserError, match="SIGTERM"):
        attempt(task_of(birds, tmp_path))


def test_failed_cell_makes_the_exit_status_1(
    birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["benchmark", str(birds), "--out", str(tmp_path / "out"), "--methods", "rfga", "--no-few-shot"]
    command += ["--backbones", "no_such_network", "--weights", "none", "--quiet", "--device", "cpu"]
    command += ["--truth", str(birds / "val_boxes.json"), "--workers", "0"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert said.err.startswith(
        "rfga: error: expected every cell to succeed, found 1 of 3 failed (first rfga-no_"
    )
    assert "centre-Gaussian baseline" in said.out
    assert (tmp_path / "out" / "table.md").is_file()


def test_split_without_photographs_is_refused_before_anything_is_written(birds: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    shutil.copytree(birds / "train", empty / "train")
    with pytest.raises(UserError, match="photographs in the split val of empty, found none"):
        run(asked(empty, tmp_path / "out", truth=None), FakeWork())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_grid_over_several_processes_gives_the_same_numbers(birds: Path, tmp_path: Path) -> None:
    command = {"seeds": [0], "settings": {**SETTINGS, "epochs": 1}}
    slots = [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    several = run(asked(birds, tmp_path / "several", **command), attempt, slots)
    one = run(asked(birds, tmp_path / "one", **command), attempt)
    numbers = [[cell["evaluations"] for cell in found["cells"]] for found in (several, one)]
    assert numbers[0] == numbers[1]
    name = Path("runs") / "rfga-test_resnet-seed0"
    assert (
        tiny.differing(tiny.weights(tmp_path / "several" / name), tiny.weights(tmp_path / "one" / name)) == []
    )
