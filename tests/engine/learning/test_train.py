from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import yaml

from rfga.backbones.build import build_backbone
from rfga.data import open_dataset
from rfga.engine.learning.data import stamps_of
from rfga.engine.learning.module import TrainingModule
from rfga.engine.learning.train import train
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import build_method
from rfga.engine.runtime.machine import Runtime
from rfga.files import held_in
from rfga.methods.cam import CAM
from rfga.types import UserError
from tests.engine import tiny


def test_contents_of_the_run_folder(tiny_run: Path, birds: Path) -> None:
    assert held_in(tiny_run) == [
        "checkpoints",
        "classes.json",
        "config.yaml",
        "metrics.json",
        "model.safetensors",
        "report.html",
    ]
    assert [path.name for path in (tiny_run / "checkpoints").iterdir()] == ["last.ckpt"]
    held = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert held["train"].items() >= {**tiny.SETTINGS, "mean": [0.5] * 3, "std": [0.5] * 3}.items()
    looked_at = held["data"].pop("looked_at")
    assert looked_at == {split: stamps_of(open_dataset(birds).samples(split)) for split in ("train", "val")}
    assert held["data"] == {
        "source": str(birds),
        "truth": str(birds / "val_boxes.json"),
        "name": "birds",
        "train_photographs": 24,
        "val_photographs": 12,
        "skipped": [],
    }
    assert RunFolder(tiny_run).read_classes() == open_dataset(birds).classes
    history = tiny.metrics(tiny_run)["history"]
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert all(entry["train_loss"] > 0 and 0 <= entry["val_top1"] <= 1 for entry in history)
    assert "MaxBoxAccV2" in tiny.metrics(tiny_run)["evaluations"]["val"]["metrics"]
    assert "<h1>cam on birds, val</h1>" in (tiny_run / "report.html").read_text()


def test_readable_by_others(tiny_run: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in tiny_run.rglob("*") if path.is_file()}
    assert len(set(modes.values())) == 1, modes


def test_no_pickle_is_read_by_whoever_uses_a_run(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    assert len(Localizer.load(tiny_run, device="cpu").classes) == 6


@pytest.mark.slow
def test_same_seed_same_weights_whatever_the_number_of_workers(
    tiny_run: Path, birds: Path, tmp_path: Path
) -> None:
    again = tiny.train(birds, tmp_path / "again", runtime=Runtime(device="cpu", workers=2, quiet=True))
    assert not tiny.differing(tiny.weights(again), tiny.weights(tiny_run))
    assert [e["train_loss"] for e in tiny.metrics(again)["history"]] == [
        e["train_loss"] for e in tiny.metrics(tiny_run)["history"]
    ]


def test_training_leaves_the_seed_of_starting_weights_alone() -> None:
    config = TrainConfig(**tiny.SETTINGS)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = build_method(config, 6).state_dict()
    assert torch.equal(torch.rand(3), expected)
    assert not tiny.differing(first, build_method(config, 6).state_dict())


@pytest.mark.parametrize("method", [pytest.param("cam", marks=pytest.mark.slow), "rfga"])
def test_frozen_backbone_stays_bit_for_bit(method: str, birds: Path, tmp_path: Path) -> None:
    run = tiny.train(birds, tmp_path / "run", method=method, freeze_backbone=True, epochs=1)
    config, _ = RunFolder(run).read_config()
    start = build_method(config, 6).state_dict()
    changed = tiny.differing(start, tiny.weights(run))
    assert not [name for name in changed if name.startswith("backbone.network.")]
    new = {name for name in start if not name.startswith("backbone.network.")}
    assert {name for name in new if name.endswith((".weight", ".bias", "running_mean"))} <= set(changed)


def test_new_layers_learn_faster() -> None:
    config = TrainConfig(
        **{**tiny.SETTINGS, "method": "rfga", "lr": 0.002, "new_lr_factor": 5.0, "warmup_epochs": 0.0}
    )
    method = build_method(config, 6)
    module = TrainingModule(method, config, steps_per_epoch=3)
    optimizer = module.configure_optimizers()["optimizer"]
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in method.named_parameters():
        wanted = 0.002 if name.startswith("backbone.network.") else 0.01
        assert rates[id(parameter)] == pytest.approx(wanted), name


def test_without_val_there_is_a_report_of_training_alone(birds: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train").symlink_to(birds / "train")
    run = tiny.train(data, tmp_path / "run", epochs=1)
    assert "val_top1" not in tiny.metrics(run)["history"][0]
    page = (run / "report.html").read_text()
    assert "training" in page
    assert "there is no val split" in page


def test_loss_that_is_no_number_ends_training_and_keeps_the_last_checkpoint(
    tiny_run: Path, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = CAM.loss, []

    def broken(
        self: CAM, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        calls.append(1)
        return plain(self, images, labels, generator) * (float("nan") if len(calls) == 5 else 1.0)

    monkeypatch.setattr(CAM, "loss", broken)
    sentence = "expected a finite loss, found nan at step 2 of epoch 2: lower --lr"
    with pytest.raises(UserError, match=sentence):
        tiny.train(birds, tmp_path / "run")
    held = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert held["global_step"] == 3
    assert not (tmp_path / "run" / "model.safetensors").exists()
    monkeypatch.undo()
    tiny.train(birds, tmp_path / "run", policy=tiny.RESUME)
    assert not tiny.differing(tiny.weights(tmp_path / "run"), tiny.weights(tiny_run))


def test_weights_that_are_no_numbers_are_never_saved(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = CAM.loss

    def broken(
        self: CAM, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        nothing = (self.head.weight * 0).sum()
        return plain(self, images, labels, generator) + nothing.sqrt()  # 0, with a slope that is no number

    monkeypatch.setattr(CAM, "loss", broken)
    with pytest.raises(UserError, match=r"finite weights after epoch 1.*lower --lr"):
        tiny.train(birds, tmp_path / "run", epochs=1, batch_size=24)
    assert not list((tmp_path / "run").rglob("last.ckpt"))


@pytest.mark.parametrize("lr", [1e30, pytest.param(1e5, marks=pytest.mark.slow)])
def test_learning_rate_that_is_far_too_high_is_told(lr: float, birds: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finite (loss|weights).*lower --lr"):
        tiny.train(birds, tmp_path / "run", lr=lr)


def test_method_that_needs_more_than_one_image_says_so(birds: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"SyncBatchNorm|larger batch"):
        tiny.train(birds, tmp_path / "run", method="rfga", batch_size=1, epochs=1)


def test_a_last_batch_of_one_image_is_left_out(birds: Path, tmp_path: Path) -> None:
    run = tiny.train(birds, tmp_path / "run", method="rfga", batch_size=23, epochs=1)
    held = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert held["global_step"] == 1


def test_weights_from_a_file(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfga.engine.learning.data.PROBE_SIDE", 64)  # whatever is found of the input
    network = build_backbone("test_resnet", output_stride=8).network
    torch.save(network.state_dict(), tmp_path / "w.pth")
    run = tiny.train(birds, tmp_path / "run", weights=str(tmp_path / "w.pth"), freeze_backbone=True, epochs=1)
    trained = tiny.weights(run)
    for name, value in network.state_dict().items():
        assert torch.equal(trained[f"backbone.network.{name}"], value)
    with pytest.raises(UserError, match="another architecture"):
        tiny.train(birds, tmp_path / "other", weights=str(tmp_path / "w.pth"), backbone="test_efficientnet")
    assert not (tmp_path / "other").exists() or not list((tmp_path / "other").iterdir())


def test_an_earlier_run_goes_only_when_the_new_one_can_begin(
    tiny_run: Path, birds: Path, tmp_path: Path
) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    before = tiny.snapshot(run)
    for wrong in ({"backbone": "no_such_network"}, {"output_stride": 3}, {"options": {"no": "1"}}):
        with pytest.raises(UserError):
            tiny.train(birds, run, policy=tiny.OVERWRITE, **wrong)
    with pytest.raises(UserError):
        tiny.train(tmp_path / "nothing", run, policy=tiny.OVERWRITE)
    assert tiny.snapshot(run) == before
    (run / "notes.txt").write_text("mine")
    tiny.train(birds, run, policy=tiny.OVERWRITE, epochs=1)
    assert tiny.epochs(run) == [1]
    assert (run / "notes.txt").read_text() == "mine"


def test_lightning_leaves_the_session_as_it_was(birds: Path, tmp_path: Path) -> None:
    import logging
    import signal
    import warnings

    logger, filters, handler = (
        logging.getLogger("lightning.pytorch"),
        warnings.filters[:],
        signal.getsignal(2),
    )
    level = logger.level
    tiny.train(birds, tmp_path / "run", epochs=1)
    assert (logger.level, warnings.filters, signal.getsignal(2)) == (level, filters, handler)
    assert lightning.__version__


def test_train_takes_a_data_set_of_any_kind(tmp_path: Path) -> None:
    from rfga.data.synthetic.dataset import SyntheticDataset

    pictures = SyntheticDataset(train_per_class=2, val_per_class=0, test_per_class=0, longer_side_pixels=64)
    config = TrainConfig(**{**tiny.SETTINGS, "epochs": 1})
    method = train(config, pictures, RunFolder(tmp_path / "run"), runtime=tiny.QUIET)
    assert not method.training
    assert RunFolder(tmp_path / "run").is_finished


def test_a_few_photographs_of_each_class_train(birds: Path, tmp_path: Path) -> None:
    run = tiny.train(birds, tmp_path / "run", train_per_class=2, epochs=1)
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["train_photographs"] == 2 * len(json.loads((run / "classes.json").read_text()))
    assert config["train"]["train_per_class"] == 2
