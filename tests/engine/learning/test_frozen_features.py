from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from rfga.backbones.build import build_backbone
from rfga.data.transforms import SampleImages, eval_transform
from rfga.engine.ablation.cells import train_on_features
from rfga.engine.learning import feature_store
from rfga.engine.learning.feature_store import FeatureStore
from rfga.engine.learning.frozen_features import (
    FeatureImages,
    FeatureRequest,
    open_features,
    photographs_fingerprint,
    prepare_features,
)
from rfga.engine.learning.train import train
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import normalised
from rfga.types import UserError
from tests.engine import tiny
from tests.engine.toy import ToyDataset
from tests.thin import some

CONFIG = TrainConfig(
    backbone="test_resnet", weights="none", image_size=64, output_stride=8, epochs=2, batch_size=5, lr=0.01
)
TOY = ToyDataset(per_split=11)
LAYERS: list[dict[str, Any]] = [
    {"method": "cam"},
    {"method": "rfga"},
    {"method": "rfga", "options": {"light": True}},
]


def prepared(out: Path, config: TrainConfig = CONFIG, half: bool = False) -> FeatureRequest:
    request = FeatureRequest(config, "val", out, half)
    prepare_features(request, TOY, TOY, tiny.QUIET)
    return request


def features_of(config: TrainConfig, picture: Image.Image) -> Tensor:
    torch.manual_seed(0)
    backbone = build_backbone(config.backbone, output_stride=config.output_stride or 16).eval()
    with torch.no_grad():
        maps: Tensor = backbone(normalised(eval_transform(picture, config.image_size)[None], backbone))
    return maps[0]


def test_features_are_the_networks_own(tmp_path: Path) -> None:
    prepared(tmp_path)
    samples = TOY.samples("train")
    plain, mirrored = open_features(tmp_path, "train"), open_features(tmp_path, "train", mirrored=True)
    assert plain.images == [(sample.image_id, sample.label) for sample in samples]
    assert len(open_features(tmp_path, "val")) == len(TOY.samples("val"))
    for index in (0, 7, 10):
        picture = TOY.image(samples[index])
        own = features_of(CONFIG, picture)
        assert plain.shape == tuple(own.shape)
        torch.testing.assert_close(plain[index], own, atol=1e-5, rtol=1e-5)
        turned = features_of(CONFIG, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        torch.testing.assert_close(mirrored[index], turned, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(mirrored[index], own, atol=1e-2)


def test_half_the_digits_take_half_the_room(tmp_path: Path) -> None:
    prepared(tmp_path / "single", replace(CONFIG, flip=False))
    prepared(tmp_path / "half", replace(CONFIG, flip=False), half=True)
    assert not (tmp_path / "half" / "features" / "train-mirrored").exists()
    single, half = open_features(tmp_path / "single", "train"), open_features(tmp_path / "half", "train")
    assert half[3].dtype == torch.float32
    torch.testing.assert_close(half[3], single[3], rtol=1e-3, atol=1e-6)
    assert not torch.equal(half[3], single[3])
    sizes = [(store.folder / "00000.safetensors").stat().st_size for store in (half, single)]
    assert sizes[0] < 0.51 * sizes[1]


def test_what_is_there_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = features_of(CONFIG, TOY.image(TOY.samples("val")[0])).numel()
    monkeypatch.setattr(feature_store, "SHARD_BYTES", 4 * numbers * 3)  # three photographs each
    prepared(tmp_path)
    before = [open_features(tmp_path, "val")[i] for i in range(11)]
    folder = tmp_path / "features" / "val"
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    assert shards == [f"{n:05d}.safetensors" for n in range(4)]
    read: list[int] = []
    item = SampleImages.__getitem__

    def counted(self: SampleImages, index: Any) -> Any:
        read.append(index)
        return item(self, index)

    monkeypatch.setattr(SampleImages, "__getitem__", counted)
    prepared(tmp_path)
    assert read == []
    (folder / shards[2]).unlink()
    about = (folder / "about.json").read_text()
    (folder / "about.json").write_text(about.replace('"complete": true', '"complete": false'))
    (folder / f".{'0' * 32}.tmp").write_text("left by a kill")
    prepared(tmp_path)
    assert set(read) == {0, 6, 7, 8}  # the first tells the shape
    assert all(torch.equal(a, open_features(tmp_path, "val")[i]) for i, a in enumerate(before))
    assert sorted(path.name for path in folder.iterdir()) == [*shards, "about.json"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 48}, "image size"),
        ({"output_stride": 16}, "output stride"),
        ({"mean": (0.1, 0.2, 0.3)}, "input"),
        ({"backbone": "test_efficientnet", "output_stride": 32}, "backbone, weights, output stride, input"),
    ],
)
def test_other_features_are_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    prepared(tmp_path)
    before = tiny.snapshot(tmp_path)
    with pytest.raises(UserError, match=f"to be of the same {said}, found others"):
        prepared(tmp_path, replace(CONFIG, **changes))
    with pytest.raises(UserError, match="of the same precision, found"):
        prepared(tmp_path, half=True)
    assert tiny.snapshot(tmp_path) == before


def test_other_weights_and_photographs_are_refused(tmp_path: Path) -> None:
    file = weights_file(tmp_path, seed=1)
    config = replace(CONFIG, weights=str(file), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    prepared(tmp_path / "out", config)
    weights_file(tmp_path, seed=2)
    with pytest.raises(UserError, match="of the same weights, found others"):
        prepared(tmp_path / "out", config)
    weights_file(tmp_path, seed=1)
    request = FeatureRequest(config, "val", tmp_path / "out")
    with pytest.raises(UserError, match="of the same photographs, found others"):
        prepare_features(request, ToyDataset(per_split=12), TOY, tiny.QUIET)
    samples = TOY.samples("val")
    swapped = [replace(samples[0], label=1), *samples[1:]]
    assert photographs_fingerprint(samples) != photographs_fingerprint(swapped)


def test_damaged_features_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found no sound about\.json: remove the folder"):
        len(open_features(tmp_path, "train"))
    prepared(tmp_path)
    (tmp_path / "features" / "val" / "00000.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="found it missing or damaged"):
        open_features(tmp_path, "val")[0]


def test_network_with_new_last_layers_is_refused(tmp_path: Path) -> None:
    config = replace(CONFIG, backbone="wsol_vgg16", output_stride=16)
    with pytest.raises(UserError, match="new layers after those of wsol_vgg16: add --fine-tune"):
        prepared(tmp_path, config)


def weights_file(folder: Path, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    network = build_backbone("test_resnet", output_stride=8).network
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "w.safetensors"
    )
    return folder / "w.safetensors"


@pytest.mark.parametrize("chosen", some(LAYERS[1:] + LAYERS[:1]))
def test_training_on_features_equals_training_with_the_network_frozen(
    chosen: dict[str, Any], tmp_path: Path
) -> None:
    config = replace(
        CONFIG,
        **chosen,
        weights=str(weights_file(tmp_path)),
        mean=(0.5, 0.4, 0.5),
        std=(0.2, 0.25, 0.3),
        freeze_backbone=True,
        crop="random-resized",
        min_scale=1.0,  # the whole photograph, as features are of
        flip=False,
        seed=5,
    )
    whole = train(config, TOY, RunFolder(tmp_path / "run"), runtime=tiny.QUIET)
    prepared(tmp_path / "out", config)
    plain = open_features(tmp_path / "out", "train")
    ours = train_on_features(config, len(TOY.classes), plain, runtime=tiny.QUIET)
    pairs = list(zip(ours.parameters(), whole.new_parameters(), strict=True))
    assert len(pairs) >= 2
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)
    # The training itself moved them by far more than that.
    start = train_on_features(replace(config, lr=1e-12), len(TOY.classes), plain, runtime=tiny.QUIET)
    moved = zip(ours.parameters(), start.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in moved) > 1e-2
    measured = open_features(tmp_path / "out", "val")
    images = SampleImages(TOY, TOY.samples("val"), config.image_size)
    pixels = torch.stack([images[i][0] for i in range(4)])
    labels = torch.tensor([0, 1, 1, 0])
    theirs_found = whole.localize(normalised(pixels, whole.backbone), labels)
    found = ours.localize(torch.stack([measured[i] for i in range(4)]), labels)
    torch.testing.assert_close(found.logits, theirs_found.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.maps, theirs_found.maps, atol=1e-4, rtol=1e-3)


def store_of(folder: Path, values: Tensor, labels: list[int]) -> FeatureStore:
    count, channels, height, width = values.shape
    images = [(f"{n}.jpg", label) for n, label in zip(range(count), labels, strict=True)]
    store = FeatureStore(folder)
    store.write({}, images, (channels, height, width), lambda rows: [values[rows.start : rows.stop]])
    return store


def test_features_that_are_not_square(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(12, 6, 4, 7, generator=generator)
    labels = [n % 2 for n in range(12)]
    values[:, 0] += torch.tensor(labels)[:, None, None].float()
    store = store_of(tmp_path / "a", values, labels)
    assert store.shape == (6, 4, 7)
    assert torch.equal(store[9], values[9])
    for chosen in LAYERS:
        config = replace(CONFIG, **chosen, epochs=8, lr=0.03)
        method = train_on_features(config, 2, store, runtime=tiny.QUIET)
        found = method.localize(values)
        assert found.maps.shape == (12, 1, 4, 7)
        assert (found.logits.argmax(1) == torch.tensor(labels)).float().mean() == 1
        again = train_on_features(config, 2, store, runtime=tiny.QUIET)
        assert all(torch.equal(a, b) for a, b in zip(method.parameters(), again.parameters(), strict=True))


def test_items_are_mirrored_as_their_seed_says(tmp_path: Path) -> None:
    values = torch.rand(3, 2, 4, 7, generator=torch.Generator().manual_seed(0))
    plain, mirrored = (
        store_of(tmp_path / "a", values, [0, 1, 0]),
        store_of(tmp_path / "b", -values, [0, 1, 0]),
    )
    images = FeatureImages(plain, mirrored)
    seeds = np.random.default_rng(0).integers(2**62, size=200).tolist()
    turned = [bool((images[1, seed][0] < 0).all()) for seed in seeds]
    assert 70 < sum(turned) < 130
    assert turned == [bool((images[1, seed][0] < 0).all()) for seed in seeds]
    features, label, position = images[1]
    assert torch.equal(features, values[1])
    assert (label, position) == (1, 1)
    assert torch.equal(FeatureImages(plain)[1, seeds[turned.index(True)]][0], values[1])
