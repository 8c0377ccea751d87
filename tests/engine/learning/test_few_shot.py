from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rfga.backbones.build import build_backbone
from rfga.data.transforms import Augmentation
from rfga.engine.evaluating.baselines import evaluate_baseline
from rfga.engine.evaluating.evaluate import evaluate
from rfga.engine.learning.few_shot import FewShotImages, FewShotNetwork, target_of, truth_picture
from rfga.engine.learning.few_shot_training import train_few_shot
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.thresholds.threshold import Threshold
from rfga.types import Truth, UserError
from tests.engine import tiny
from tests.engine.toy import ToyDataset

SETTINGS = {**tiny.SETTINGS, "method": "cam", "image_size": 48, "batch_size": 6, "seed": 5}


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(**{**SETTINGS, **changes})


def small_network() -> FewShotNetwork:
    torch.manual_seed(0)
    return FewShotNetwork(build_backbone("test_resnet", output_stride=8), num_classes=2)


def test_boxes_become_the_pixels_whose_middle_they_cover() -> None:
    boxes = np.array([[0.4, 0.0, 2.5, 1.0], [4.0, 1.6, 5.0, 3.0]])
    picture = truth_picture(Truth((3, 5), boxes=boxes))
    assert picture[..., 0].tolist() == [[255, 255, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 255]]
    assert not picture[..., 1:].any()


def test_masks_keep_their_three_values_at_their_own_size() -> None:
    mask = np.array([[255, 128, 0], [0, 128, 255]], dtype=np.uint8)
    covered = torch.from_numpy(truth_picture(Truth((2, 3), mask=mask))).permute(2, 0, 1)
    assert target_of(covered).tolist() == mask.tolist()


@pytest.mark.parametrize("crop", ["benchmark", "random-resized"])
@pytest.mark.parametrize("masks", [False, True])
def test_target_lies_upon_the_object_however_it_is_varied(crop: Any, masks: bool) -> None:
    toy = ToyDataset(per_split=6, masks=masks)
    augmentation = Augmentation(crop=crop, min_scale=0.5)
    images = FewShotImages(toy, toy.samples("val"), 56, augmentation)
    pictures = set()
    for index in range(6):
        for seed in range(4):
            image, target, place = images[index, seed]
            assert (image.shape, target.shape, place) == ((3, 56, 56), (56, 56), index)
            bright = image[:2].amax(0) > 150
            known = target != 128
            assert bool((target == 128).any()) <= masks
            agree = (bright == (target == 255))[known].float().mean()
            assert agree > 0.96  # they differ along the edges alone
            pictures.add(target.numpy().tobytes())
    assert len(pictures) > 12


def test_loss_is_the_mean_over_known_pixels() -> None:
    network = small_network().eval()
    images = torch.randn(2, 3, 32, 48)
    targets = torch.zeros(2, 32, 48, dtype=torch.uint8)
    targets[:, 4:20, 10:30] = 255
    raw = network.head(network.backbone(images))
    logits = torch.nn.functional.interpolate(raw, (32, 48), mode="bilinear", align_corners=False)[:, 0]
    wanted = (targets == 255).float()
    for ignored in (slice(0, 0), slice(24, 48)):
        targets[:, :, ignored] = 128
        kept = (targets != 128).numpy()
        p = torch.sigmoid(logits).detach().double().numpy()
        each = -(wanted.numpy() * np.log(p) + (1 - wanted.numpy()) * np.log(1 - p))
        found = network.loss(images, targets, torch.Generator()).detach()
        assert float(found) == pytest.approx(each[kept].mean(), rel=1e-5)
    targets[:] = 128
    assert network.loss(images, targets, torch.Generator()).item() == 0


def test_maps_do_not_depend_on_the_class() -> None:
    network = small_network().eval()
    images = torch.randn(3, 3, 32, 48)
    found = network.localize(images, torch.tensor([0, 1, 1]))
    assert found.maps.shape == (3, 1, 4, 6)
    assert torch.equal(found.maps, network.localize(images, torch.tensor([1, 0, 0])).maps)
    assert ((found.maps > 0) & (found.maps < 1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("masks", [False, True])
def test_it_learns_where_objects_are_from_val_alone(masks: bool, tmp_path: Path) -> None:
    toy = ToyDataset(per_split=24, masks=masks)
    settings = config(epochs=12, lr=0.05, new_lr_factor=2.0, output_stride=4)
    network, found = train_few_shot(settings, toy, RunFolder(tmp_path), tiny.QUIET)
    localizer = Localizer(network, toy.classes, found, Threshold(0.5, "fixed"))
    measured = evaluate(localizer, toy, "test", runtime=tiny.QUIET).result["metrics"]
    name = "PxAP" if masks else "MaxBoxAccV2"
    centre = evaluate_baseline("centre-Gaussian baseline", toy, "test", runtime=tiny.QUIET)["metrics"]
    assert measured[name][0]["value"] > centre[name][0]["value"] + 0.1


def test_same_seed_same_weights_and_a_stopped_training_goes_on_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = ToyDataset(per_split=12)
    whole, stopped, other = (RunFolder(tmp_path / name) for name in ("whole", "stopped", "other"))
    train_few_shot(config(), toy, whole, tiny.QUIET)
    plain, steps = FewShotNetwork.loss, iter(range(100))

    def loss(self: FewShotNetwork, *batch: Any) -> torch.Tensor:
        if next(steps) == 3:  # in the second epoch of two steps each
            raise KeyboardInterrupt
        return plain(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(FewShotNetwork, "loss", loss)
        with pytest.raises(KeyboardInterrupt):
            train_few_shot(config(), toy, stopped, tiny.QUIET)
    assert not (stopped.path / "model.safetensors").exists()
    train_few_shot(config(), toy, stopped, tiny.QUIET)
    assert tiny.differing(tiny.weights(whole.path), tiny.weights(stopped.path)) == []
    assert tiny.epochs(stopped.path) == [1, 2]
    train_few_shot(config(seed=6), toy, other, tiny.QUIET)
    assert tiny.differing(tiny.weights(whole.path), tiny.weights(other.path))


def test_finished_training_is_read_again_and_other_settings_start_anew(tmp_path: Path) -> None:
    toy, run = ToyDataset(per_split=6), RunFolder(tmp_path)
    train_few_shot(config(epochs=1), toy, run, tiny.QUIET)
    before = (tmp_path / "model.safetensors").stat().st_mtime_ns
    network, _ = train_few_shot(config(epochs=1), toy, run, tiny.QUIET)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == before
    held = tiny.weights(tmp_path)
    assert all(torch.equal(held[name], value) for name, value in network.state_dict().items())
    train_few_shot(config(epochs=2), toy, run, tiny.QUIET)
    assert tiny.epochs(tmp_path) == [1, 2]
    assert json.loads((tmp_path / "few_shot.json").read_text())["asked"]["epochs"] == 2


def test_photographs_without_truth_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"boxes or masks of the split val .* found none: add --val-truth"):
        train_few_shot(config(), ToyDataset(truth_splits=("test",)), RunFolder(tmp_path), tiny.QUIET)
    assert not list(tmp_path.iterdir())
    toy = ToyDataset(per_split=8)
    toy.unfit = {"0.png", "3.png"}
    train_few_shot(config(epochs=1), toy, RunFolder(tmp_path), tiny.QUIET)
    assert json.loads((tmp_path / "few_shot.json").read_text())["asked"]["photographs"] == 6


def test_pictures_of_the_toy_are_what_the_tests_take_them_for() -> None:
    toy = ToyDataset()
    sample = toy.samples("val")[1]
    picture = np.asarray(toy.image(sample))
    assert picture.shape == (40, 64, 3)
    assert isinstance(toy.image(sample), Image.Image)
    x0, y0, x1, y1 = toy.box(sample)
    assert (picture[y0:y1, x0:x1, 0] == 255).all()
