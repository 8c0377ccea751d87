"""The last features of a frozen network, computed once, for many short trainings of what follows them.

The photographs are not cropped: each has its features as it is, and mirrored for training. A training on
them equals one of the whole network with ``freeze_backbone`` on the same squares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torch.utils.data import Dataset as TorchDataset

from rfga.backbones.base import NECK, Backbone
from rfga.data.base import Dataset
from rfga.data.transforms import SampleImages
from rfga.engine.learning.data import TrainingData, checked_samples, probe_photographs, read_training_data
from rfga.engine.learning.feature_store import FeatureStore
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import build_on_backbone, normalised
from rfga.engine.run.weights_file import weights_fingerprint
from rfga.engine.runtime.devices import pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Meter
from rfga.engine.runtime.reading import reading_explained, reads_quietly
from rfga.types import Sample, UserError

FOLDER, MIRRORED = "features", "mirrored"
_BATCH = 32


@dataclass(frozen=True)
class FeatureRequest:
    """Which features are wanted.

    Args:
        config: backbone, weights, sizes, and whether training mirrors photographs.
        split: that is measured.
        out: the grid's folder, below which they go.
        half: keep half the digits.
    """

    config: TrainConfig
    split: str
    out: Path
    half: bool = False


@reading_explained()
def prepare_features(
    request: FeatureRequest, data: Dataset, measured: Dataset, runtime: Runtime | None = None
) -> None:
    """Compute what is not there yet: train as it is and mirrored, and the split that is measured.

    Args:
        request: which features.
        data: photographs to train on.
        measured: those of the split that is measured.
        runtime: device, workers, output.

    Raises:
        UserError: no such network, one whose last layers are new, or features there that are of others.
    """
    runtime = runtime or Runtime()
    training = read_training_data(data, runtime, request.config.train_per_class)
    samples, _ = checked_samples(measured, request.split, runtime)
    backbone = _backbone(request, training)
    maker = _Maker(request, backbone, runtime)
    maker.make("train", data, training.train, mirrored=False)
    if request.config.flip:
        maker.make("train", data, training.train, mirrored=True)
    maker.make(request.split, measured, samples, mirrored=False)


def open_features(out: Path, split: str, *, mirrored: bool = False) -> FeatureStore:
    """The features of a split in the folder of a grid."""
    return FeatureStore(out / FOLDER / (f"{split}-{MIRRORED}" if mirrored else split))


class FeatureImages(TorchDataset[tuple[Tensor, int, int]]):
    """Features as (features (C, h, w), class index, position), for a DataLoader, in place of photographs.

    An item asked for as ``(index, seed)`` is mirrored or not as drawn from both; one asked for by its index
    alone is not.

    Args:
        plain: features of the photographs as they are.
        mirrored: those of the mirrored ones; without them nothing is mirrored.
    """

    def __init__(self, plain: FeatureStore, mirrored: FeatureStore | None = None) -> None:
        self._plain, self._mirrored = plain, mirrored
        self._labels = [label for _, label in plain.images]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, int, int]:
        index, seed = item if isinstance(item, tuple) else (item, None)
        store = self._plain
        if seed is not None and self._mirrored is not None:
            store = self._mirrored if np.random.default_rng((index, seed)).random() < 0.5 else store
        return store[index], self._labels[index], index


class _Maker:
    """Sends photographs through the frozen network."""

    def __init__(self, request: FeatureRequest, backbone: Backbone, runtime: Runtime) -> None:
        self.request, self.runtime = request, runtime
        self.device = pick_device(runtime.device)
        self.backbone = backbone.eval().to(self.device).to(memory_format=torch.channels_last)
        config = request.config
        self.made_of = {
            "backbone": config.backbone,
            "weights": weights_fingerprint(backbone),
            "image size": config.image_size,
            "output stride": config.output_stride,
            "input": [list(backbone.mean), list(backbone.std), backbone.pad_type],
            "precision": "half" if request.half else "single",
        }

    def make(self, split: str, data: Dataset, samples: Sequence[Sample], *, mirrored: bool) -> None:
        store = open_features(self.request.out, split, mirrored=mirrored)
        made_of = {**self.made_of, "photographs": photographs_fingerprint(samples)}
        if store.holds(made_of):
            return
        images = SampleImages(data, samples, self.request.config.image_size, None)
        what = f"features of {split}{f', {MIRRORED}' if mirrored else ''}"
        with Meter(what, len(samples), quiet=self.runtime.quiet) as meter:

            def features(rows: range) -> Iterator[Tensor]:
                loader: DataLoader[Any] = DataLoader(
                    Subset(images, rows),
                    batch_size=_BATCH,
                    num_workers=pick_workers(self.runtime, self.device),
                    worker_init_fn=reads_quietly,
                )
                for pixels, _, _ in loader:
                    yield self._features(pixels.flip(3) if mirrored else pixels)
                    meter.advance(len(pixels))

            known = [(sample.image_id, sample.label) for sample in samples]
            store.write(made_of, known, self._shape(images), features, half=self.request.half)

    @torch.no_grad()
    def _features(self, pixels: Tensor) -> Tensor:
        maps: Tensor = self.backbone(normalised(pixels.to(self.device), self.backbone))
        return maps.contiguous()

    def _shape(self, images: SampleImages) -> tuple[int, int, int]:
        _, channels, height, width = self._features(images[0][0][None]).shape
        return channels, height, width


def _backbone(request: FeatureRequest, data: TrainingData) -> Backbone:
    config = replace(request.config, seed=0)  # a network of random weights is the same for every seed
    tries_inputs = config.weights not in ("imagenet", "none")
    photographs = probe_photographs(data) if tries_inputs else None
    backbone: Backbone = build_on_backbone(config, lambda backbone: backbone, photographs)
    if NECK in backbone.stages:
        raise UserError(
            f"expected a network whose features are all pretrained, found new layers after those of "
            f"{config.backbone}: add --fine-tune, or choose another --backbone"
        )
    return backbone


def photographs_fingerprint(samples: Sequence[Sample]) -> str:
    """The same for the same list of photographs, by id, class and size of the file."""
    digest = hashlib.blake2b(digest_size=16)
    for sample in samples:
        size = sample.path.stat().st_size if sample.path.is_file() else 0
        digest.update(f"{sample.image_id}\n{sample.label}\n{size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
