"""From photographs to the network's squares, and the order and randomness of training.

What is drawn for a photograph depends on (index, seed) alone, never on the number of workers or processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from rfga.data.base import Dataset
from rfga.types import Sample, UserError

LEAST_PER_PIXEL = 2
"""Pixels of a reduced photograph per pixel of the network's square: with fewer the square loses detail."""

_BILINEAR = Image.Resampling.BILINEAR


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How training photographs are varied.

    "benchmark": resized to 256/224 of the network's size, then a random crop (Choe et al., CVPR 2020).
    "random-resized": a part of random area (at least ``min_scale`` of the photograph) and shape.

    Raises:
        UserError: an unknown crop, or ``min_scale`` outside (0, 1].

    Example:
        >>> Augmentation(crop="random-resized", min_scale=0.5).flip
        True
    """

    crop: Literal["benchmark", "random-resized"] = "benchmark"
    min_scale: float = 0.4  # smallest area of a random part, as a fraction of the photograph's
    flip: bool = True  # left and right are exchanged in every second photograph
    reduced: bool = False  # large JPEGs are decoded at a part of their size

    def __post_init__(self) -> None:
        if self.crop not in ("benchmark", "random-resized"):
            raise UserError(
                f"expected a crop of benchmark or random-resized, found {self.crop!r}: choose one"
            )
        if not 0 < self.min_scale <= 1:
            raise UserError(f"expected min_scale in (0, 1], found {self.min_scale}: choose 0.4, for instance")

    def least_side(self, size: int) -> int:
        """Pixels that a reduced photograph has on each side, for squares of ``size`` pixels.

        Example:
            >>> Augmentation().least_side(224)
            512
        """
        if self.crop == "benchmark":
            return LEAST_PER_PIXEL * _resized_side(size)
        return LEAST_PER_PIXEL * math.ceil(size / math.sqrt(self.min_scale * 3 / 4))  # the smallest part's


def eval_transform(image: Image.Image, size: int) -> Tensor:
    """Resizes an RGB photograph to a square of ``size`` pixels, PIL bilinear, aspect not kept.

    Returns:
        (3, size, size) uint8; mean and standard deviation are taken off on the device.

    Example:
        >>> eval_transform(Image.new("RGB", (80, 60)), 32).shape
        torch.Size([3, 32, 32])
    """
    return _to_tensor(image.resize((size, size), _BILINEAR))


def train_transform(
    image: Image.Image, size: int, rng: np.random.Generator, augmentation: Augmentation | None = None
) -> Tensor:
    """Crops and flips an RGB photograph at random, all drawn from ``rng``; aspect not kept.

    Returns:
        (3, size, size) uint8.

    Example:
        >>> train_transform(Image.new("RGB", (80, 60)), 32, np.random.default_rng(0)).dtype
        torch.uint8
    """
    augmentation = augmentation or Augmentation()
    if augmentation.crop == "benchmark":
        square = _benchmark_crop(image, size, rng)
    else:
        square = _random_resized_crop(image, size, rng, augmentation.min_scale)
    if augmentation.flip and rng.random() < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _to_tensor(square)


class SampleImages(TorchDataset[tuple[Tensor, int, int]]):
    """Photographs as (image (3, S, S) uint8, class index, position in ``samples``), for a DataLoader.

    An item asked for as ``(index, seed)`` is varied by ``augmentation``, the same way each time; one asked
    for by its index alone, or without an ``augmentation``, is only resized.
    """

    def __init__(
        self,
        dataset: Dataset,
        samples: Sequence[Sample],
        image_size: int,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._dataset, self._samples = dataset, samples
        self._image_size, self._augmentation = image_size, augmentation

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, int, int]:
        index, seed = item if isinstance(item, tuple) else (item, None)
        sample = self._samples[index]
        augmentation, size = self._augmentation, self._image_size
        if seed is None or augmentation is None:
            return eval_transform(self._dataset.image(sample), size), sample.label, index
        if augmentation.reduced:
            image = self._dataset.reduced_image(sample, augmentation.least_side(size))
        else:
            image = self._dataset.image(sample)
        rng = np.random.default_rng((index, seed))
        return train_transform(image, size, rng, augmentation), sample.label, index


class EpochSampler(Sampler[tuple[int, int]]):
    """The (index, seed) pairs of one epoch, dealt to ``world`` processes without overlap.

    The order depends on (seed, epoch) alone, an item's seed on (seed, epoch, index). Shuffled, every process
    gets equally many, and up to ``world - 1`` items sit out the epoch; unshuffled, no item is left out and
    the processes' numbers differ by one at most.

    Example:
        >>> [index for index, _ in EpochSampler(5, seed=0, shuffle=False, rank=1, world=2)]
        [1, 3]
    """

    def __init__(
        self, num_samples: int, seed: int, shuffle: bool, rank: int = 0, world: int = 1, epoch: int = 0
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"expected 0 <= rank < world, found rank {rank} of {world}")
        self._num_samples, self._seed, self._shuffle = num_samples, seed, shuffle
        self._rank, self._world, self._epoch = rank, world, epoch

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch, counted from 0; Lightning calls it before each one."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(range(self._rank, self._dealt(), self._world))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self._seed, self._epoch))
        item_seeds = rng.integers(2**63, size=self._num_samples)
        order = rng.permutation(self._num_samples) if self._shuffle else np.arange(self._num_samples)
        for index in order[self._rank : self._dealt() : self._world]:  # no list: there may be a million
            yield int(index), int(item_seeds[index])

    def _dealt(self) -> int:
        return self._num_samples - (self._num_samples % self._world if self._shuffle else 0)


def _resized_side(size: int) -> int:
    return round(size * 256 / 224)


def _benchmark_crop(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    side = _resized_side(size)
    y, x = rng.integers(side - size + 1, size=2).tolist()
    return image.resize((side, side), _BILINEAR).crop((x, y, x + size, y + size))


def _random_resized_crop(
    image: Image.Image, size: int, rng: np.random.Generator, min_scale: float
) -> Image.Image:
    area = rng.uniform(min_scale, 1)  # as a fraction of the photograph's
    most = min(math.log(4 / 3), abs(math.log(area))) / 2  # aspect changes up to 4:3, as far as the part fits
    stretch = math.exp(rng.uniform(-most, most))
    width = min(image.width * math.sqrt(area) * stretch, image.width)
    height = min(image.height * math.sqrt(area) / stretch, image.height)
    x0, y0 = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    box = (x0, y0, min(x0 + width, image.width), min(y0 + height, image.height))
    return image.resize((size, size), _BILINEAR, box=box)


def _to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
