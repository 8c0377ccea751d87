"""The few-shot baseline FSL: what a few boxes or masks teach directly, as a mark for methods that have none.

A 1x1 convolution to one channel on the backbone, trained with pixelwise cross entropy against masks or box
interiors (Choe et al., CVPR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset as TorchDataset

from rfga.backbones.base import Backbone
from rfga.data.base import Dataset
from rfga.data.transforms import Augmentation, train_transform
from rfga.methods.base import Method, ScoreMaps, labels_or_top, start_head
from rfga.types import MASK_BACKGROUND, MASK_IGNORED, MASK_OBJECT, ByteArray, Sample, Truth

_HALF = 128  # of 255: a pixel of the network's square that is at least half covered


class FewShotNetwork(Method):
    """One channel of objectness, the same for every class; its ``loss`` takes targets in place of labels.

    Args:
        backbone: gives the features.
        num_classes: K, of which it learns nothing.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> network = FewShotNetwork(build_backbone("test_resnet"), num_classes=3).eval()
        >>> found = network.localize(torch.zeros(2, 3, 64, 96))
        >>> found.maps.shape, found.logits.abs().max().item()
        (torch.Size([2, 1, 4, 6]), 0.0)
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__(backbone, num_classes)
        self.head = start_head(nn.Conv2d(backbone.out_channels, 1, 1))

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Pixelwise binary cross entropy at the targets' size, over all pixels that are not ignored.

        Args:
            images: (B, 3, H, W).
            labels: (B, H, W) uint8 targets: 255 object, 0 background, 128 ignored.
            generator: not drawn from.
        """
        raw = self.head(self.backbone(images))
        logits = F.interpolate(raw, labels.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        wanted = (labels == MASK_OBJECT).to(logits.dtype)
        each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        known = labels != MASK_IGNORED
        return (each * known).sum() / known.sum().clamp(min=1)

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Probability of object for each pixel of the map, whatever the class; logits are zeros."""
        maps = self.head(self.backbone(images)).sigmoid()
        logits = maps.new_zeros((len(images), self.num_classes))
        chosen = labels_or_top(logits, labels)
        return ScoreMaps(logits, maps.expand(-1, chosen.shape[1], -1, -1), chosen)


class FewShotImages(TorchDataset[tuple[Tensor, Tensor, int]]):
    """Photographs as (image (3, S, S) uint8, target (S, S) uint8, position), for a DataLoader.

    Items are asked for as ``(index, seed)``: crop and mirroring are drawn from it, the same for both.

    Args:
        dataset: gives photographs and their truth.
        samples: those whose truth is known.
        image_size: S.
        augmentation: as for the training of methods.
    """

    def __init__(
        self, dataset: Dataset, samples: Sequence[Sample], image_size: int, augmentation: Augmentation
    ) -> None:
        self._dataset, self._samples = dataset, samples
        self._image_size, self._augmentation = image_size, augmentation

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
        index, seed = item
        sample = self._samples[index]
        truth = self._dataset.truth(sample)
        assert truth is not None  # the samples were chosen so
        image = self._varied(self._dataset.image(sample), index, seed)
        covered = self._varied(Image.fromarray(truth_picture(truth)), index, seed)
        return image, target_of(covered), index

    def _varied(self, image: Image.Image, index: int, seed: int) -> Tensor:
        # The same draws each time, so that photograph and truth stay one upon the other.
        rng = np.random.default_rng((index, seed))
        return train_transform(image, self._image_size, rng, self._augmentation)


def truth_picture(truth: Truth) -> ByteArray:
    """Truth as a picture (H, W, 3) uint8 of its photograph's size: object red, ignored green, the rest black.

    As a picture it passes through the same resizing, crop and mirroring as its photograph.

    Example:
        >>> picture = truth_picture(Truth((2, 3), boxes=np.array([[1.0, 0.0, 3.0, 1.0]])))
        >>> picture[..., 0].tolist()
        [[0, 255, 255], [0, 0, 0]]
    """
    picture = np.zeros((*truth.size_hw, 3), dtype=np.uint8)
    if truth.mask is not None:
        picture[..., 0] = np.where(truth.mask == MASK_OBJECT, 255, 0)
        picture[..., 1] = np.where(truth.mask == MASK_IGNORED, 255, 0)
        return picture
    assert truth.boxes is not None
    columns, rows = np.arange(truth.size_hw[1]) + 0.5, np.arange(truth.size_hw[0]) + 0.5
    for x0, y0, x1, y1 in truth.boxes:
        inside = ((rows >= y0) & (rows < y1))[:, None] & (columns >= x0) & (columns < x1)
        picture[inside, 0] = 255
    return picture


def target_of(covered: Tensor) -> Tensor:
    """What the pixels of a resized truth picture (3, S, S) count as: (S, S) uint8, the values of masks.

    A pixel counts as what covers at least half of it; ignored goes before object.

    Example:
        >>> pixels = [[[255, 127, 128, 0]], [[0, 0, 127, 128]], [[0, 0, 0, 0]]]
        >>> target_of(torch.tensor(pixels, dtype=torch.uint8)).tolist()
        [[255, 0, 255, 128]]
    """
    target = torch.full_like(covered[0], MASK_BACKGROUND)
    target[covered[0] >= _HALF] = MASK_OBJECT
    target[covered[1] >= _HALF] = MASK_IGNORED
    return target
