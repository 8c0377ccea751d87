from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from rfga.cli import main
from rfga.data import open_dataset
from rfga.engine.ablation import grid
from rfga.engine.ablation.grid import run_ablation
from rfga.engine.ablation.plan import AblationCommand, AblationTask, make_ablation_plan
from rfga.engine.ablation.variants import FULL
from rfga.engine.evaluating.command import evaluate_run
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.learning.train import train
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.files import held_in
from rfga.methods.cam import CAM
from rfga.methods.rfga import ResidualFineGrainedAttention
from rfga.metrics.localization import LocalizationMetrics
from rfga.types import UserError
from tests.engine import tiny

SETTINGS = {name: tiny.SETTINGS[name] for name in tiny.SETTINGS if name not in ("method", "seed")} | {
    "epochs": 1
}
METRICS = ("MaxBoxAccV2", "GTKnownLoc", "Top1Cls")


def asked(data: Path, out: Path, **changes: Any) -> AblationCommand:
    given = {"seeds": [0, 1], "only": ["gate", "layer"], "settings": SETTINGS}
    return AblationCommand(str(data), out, **{**given, "truth": data / "val_boxes.json", **changes})


class FakeWork:
    """Numbers without training; ``at`` is called with each task's name before."""

    def __init__(self, at: Callable[[str], None] = lambda name: None) -> None:
        self.at, self.done = at, list[str]()

    def __call__(self, task: AblationTask) -> dict[str, Any]:
        self.at(task.name)
        self.done.append(task.name)
        rng = np.random.default_rng(list(task.name.encode()))
        file = task.out / task.replicates
        file.parent.mkdir(parents=True, exist_ok=True)
        keys = [f"{how}/{metric}" for how in task.normalisations for metric in METRICS]
        values = {key: rng.uniform(0.4, 0.6, 501) for key in keys}
        save_file(values, file)
        evaluations: dict[str, Any] = {how: {"metrics": {}} for how in task.normalisations}
        for key, own in values.items():
            how, metric = key.split("/")
            evaluations[how]["metrics"][metric] = [{"value": own[0]}]
        times = {"train_seconds": 3.0, "evaluate_seconds": 1.0}
        return {"state": "done", "evaluations": evaluations, "weights": 10, **times}


@pytest.fixture(autouse=True)
def only_what_counts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up work needs no features; its page, which has tests of its own, would take most of the time."""
    if "real" not in request.node.name:
        for name in ("prepare_features", "write_ablation_page"):
            monkeypatch.setattr(f"rfga.engine.ablation.grid.{name}", lambda *arguments: None)


def run(command: AblationCommand, work: Any) -> dict[str, Any]:
    return run_ablation(command, tiny.QUIET, work=work, slots=[])


def record(out: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((out / "ablation.json").read_text(encoding="utf-8"))
    return held


def line(held: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(variant for variant in held["variants"] if variant["name"] == name)
    return found


def test_every_variant_is_trained_with_each_seed_and_the_full_layer_first(
    birds: Path, tmp_path: Path
) -> None:
    tasks = make_ablation_plan(asked(birds, tmp_path, only=[])).variant_tasks
    names = [task.variant.name for task in tasks if task.seed == 0]
    assert len(names) == len(set(names)) == 20
    assert names[0] == FULL
    assert [task.seed for task in tasks] == [0] * 20 + [1] * 20
    for task in tasks:
        others = ("max", "pas", "ivr", "none") if task.variant.name == FULL else ()
        assert task.normalisations == ("minmax", *others)
        assert task.settings["freeze_backbone"] is True
        assert task.folder is None
    assert make_ablation_plan(asked(birds, tmp_path, fine_tune=True)).variant_tasks[0].folder is not None


def test_differences_are_those_of_the_same_seed_and_images(birds: Path, tmp_path: Path) -> None:
    held = run(asked(birds, tmp_path, only=["gate", "normalisation"], seeds=[0, 1, 2]), FakeWork())
    assert held == record(tmp_path)
    for name, cell, how in (
        ("gate=softmax", "gate=softmax", "minmax"),
        ("normalisation=ivr", "full_layer", "ivr"),
    ):
        ours, full = (
            [
                load_file(tmp_path / "replicates" / f"{of}-seed{seed}.safetensors")[
                    f"{way}/PxAP".replace("PxAP", m)
                ]
                for seed in range(3)
            ]
            for of, way, m in ((cell, how, "MaxBoxAccV2"), ("full_layer", "minmax", "MaxBoxAccV2"))
        )
        found = line(held, name)["metrics"]["MaxBoxAccV2"]
        values = [own[0] for own in ours]
        assert found["values"] == pytest.approx(values)
        assert found["mean"] == pytest.approx(np.mean(values))
        assert found["deviation"] == pytest.approx(np.std(values, ddof=1))
        apart = [a[0] - b[0] for a, b in zip(ours, full, strict=True)]
        difference = found["difference"]
        assert difference["values"] == pytest.approx(apart)
        assert difference["mean"] == pytest.approx(np.mean(apart))
        assert difference["deviation"] == pytest.approx(statistics.stdev(apart))
        means = sum(a - b for a, b in zip(ours, full, strict=True)) / 3
        assert difference["interval"] == pytest.approx(np.percentile(means[1:], (2.5, 97.5)))
    assert "difference" not in line(held, FULL)["metrics"]["MaxBoxAccV2"]


def test_seed_that_one_of_a_pair_lacks_is_in_no_difference(birds: Path, tmp_path: Path) -> None:
    def at(name: str) -> None:
        if name == "full_layer-seed1":
            raise KeyboardInterrupt

    work = FakeWork(at)
    with pytest.raises(KeyboardInterrupt):
        run(asked(birds, tmp_path, seeds=[0, 2, 1]), work)
    assert "full_layer-seed2" in work.done

    class Fails(FakeWork):
        def __call__(self, task: AblationTask) -> dict[str, Any]:
            if task.name == "full_layer-seed1":
                return {"state": "failed", "reason": "of its own"}
            return super().__call__(task)

    rest = Fails()
    held = run(asked(birds, tmp_path, seeds=[0, 2, 1], policy=tiny.RESUME), rest)
    assert rest.done == ["no_layer__CAM_-seed1", "gate=softmax-seed1"]
    found = line(held, "gate=softmax")["metrics"]["Top1Cls"]
    assert found["seeds"] == [0, 1, 2]
    assert found["difference"]["seeds"] == [0, 2]
    assert line(held, FULL)["remarks"] == ["seed 1 failed: of its own"]
    assert "- full_layer-seed1: of its own" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_grid_may_grow_but_not_change(birds: Path, tmp_path: Path) -> None:
    run(asked(birds, tmp_path, seeds=[0], only=["gate"]), FakeWork())
    before = tiny.snapshot(tmp_path)
    for changes, said in (
        ({"settings": {**SETTINGS, "epochs": 5}}, "epochs 5 instead of 1"),
        ({"settings": {**SETTINGS, "normalisation": "ivr"}}, "normalisation ivr instead of minmax"),
        ({"fine_tune": True}, "freeze_backbone False instead of True"),
        ({"half_features": True}, "half_features True instead of False"),
    ):
        with pytest.raises(UserError, match=f"go on with the ablation in .*{said}"):
            run(asked(birds, tmp_path, policy=tiny.RESUME, **changes), FakeWork())
    assert tiny.snapshot(tmp_path) == before
    more = FakeWork()
    held = run(asked(birds, tmp_path, only=["kernel"], policy=tiny.RESUME), more)
    assert more.done == [
        *(f"kernel_size={size}-seed0" for size in (1, 5, 7)),
        "full_layer-seed1",
        *(f"kernel_size={size}-seed1" for size in (1, 5, 7)),
    ]
    assert line(held, "gate=softmax")["seeds"] == [0]  # of before, and still in the table
    (tmp_path / "replicates" / "kernel_size=5-seed0.safetensors").unlink()
    again = FakeWork()
    run(asked(birds, tmp_path, only=["kernel"], policy=tiny.RESUME), again)
    assert again.done == ["kernel_size=5-seed0"]
    with pytest.raises(UserError, match="expected a new folder for the ablation"):
        run(asked(birds, tmp_path), FakeWork())
    run(asked(birds, tmp_path, seeds=[5], only=["gate"], policy=tiny.OVERWRITE), FakeWork())
    assert len(list((tmp_path / "replicates").iterdir())) == 2


def test_position_needs_the_network(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fine_tune, reason in ((False, "the features before the last stage are needed"), (True, None)):
        work = FakeWork()
        out = tmp_path / str(fine_tune)
        held = run(asked(birds, out, only=["position"], seeds=[0], fine_tune=fine_tune), work)
        assert ("position=-2-seed0" in work.done) == fine_tune
        remarks = line(held, "position=-2")["remarks"]
        assert remarks == [] if reason is None else reason in remarks[0]
    monkeypatch.setattr(grid, "build_backbone", lambda *_, **__: SimpleNamespace(stages=("features",)))
    held = run(asked(birds, tmp_path / "c", only=["position"], fine_tune=True), FakeWork())
    assert "has no more stages than features" in line(held, "position=-2")["remarks"][0]


def losses(monkeypatch: pytest.MonkeyPatch, stop_at: int = -1) -> list[str]:
    """The class of each loss that is computed from now on; one of them may be a Ctrl-C."""
    calls: list[str] = []
    for kind in (CAM, ResidualFineGrainedAttention):
        plain = kind.loss

        def counted(self: Any, *batch: Any, plain: Any = plain, name: str = kind.__name__) -> torch.Tensor:
            calls.append(name)
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            loss: torch.Tensor = plain(self, *batch)
            return loss

        monkeypatch.setattr(kind, "loss", counted)
    return calls


@pytest.mark.slow
def test_real_grid_from_the_command_line_goes_on_after_a_stop(
    birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**SETTINGS, "lr": 0.1}.items()]
    flags += [f"--truth={birds / 'val_boxes.json'}", "--device=cpu", "--workers=0"]

    def command(out: Path, *more: str) -> list[str]:
        return ["ablate", str(birds), "--out", str(out), *flags, "--only=layer,gate,normalisation", *more]

    file = tmp_path / "numbers.json"
    assert main(command(tmp_path / "whole", "--json", str(file))) == 0
    held = record(tmp_path / "whole")
    assert held == json.loads(file.read_text(encoding="utf-8"))
    said = capsys.readouterr().out
    assert "differences to the full layer in points" in said
    assert "no layer (CAM)" in said
    names = set(held_in(tmp_path / "whole"))
    assert names == {"ablation.json", "ablation.html", "table.md", "table.csv", "features", "replicates"}
    with monkeypatch.context() as patch:
        losses(patch, stop_at=5)  # three steps each: in the second training
        assert main(command(tmp_path / "out")) == 1
    assert "go on with --resume" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        calls = losses(patch)
        assert main(command(tmp_path / "out", "--resume")) == 0
        assert len(calls) == 6  # two trainings
        assert main(command(tmp_path / "out", "--resume", "--quiet")) == 0
        assert len(calls) == 6
    ours = record(tmp_path / "out")
    for name in ("variants", "settings", "options", "mechanisms"):
        assert without_times(ours[name]) == without_times(held[name])
    assert held["images"] == 12
    cam = line(held, "no layer (CAM)")
    assert set(cam["metrics"]) == set(METRICS)
    assert cam["weights"] < line(held, FULL)["weights"]
    # What maps do not decide is no difference of theirs.
    assert "Top1Cls" not in line(held, "normalisation=max")["metrics"]
    assert main(command(tmp_path / "out", "--resume", "--epochs", "9")) == 1


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(own) for key, own in value.items() if key != "seconds"}
    return [without_times(own) for own in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_real_network_is_trained_as_ever(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = asked(birds, tmp_path, only=["position"], seeds=[3], fine_tune=True)
    held = run_ablation(command, tiny.QUIET)
    states = {cell["name"]: cell["state"] for cell in held["cells"]}
    assert set(states.values()) == {"done"}
    assert not (tmp_path / "features").exists()
    [cell] = [cell for cell in held["cells"] if cell["name"] == "position=-2-seed3"]
    truth = EvaluateCommand(birds / "val_boxes.json")
    again = evaluate_run(tmp_path / cell["run"], str(birds), truth, tiny.QUIET).result["metrics"]
    for metric, (first, *_) in cell["evaluations"]["minmax"]["metrics"].items():
        assert first["value"] == again[metric][0]["value"], metric
    ordinary = TrainConfig(**{**SETTINGS, "method": "rfga", "seed": 3})
    train(ordinary, open_dataset(birds), RunFolder(tmp_path / "run"), runtime=tiny.QUIET)
    weights = [tiny.weights(tmp_path / name) for name in ("run", "runs/full_layer-seed3")]
    assert tiny.differing(*weights) == []
    calls = losses(monkeypatch)
    run_ablation(
        asked(birds, tmp_path, only=["position"], seeds=[3], fine_tune=True, policy=tiny.RESUME), tiny.QUIET
    )
    assert calls == []


def test_real_variant_that_fails_leaves_the_others(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(CAM, "loss", broken)
    coarse = partial(LocalizationMetrics, step=0.01)  # in a tenth of the memory
    monkeypatch.setattr("rfga.engine.ablation.maps.LocalizationMetrics", coarse)
    held = run_ablation(asked(birds, tmp_path, only=["layer"], seeds=[0]), tiny.QUIET)
    states = {cell["name"]: (cell["state"], cell["reason"]) for cell in held["cells"]}
    assert states["full_layer-seed0"][0] == "done"
    assert states["no_layer__CAM_-seed0"] == ("failed", "unexpected RuntimeError: out of memory")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "views,heads"], "expected --only out of layer, views"),
        (["--fine-tune", "--freeze-backbone"], "expected --fine-tune or --freeze-backbone, found both"),
        (["--seeds", "a"], "expected --seeds as whole numbers"),
    ],
)
def test_wrong_wishes_are_told_before_anything_is_written(
    flags: list[str], said: str, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ablate", str(birds), "--out", str(tmp_path / "out"), *flags]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
