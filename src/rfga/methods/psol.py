"""PSOL: a box regressed from the whole photograph, learned from boxes that the features of a class give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.geometry.boxes import boxes_from_pixels
from rfga.geometry.levelsets import component_boxes
from rfga.methods.base import Batch, Method, Pass, ScoreMaps, Sums, one_for_all
from rfga.methods.cam import RidgeCAM
from rfga.nn.ridge import ClassSums, class_sums, solve_ridge

__all__ = ["PSOL", "box_shares", "descriptor_direction"]

EDGES = 4
_FINEST = 0.02  # of a side: boxes are at least so long
_STEEP = 4.0  # as sure as maps of an object are: what is read off them takes flat ones for no object


class PSOL(Method):
    """PSOL (Zhang, Cao and Wu, CVPR 2020), solved in closed form on a frozen network.

    "Rethinking the Route Towards Weakly Supervised Object Localization", arXiv:2002.11359: classes and boxes
    are learned apart. Boxes to learn from are those of deep descriptor transformation (Wei et al.,
    "Unsupervised object discovery and co-localization by deep descriptor transformation", Pattern Recognition
    2019, arXiv:1707.06397): of all places of a class, the first principal component; where it is positive is
    object, and the box is that of the largest part. From these a regressor learns, without classes, the box
    of any photograph. The paper trains a second network for it; here it is ridge regression from the features
    on a grid, and classes are ridge regression as well. Maps are shares of object, a half along the box, so
    that every reader of maps finds it. A component's sign says nothing: its positive side is here where
    features are large. The authors' program states no licence.

    Args:
        backbone: gives the features; it stays as it is.
        num_classes: K.
        grid: places along a side that the regressor sees.
        kept: principal components of the features that descriptors and the regressor are of.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = PSOL(build_backbone("resnet18"), num_classes=3).eval()
        >>> [[one.name for one in look] for look in method.passes()]
        [['classes', 'components'], ['sharpness', 'descriptors'], ['boxes']]
        >>> method.localize(torch.zeros(2, 3, 64, 96), torch.tensor([0, 2])).maps.shape
        torch.Size([2, 1, 32, 48])
    """

    maps_of_classes = False

    mean: Tensor
    components: Tensor
    offsets: Tensor
    directions: Tensor
    regressor: Tensor
    middle: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, *, grid: int = 7, kept: int = 32) -> None:
        super().__init__(backbone, num_classes)
        # Not as a part of this one, for the network's weights would be kept a second time.
        self._classifier = (RidgeCAM(backbone, num_classes),)
        self.head = self._classifier[0].head
        self.grid = grid
        channels = backbone.out_channels
        width = min(kept, channels)
        for name, shape in {
            "mean": (channels,),
            "components": (channels, width),
            "offsets": (num_classes, width),
            "directions": (num_classes, width),
            "regressor": (width * grid * grid, EDGES),
        }.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("middle", torch.tensor([0.25, 0.25, 0.75, 0.75]))

    def passes(self) -> Sequence[Sequence[Pass]]:
        """Components of all features and of each class's, then boxes, beside the looks for the classes."""
        own = (
            Pass("components", self._no_features, self._add_features, self._solve_components),
            Pass("descriptors", self._no_descriptors, self._add_descriptors, self._solve_descriptors),
            Pass("boxes", self._no_boxes, self._add_boxes, self._solve_boxes),
        )
        pairs = zip_longest(self._classifier[0].passes(), own)
        return [(*(theirs or ()), mine) for theirs, mine in pairs]

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the classifier."""
        return self._classifier[0].loss(images, labels, generator)

    def learned(self) -> dict[str, Any]:
        """What the classifier found."""
        return self._classifier[0].learned()

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """The classifier's logits, and the one box of each photograph as a map for all its classes."""
        features = self.backbone(images)
        boxes = self._seen(features) @ self.regressor.to(features.dtype) + self.middle.to(features.dtype)
        map_hw = (images.shape[2] // 2, images.shape[3] // 2)
        return one_for_all(self.head(features.mean((2, 3))), box_shares(boxes, map_hw), labels)

    def map_hw(self, image_hw: tuple[int, int], stages_hw: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """Half the image's sides."""
        return image_hw[0] // 2, image_hw[1] // 2

    def _narrowed(self, features: Tensor) -> Tensor:
        """(B, D, h, w): the first components of features (B, C, h, w)."""
        centred = features - self.mean.to(features.dtype)[:, None, None]
        return torch.einsum("bchw,cd->bdhw", centred, self.components.to(features.dtype))

    def _seen(self, features: Tensor) -> Tensor:
        """(B, D * grid * grid): what the regressor sees."""
        size = (self.grid, self.grid)
        small = F.interpolate(self._narrowed(features), size, mode="bilinear", align_corners=False)
        return small.flatten(1)

    def _no_features(self) -> Sums:
        return _no_places((), len(self.mean))

    def _add_features(self, sums: Sums, batch: Batch) -> None:
        for features in self.backbone(batch.images)[batch.labels >= 0]:
            _add_places(sums, features.flatten(1).T)

    def _solve_components(self, sums: Sums) -> None:
        mean = sums["sum"] / sums["count"]
        self.mean.copy_(mean)
        covariance = sums["squares"] / sums["count"] - torch.outer(mean, mean)
        self.components.copy_(torch.linalg.eigh(covariance).eigenvectors[:, -self.components.shape[1] :])

    def _no_descriptors(self) -> Sums:
        sums = _no_places((self.num_classes,), self.directions.shape[1])
        large = {"large": sums["count"], "largest": sums["sum"]}
        return sums | {name: torch.zeros_like(part) for name, part in large.items()}

    def _add_descriptors(self, sums: Sums, batch: Batch) -> None:
        features = self.backbone(batch.images)
        sizes = features.norm(dim=1).flatten(1).double().cpu()
        for row, label in enumerate(batch.labels.tolist()):
            if label < 0:
                continue
            places = self._narrowed(features[row : row + 1])[0].flatten(1).T
            _add_places({name: part[label] for name, part in sums.items()}, places)
            sums["large"][label] += sizes[row].mean()
            sums["largest"][label] += sizes[row] @ places.double().cpu() / len(places)

    def _solve_descriptors(self, sums: Sums) -> None:
        for label in range(self.num_classes):
            own = {name: part[label] for name, part in sums.items()}
            if own["count"] == 0:
                continue
            mean = own["sum"] / own["count"]
            covariance = own["squares"] / own["count"] - torch.outer(mean, mean)
            self.offsets[label] = mean
            self.directions[label] = descriptor_direction(covariance, own["largest"] - own["large"] * mean)

    def _no_boxes(self) -> Sums:
        none = class_sums(torch.zeros(0, len(self.regressor)), torch.zeros(0, EDGES))._asdict()
        return {**none, "squared": torch.zeros(EDGES, dtype=torch.float64)}

    def _add_boxes(self, sums: Sums, batch: Batch) -> None:
        features = self.backbone(batch.images)
        image_hw = (batch.images.shape[2], batch.images.shape[3])
        rows, boxes = [], []
        for row, label in enumerate(batch.labels.tolist()):
            found = None
            if label >= 0:
                found = self._descriptor_box(features[row : row + 1], label, image_hw)
            if found is not None:
                rows.append(row)
                boxes.append(found)
        if rows:
            targets = torch.stack(boxes)
            for name, part in class_sums(self._seen(features[rows]).cpu(), targets)._asdict().items():
                sums[name] += part
            sums["squared"] += targets.square().sum(0)

    def _descriptor_box(self, features: Tensor, label: int, image_hw: tuple[int, int]) -> Tensor | None:
        """(4,) as shares of the sides, of one photograph (1, C, h, w); None where nothing is object."""
        narrowed = self._narrowed(features)[0]
        values = torch.einsum(
            "dhw,d->hw", narrowed - self.offsets[label][:, None, None], self.directions[label]
        )
        larger = F.interpolate(values[None, None], image_hw, mode="bilinear", align_corners=False)[0, 0]
        object_map = larger.clamp_min(0).double().cpu().numpy()
        if not object_map.any():
            return None
        pixels = component_boxes(object_map / object_map.max(), 0.0)
        edges = boxes_from_pixels(pixels, object_map.shape, (1, 1))
        return torch.from_numpy(np.asarray(edges[0], dtype=np.float64))

    def _solve_boxes(self, sums: Sums) -> None:
        if sums["photographs"] == 0:
            return
        moments = ClassSums(**{name: sums[name] for name in ClassSums._fields})
        solved = solve_ridge(moments, squares=sums["squared"])
        self.regressor.copy_(solved.weights)
        self.middle.copy_(solved.shares - solved.mean @ solved.weights)


def descriptor_direction(covariance: Tensor, large: Tensor) -> Tensor:
    """(D,): the first principal component, positive where features are large.

    Args:
        covariance: (D, D) of a class's places.
        large: (D,) covariance of places with the size of their features.

    Example:
        >>> descriptor_direction(torch.tensor([[4.0, 0.0], [0.0, 1.0]]), torch.tensor([-1.0, 0.0])).tolist()
        [-1.0, 0.0]
    """
    first = torch.linalg.eigh(covariance).eigenvectors[:, -1]
    return torch.where(first @ large < 0, -first, first) + 0.0


def box_shares(boxes: Tensor, map_hw: tuple[int, int]) -> Tensor:
    """Maps (B, h, w) of boxes: 1 in their inner three quarters, a half along the edges, soon 0 outside.

    Args:
        boxes: (B, 4) edges x0, y0, x1, y1 as shares of the sides.
        map_hw: height and width of the maps.

    Example:
        >>> box_shares(torch.tensor([[0.25, 0.0, 0.75, 1.0]]), (1, 8)).tolist()
        [[[0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]]]
    """
    x0, y0, x1, y1 = boxes.clamp(0, 1).unbind(1)
    inside = []
    for low, high, side in ((y0, y1, map_hw[0]), (x0, x1, map_hw[1])):
        middle, half = (low + high) / 2, ((high - low) / 2).clamp_min(_FINEST / 2)
        place = (torch.arange(side, device=boxes.device, dtype=boxes.dtype) + 0.5) / side
        inside.append(1 - (place - middle[:, None]).abs() / half[:, None])
    depths = torch.minimum(inside[0][:, :, None], inside[1][:, None, :])
    return (0.5 + 0.5 * _STEEP * depths).clamp(0, 1)


def _no_places(which: tuple[int, ...], size: int) -> Sums:
    """The sums of no photograph, for each of ``which``."""
    shapes: dict[str, tuple[int, ...]] = {"count": (), "sum": (size,), "squares": (size, size)}
    return {name: torch.zeros((*which, *shape), dtype=torch.float64) for name, shape in shapes.items()}


def _add_places(sums: Sums, places: Tensor) -> None:
    """Places (N, D) of one photograph, which counts one."""
    sums["count"] += 1
    sums["sum"] += places.double().mean(0).cpu()
    sums["squares"] += (places.T @ places / len(places)).double().cpu()
