from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from rfga.data.folder import FolderDataset
from rfga.data.transforms import Augmentation, EpochSampler, SampleImages, eval_transform, train_transform
from rfga.types import ByteArray, UserError


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels(image: Image.Image) -> ByteArray:
    return np.asarray(image).transpose(2, 0, 1)


@pytest.fixture
def photographs(tmp_path: Path) -> FolderDataset:
    for label, name in enumerate(["a", "b"]):
        (tmp_path / "train" / name).mkdir(parents=True)
        for index in range(6):
            noise(50, 70 + index, seed=10 * label + index).save(tmp_path / "train" / name / f"{index}.png")
    return FolderDataset(tmp_path)


def test_eval_is_pil_bilinear_to_the_square() -> None:
    image = noise(60, 90)
    tensor = eval_transform(image, 32)
    assert (tensor.shape, tensor.dtype, tensor.is_contiguous()) == ((3, 32, 32), torch.uint8, True)
    np.testing.assert_array_equal(tensor.numpy(), pixels(image.resize((32, 32), Image.Resampling.BILINEAR)))


def test_benchmark_crop_is_a_part_of_the_photograph_at_256_to_224() -> None:
    image = noise(60, 90)
    whole = pixels(image.resize((64, 64), Image.Resampling.BILINEAR))  # round(56 * 256 / 224)
    seen = []
    for seed in range(300):
        part = train_transform(image, 56, np.random.default_rng(seed)).numpy()
        matches = [
            (y, x, flipped)
            for y in range(9)
            for x in range(9)
            for flipped in (False, True)
            if np.array_equal(part, whole[:, y : y + 56, x : x + 56][:, :, :: -1 if flipped else 1])
        ]
        assert len(matches) == 1
        seen += matches
    assert {y for y, _, _ in seen} == {x for _, x, _ in seen} == set(range(9))  # both ends are reached
    assert 110 < sum(flipped for _, _, flipped in seen) < 190


def test_flips_are_every_second_and_can_be_left_out() -> None:
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 90).astype(np.uint8)[None, :, None], (60, 1, 3)))

    def flipped(seed: int, augmentation: Augmentation) -> bool:
        row = train_transform(ramp, 32, np.random.default_rng(seed), augmentation)[0, 0]
        return bool(row[0] > row[-1])

    for augmentation in (Augmentation(), Augmentation("random-resized")):
        flips = sum(flipped(seed, augmentation) for seed in range(400))
        assert 160 < flips < 240
    assert not any(flipped(seed, Augmentation(flip=False)) for seed in range(50))


def test_random_resized_keeps_to_its_scale() -> None:
    y, x = np.mgrid[:200, :300]
    position = Image.fromarray(np.stack([x * 255 / 299, y * 255 / 199, 0 * x], axis=2).astype(np.uint8))
    areas, aspects = [], []
    for seed in range(300):
        augmentation = Augmentation("random-resized", min_scale=0.25, flip=False)
        part = train_transform(position, 64, np.random.default_rng(seed), augmentation).numpy().astype(float)
        width, height = np.ptp(part[0]) / 255 * 64 / 63, np.ptp(part[1]) / 255 * 64 / 63
        areas.append(width * height)
        aspects.append(width / height)
    assert 0.22 < min(areas) < 0.35
    assert 0.9 < max(areas) < 1.05
    assert 0.7 < min(aspects) < 0.85
    assert 1.2 < max(aspects) < 1.4
    whole = Augmentation("random-resized", min_scale=1, flip=False)
    expected = eval_transform(position, 64).numpy().astype(int)
    found = train_transform(position, 64, np.random.default_rng(0), whole).numpy().astype(int)
    assert np.abs(found - expected).max() <= 1


def test_augmentation_is_checked() -> None:
    with pytest.raises(UserError, match="expected a crop of benchmark or random-resized, found 'centre'"):
        Augmentation(crop=cast(Any, "centre"))
    for scale in (0, -1, 1.5, float("nan")):
        with pytest.raises(UserError, match=r"min_scale in \(0, 1\]"):
            Augmentation(min_scale=scale)


def test_items_depend_on_index_and_seed_alone(photographs: FolderDataset) -> None:
    images = SampleImages(photographs, photographs.samples("train"), 32, Augmentation())
    first, label, position = images[7, 123]
    assert (first.shape, label, position, len(images)) == ((3, 32, 32), 1, 7, 12)
    images[3, 5]
    assert torch.equal(images[7, 123][0], first)
    assert not all(torch.equal(images[7, seed][0], first) for seed in range(5))
    plain = eval_transform(photographs.image(photographs.samples("train")[7]), 32)
    assert torch.equal(images[7][0], plain)
    unvaried = SampleImages(photographs, photographs.samples("train"), 32)
    assert torch.equal(unvaried[7, 123][0], plain)


@pytest.mark.parametrize("shuffle", [False, True])
def test_workers_change_nothing(photographs: FolderDataset, shuffle: bool) -> None:
    images = SampleImages(photographs, photographs.samples("train"), 32, Augmentation())

    def epoch(workers: int, number: int) -> list[torch.Tensor]:
        sampler = EpochSampler(len(images), seed=4, shuffle=shuffle)
        sampler.set_epoch(number)
        loader = DataLoader(images, batch_size=5, sampler=sampler, num_workers=workers)
        batches = list(loader)
        assert [len(labels) for _, labels, _ in batches] == [5, 5, 2]
        return [torch.cat(column) for column in zip(*batches, strict=True)]

    alone, helped, later = epoch(0, 0), epoch(2, 0), epoch(0, 1)
    assert alone[0].dtype == torch.uint8
    assert all(torch.equal(one, other) for one, other in zip(alone, helped, strict=True))
    assert torch.equal(alone[1], (alone[2] >= 6).long())
    assert sorted(alone[2].tolist()) == list(range(12))
    assert torch.equal(alone[2], later[2]) != shuffle
    assert not torch.equal(alone[0], later[0])  # other crops, even in the same order


def test_sampler_is_a_permutation_by_seed_and_epoch() -> None:
    pairs = list(EpochSampler(50, seed=1, shuffle=True, epoch=3))
    assert sorted(index for index, _ in pairs) == list(range(50))
    assert len({seed for _, seed in pairs}) == 50
    sampler = EpochSampler(50, seed=1, shuffle=True)
    sampler.set_epoch(3)
    assert list(sampler) == pairs
    assert list(EpochSampler(50, seed=1, shuffle=True, epoch=4)) != pairs
    assert list(EpochSampler(50, seed=2, shuffle=True, epoch=3)) != pairs
    assert all(type(index) is int and type(seed) is int and seed >= 0 for index, seed in pairs)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("shuffle", [False, True])
def test_ranks_share_without_overlap(world: int, shuffle: bool) -> None:
    alone = dict(EpochSampler(50, seed=9, shuffle=shuffle, epoch=2))
    ranks = [
        EpochSampler(50, seed=9, shuffle=shuffle, rank=rank, world=world, epoch=2) for rank in range(world)
    ]
    parts = [list(rank) for rank in ranks]
    assert [len(rank) for rank in ranks] == [len(part) for part in parts]
    dealt = [pair for part in parts for pair in part]
    assert len({index for index, _ in dealt}) == len(dealt) == (50 - 50 % world if shuffle else 50)
    assert all(alone[index] == seed for index, seed in dealt)  # the same crops on any number of machines
    assert max(map(len, parts)) - min(map(len, parts)) <= (0 if shuffle else 1)
    with pytest.raises(ValueError, match="rank"):
        EpochSampler(50, seed=9, shuffle=shuffle, rank=world, world=world)
