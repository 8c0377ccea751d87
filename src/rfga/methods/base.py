"""The contract of a method: a loss to train with, and score maps to localize with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.backbones.layout import KEYS

Head = TypeVar("Head", nn.Linear, nn.Conv2d)


@dataclass(frozen=True)
class ScoreMaps:
    """What a method says of a batch: logits of every class, and raw maps of some classes."""

    logits: Tensor  # (B, K)
    maps: Tensor  # (B, n, h, w), of any range: resized and normalised by rfga.geometry.maps
    labels: Tensor  # (B, n) int, the classes the maps are of


Sums = dict[str, Tensor]
"""Named float64 sums over photographs: those of any parts of a collection add up to those of the whole."""


@dataclass(frozen=True)
class Batch:
    """Photographs as a pass over the collection sees them."""

    images: Tensor  # (B, 3, H, W), normalised
    labels: Tensor  # (B,) int, below 0 where there is no object
    folds: Tensor  # (B,) int, any numbers that depend on the photographs' names alone: to leave some out
    several: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Rows whose photograph has several classes, and so comes again for each of the others -> all of them."""

    def targets(self, num_classes: int) -> tuple[Tensor, Tensor]:
        """Which classes each photograph has, (B, K) of 0 and 1, and what it counts, (B,).

        A photograph of several classes comes once for each, so it counts a part of one; what shows no object
        counts nothing.

        Example:
            >>> batch = Batch(torch.zeros(3, 3, 8, 8), torch.tensor([0, 2, -1]), torch.zeros(3), {1: (1, 2)})
            >>> batch.targets(3)[0].tolist(), batch.targets(3)[1].tolist()
            ([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]], [1.0, 0.5, 0.0])
        """
        targets = torch.zeros(len(self.labels), num_classes, dtype=torch.float64, device=self.labels.device)
        weights = (self.labels >= 0).double()
        shown = weights.nonzero()[:, 0]
        targets[shown, self.labels[shown]] = 1
        for row, labels in self.several.items():
            targets[row, list(labels)] = 1
            weights[row] /= len(labels)
        return targets, weights


@dataclass(frozen=True)
class Pass:
    """What is learned from one look at every photograph: sums, and what is solved from them."""

    name: str
    zeros: Callable[[], Sums]  # the sums of no photograph
    add: Callable[[Sums, Batch], None]  # a batch to them, in place
    solve: Callable[[Sums], None]
    judges_size: bool = False  # once solved, maps tell whether the input is large enough


class Method(nn.Module, ABC):
    """A network that learns with ``loss`` or with ``passes`` alone and is read with ``localize`` alone.

    The keyword arguments of a method's constructor are its options: the command line takes them typed,
    and ``rfga methods NAME`` prints them with the sentences of the class's docstring.

    Args:
        backbone: gives the features; weights of its own network count as pretrained.
        num_classes: K.
    """

    in_doubt = False
    """Whether what was learned of the classes contradicts itself."""

    maps_of_classes = True
    """Whether a photograph's maps of other classes are others."""

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes = num_classes

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The scalar training loss of normalised ``images`` (B, 3, H, W) and ``labels`` (B,) int.

        The inputs are never changed in place; every random draw comes from ``generator``.
        """

    @abstractmethod
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits and raw maps of normalised ``images`` (B, 3, H, W), without gradients.

        Args:
            images: (B, 3, H, W).
            labels: (B,) or (B, n) classes to map; by default the most probable one of each image.
        """

    def passes(self) -> Sequence[Sequence[Pass]]:
        """Of a method that learns in closed form: the looks at the collection in order, each of some passes.

        The passes of one look see the same photographs at once.
        """
        return ()

    @property
    def map_stage(self) -> str:
        """The stage of whose grid the score maps are: the last one."""
        return self.backbone.stages[-1]

    def map_hw(self, image_hw: tuple[int, int], stages_hw: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """Height and width of the score maps.

        Args:
            image_hw: height and width of the images.
            stages_hw: those of the backbone's stages.
        """
        del image_hw
        return stages_hw[self.map_stage]

    @property
    def has_epochs(self) -> bool:
        """Whether ``loss`` is minimised, before any passes."""
        return not self.passes()

    def learned(self) -> dict[str, Any]:
        """What a method that learns by passes found out of the collection, as plain values by name.

        ``doubt``, where there is one, is a sentence that says why its maps are not to be trusted as a whole.
        """
        return {}

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Those that may come from a weights file; all others are new and learn faster."""
        return list(self.backbone.network.parameters())

    def new_parameters(self) -> list[nn.Parameter]:
        """Those that start from nothing: heads and attached layers."""
        pretrained = {id(p) for p in self.pretrained_parameters()}
        return [p for p in self.parameters() if id(p) not in pretrained]


class MapReader(ABC):
    """Reads maps from a trained method without any of its own; the logits are the method's.

    The method is left as it was: its mode, its parameters and their gradients.

    Args:
        method: trained, of any kind.
    """

    def __init__(self, method: Method) -> None:
        self.method = method

    @abstractmethod
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits and maps of normalised ``images`` (B, 3, H, W), as ``Method.localize`` gives them."""

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within, the method is in evaluation mode."""
        was_training = {module: module.training for module in self.method.modules()}
        try:
            self.method.eval()
            yield
        finally:
            for module, mode in was_training.items():
                module.training = mode

    @torch.no_grad()
    def logits_and_keys(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K), and the last block's keys (B, C, h, w) or, without such, centred last features."""
        backbone = self.method.backbone
        with self.reading(), backbone.remembering():
            logits = self.method.localize(images).logits
            _, (keys,) = backbone.forward_places(images, [backbone.key_place])
        return logits, keys if backbone.key_place == KEYS else keys - keys.mean((2, 3), keepdim=True)


class ClassMapMethod(Method):
    """Features -> 1x1 convolution to K class maps -> global average; a class's map is its score map.

    Args:
        backbone: gives the features, with whatever layers are attached to it.
        num_classes: K.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__(backbone, num_classes)
        self.head = start_head(nn.Conv2d(backbone.out_channels, num_classes, 1))

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the averaged class maps."""
        return F.cross_entropy(self.head(self.backbone(images, generator)).mean((2, 3)), labels)

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """Logits, and for each class its channel of the head's output."""
        return read_class_maps(self.head(self.backbone(images)), labels)


def read_class_maps(maps: Tensor, labels: Tensor | None) -> ScoreMaps:
    """Logits and score maps from class maps (B, K, h, w), whose averages the logits are.

    Example:
        >>> found = read_class_maps(torch.arange(8.0).view(1, 2, 2, 2), None)
        >>> found.logits, found.labels, found.maps.shape
        (tensor([[1.5000, 5.5000]]), tensor([[1]]), torch.Size([1, 1, 2, 2]))
    """
    logits = maps.mean((2, 3))
    labels = labels_or_top(logits, labels)
    return ScoreMaps(logits, pick_maps(maps, labels), labels)


def start_head(head: Head) -> Head:
    """Give a classifying layer its first values: small normal weights and zero biases.

    Example:
        >>> start_head(nn.Linear(4, 2)).bias.tolist()
        [0.0, 0.0]
    """
    nn.init.normal_(head.weight, 0, 0.01)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
    return head


def labels_or_top(logits: Tensor, labels: Tensor | None) -> Tensor:
    """The classes (B, n) to map: the given ones, or the most probable one of each image.

    Raises:
        ValueError: labels of another shape, or outside 0 .. K-1.

    Example:
        >>> labels_or_top(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), None)
        tensor([[1],
                [0]])
    """
    if labels is None:
        return logits.argmax(1, keepdim=True)
    if labels.ndim not in (1, 2) or labels.shape[0] != logits.shape[0]:
        raise ValueError(
            f"expected labels (B,) or (B, n) for {len(logits)} images, found {tuple(labels.shape)}: "
            "give each image one class or several"
        )
    # An exporter records operations for batches of any size, on numbers that it does not know: nothing may
    # depend on these, and len() would fix the size.
    known = not torch.compiler.is_compiling() and len(labels)
    if known and not (int(labels.min()) >= 0 and int(labels.max()) < logits.shape[1]):
        raise ValueError(
            f"expected labels in 0..{logits.shape[1] - 1}, found {sorted(set(labels.flatten().tolist()))}: "
            "count the classes as the method does"
        )
    return (labels if labels.ndim == 2 else labels[:, None]).long()


def pick_maps(maps: Tensor, labels: Tensor) -> Tensor:
    """The channels ``labels`` (B, n) of class maps (B, K, h, w), as (B, n, h, w).

    Example:
        >>> pick_maps(torch.arange(12.0).view(1, 3, 2, 2), torch.tensor([[2]]))
        tensor([[[[ 8.,  9.],
                  [10., 11.]]]])
    """
    return maps.gather(1, labels[:, :, None, None].expand(-1, -1, *maps.shape[2:]))


def unit_range(maps: Tensor) -> Tensor:
    """Maps (..., h, w), each scaled to [0, 1] by its minimum and maximum; a constant one becomes zeros.

    This is for what a method does with maps inside; those it gives are raw.

    Example:
        >>> unit_range(torch.tensor([[1.0, 2.0, 5.0]]))
        tensor([[0.0000, 0.2500, 1.0000]])
    """
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, torch.ones_like(high))


def one_for_all(logits: Tensor, maps: Tensor, labels: Tensor | None) -> ScoreMaps:
    """Maps (B, h, w) that are the same for whichever classes are asked for."""
    chosen = labels_or_top(logits, labels)
    return ScoreMaps(logits, maps[:, None].expand(-1, chosen.shape[1], -1, -1), chosen)
