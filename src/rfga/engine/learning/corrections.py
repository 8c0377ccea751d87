"""What boxes by a person change in the foreground: its discriminants, its level, and the confidence.

All of it is chosen by leaving photographs out: each is judged by what the others teach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rfga.data.base import Dataset
from rfga.data.truth.given import Given
from rfga.engine.learning.seen import Seen, see
from rfga.engine.localizing.confidence import Confidence, recalibrated
from rfga.engine.run.model import normalised
from rfga.engine.run.shelf import Shelf
from rfga.geometry.box_evidence import EVIDENCE, box_evidence, find_boxes
from rfga.geometry.boxes import boxes_from_pixels, iou
from rfga.geometry.levelsets import components
from rfga.geometry.maps import EVAL_SIZE_HW, resize_maps
from rfga.methods.foreground import Foreground
from rfga.nn.foreground import SeedSums, as_share
from rfga.nn.outlines import box_sums, taught
from rfga.types import FloatArray, Sample

MOST, MOST_JUDGED = 300, 60
"""Photographs that are learned from, and that settings are chosen on, at most: evenly spread."""
LEAST_JUDGED = 3  # with boxes: from fewer nothing is chosen
WEIGHTS = (0.0, 0.5, 0.9, 1.0)
"""Of boxes beside the seeds of class maps, to choose from."""
SHARES = (1.0, 0.0)
"""Of all boxes in a class's: 1 is one for all, 0 each class its own."""
LEVELS = tuple(round(0.1 * k, 1) for k in range(-1, 8))
FIRST_WEIGHT = 0.9  # of boxes in the discriminant that says which places in them are object
SURE, LEAST_DEVIATION = 2.0, 0.05  # standard errors that a gain must exceed; and a deviation that few hide
_LEVEL_OF_BOXES = 0.5  # of shares of object
_BATCH = 16


class Setting(NamedTuple):
    """How boxes are learned from."""

    weight: float
    share: float
    level: float


@dataclass(frozen=True, eq=False)
class Taught:
    """What came of it."""

    setting: Setting
    photographs: int
    judged: int  # that hold an object, left out one at a time
    right: int  # of these, boxes with an IoU of 0.5 or more
    confidence: Confidence

    def as_json(self) -> dict[str, Any]:
        """As a run's metrics hold it."""
        counts = {"photographs": self.photographs, "left_out": self.judged, "right": self.right}
        return {**counts, **self.setting._asdict()}


def learn_from_corrections(
    method: Foreground,
    dataset: Dataset,
    corrections: Sequence[tuple[Sample, Given]],
    image_size: int,
    confidence: Confidence,
    shelf: Shelf,
) -> Taught:
    """Teach a foreground that has just been solved, in place.

    Args:
        method: with the sums that its discriminants were solved from.
        dataset: of the photographs.
        corrections: photographs with their boxes.
        image_size: side of the network's square.
        confidence: to be calibrated.
        shelf: of what the network gave already.

    Raises:
        UserError: none of the photographs can be read.
    """
    step = -(-len(corrections) // MOST)
    return teach(method, see(method, dataset, corrections[::step], image_size, shelf), confidence)


@torch.no_grad()
def teach(method: Foreground, seen: Sequence[Seen], confidence: Confidence) -> Taught:
    """As ``learn_from_corrections``, of photographs that the network has seen."""
    teacher = _Teacher(method, seen)
    setting = teacher.chosen()
    evidence, ious = teacher.judged(setting)
    if setting != teacher.plain:
        method.discriminants.copy_(teacher.solved(setting))
        method.doubt(doubtful=False)  # boxes say what seeds could not
        method.levels.fill_(setting.level)
    return Taught(
        setting=setting,
        photographs=len(teacher.seen),
        judged=len(teacher.holding),  # one without a box is wrong
        right=int((ious >= 0.5).sum()),
        confidence=recalibrated(
            confidence, evidence, ious, f"calibrated on {len(ious)} corrected photographs"
        ),
    )


class _Teacher:
    def __init__(self, method: Foreground, seen: Sequence[Seen]) -> None:
        assert method.mixed is not None  # it has just been solved
        self.method, self.seen, self.own = method, seen, method.mixed
        self._sum([box_sums(one.outlined) for one in seen])
        first = taught(self.own, self.every, self.classes, 1.0, FIRST_WEIGHT)
        self._sum([box_sums(one.outlined, first[max(one.outlined.label, 0)]) for one in seen])
        self.plain = Setting(0.0, 1.0, float(method.levels[0]))
        holding = [index for index, one in enumerate(seen) if len(one.boxes)]
        self.holding = holding[:: max(1, -(-len(holding) // MOST_JUDGED))]

    def _sum(self, sums: Sequence[SeedSums]) -> None:
        """Of each photograph, of each class, and of all."""
        size = sums[0].moment.shape[0]
        self.sums, self.every = sums, SeedSums.none((), size)
        self.classes = SeedSums.none((self.method.num_classes,), size)
        for part, one in zip(sums, self.seen, strict=True):
            self.every = self.every + part
            if one.outlined.label >= 0:
                for whole, own in zip(self.classes, part, strict=True):
                    whole[one.outlined.label] += own

    def solved(self, setting: Setting) -> Tensor:
        """(K, D) from all photographs."""
        return taught(self.own, self.every, self.classes, setting.share, setting.weight).float()

    def left_out(self, index: int, setting: Setting) -> Tensor:
        """(D,) for a photograph, from all others."""
        label = self.seen[index].outlined.label
        row = slice(max(label, 0), max(label, 0) + 1)
        own, classes = (SeedSums(*(part[row] for part in sums)) for sums in (self.own, self.classes))
        if label >= 0:
            classes = classes - SeedSums(*(part[None] for part in self.sums[index]))
        return taught(own, self.every - self.sums[index], classes, setting.share, setting.weight)[0].float()

    def chosen(self) -> Setting:
        """The setting under which boxes of left-out photographs are the best, if there are a few of them."""
        plain = self.plain
        if len(self.holding) < LEAST_JUDGED:
            return plain if self.method.in_doubt else plain._replace(weight=WEIGHTS[1])
        ious: dict[Setting, FloatArray] = {}
        for weight, share in product(WEIGHTS, SHARES):
            if weight or share == 1:
                ious |= self._ious_at(weight, share)
        ious[plain] = self._ious_of(
            [find_boxes(one, _LEVEL_OF_BOXES).boxes for one in self._shares(plain, outlined=False)]
        )
        return best_setting(ious, plain)

    def _ious_at(self, weight: float, share: float) -> dict[Setting, FloatArray]:
        """Of left-out photographs, at every level."""
        levels = (*LEVELS, self.plain.level)
        found = [boxes_at(one, levels) for one in self._maps(Setting(weight, share, 0.0), outlined=False)]
        columns = zip(levels, zip(*found, strict=True), strict=True)
        return {Setting(weight, share, level): self._ious_of(boxes) for level, boxes in columns}

    def judged(self, setting: Setting) -> tuple[FloatArray, FloatArray]:
        """Evidence (n, 8) and IoU (n,) of the boxes of left-out photographs."""
        evidence, ious = [], []
        maps = self._shares(setting, outlined=True)
        for share_map, index in zip(maps, self.holding, strict=True):
            found = find_boxes(share_map, _LEVEL_OF_BOXES)
            if len(found.boxes):
                evidence.append(box_evidence(share_map, found, _LEVEL_OF_BOXES, share_map, 0.5)[0])
                ious.append(float(iou(found.boxes, self.seen[index].boxes).max()))
        return np.reshape(evidence, (len(ious), len(EVIDENCE))), np.array(ious)

    def _ious_of(self, found: Sequence[FloatArray]) -> FloatArray:
        truth = [self.seen[index].boxes for index in self.holding]
        pairs = zip(found, truth, strict=True)
        return np.array([iou(boxes, true).max(initial=0.0) for boxes, true in pairs])

    def _shares(self, setting: Setting, *, outlined: bool) -> FloatArray:
        """Shares of object (n, 224, 224); of plain maps while seeds are in doubt, as drawn."""
        if setting != self.plain or not self.method.in_doubt:
            return np.array([_share(one, setting.level) for one in self._maps(setting, outlined=outlined)])
        made = [np.zeros((0, *EVAL_SIZE_HW))]
        for begin in range(0, len(self.holding), _BATCH):
            part = [self.seen[index] for index in self.holding[begin : begin + _BATCH]]
            images, labels = self._images(part), torch.tensor([max(one.outlined.label, 0) for one in part])
            maps = self.method.localize(images, labels.to(images.device)).maps
            made.append(resize_maps(maps[:, 0].cpu().double().numpy(), EVAL_SIZE_HW).clip(0, 1))
        return np.concatenate(made)

    def _images(self, part: Sequence[Seen]) -> Tensor:
        pixels = torch.stack([one.pixels for one in part])
        return normalised(pixels.to(self.method.means.device), self.method.backbone)

    def _maps(self, setting: Setting, *, outlined: bool) -> FloatArray:
        """Values (n, 224, 224) of the photographs that hold an object, each by what the others teach.

        Args:
            setting: weight and share.
            outlined: along the photographs' edges, as boxes will be found; this takes longer.
        """
        made = [np.zeros((0, *EVAL_SIZE_HW))]
        for begin in range(0, len(self.holding), _BATCH):
            part = self.holding[begin : begin + _BATCH]
            values = [self.seen[index].outlined.vectors @ self.left_out(index, setting) for index in part]
            maps = torch.stack(values).reshape(len(part), 1, *self.seen[0].grid_hw)
            if outlined:
                images = self._images([self.seen[index] for index in part])
                maps = self.method.outlined(maps.to(images.device), images).cpu()
            made.append(resize_maps(maps[:, 0].clamp(-1, 1).double().numpy(), EVAL_SIZE_HW))
        return np.concatenate(made)


def best_setting(ious: Mapping[Setting, FloatArray], plain: Setting) -> Setting:
    """The setting whose boxes are surely better than those of ``plain`` by the most; else ``plain`` itself.

    Surely: by the mean of the photographs' differences less twice its standard error.

    Args:
        ious: (n,) of the boxes of the same photographs, under each setting and under ``plain``.
        plain: what is taken without any box.

    Example:
        >>> plain, other = Setting(0.0, 1.0, 0.2), Setting(1.0, 1.0, 0.2)
        >>> best_setting({plain: np.full(9, 0.4), other: np.full(9, 0.6)}, plain).weight
        1.0
        >>> best_setting({plain: np.full(9, 0.4), other: np.array([0.9, *[0.4] * 8])}, plain).weight
        0.0
    """
    before = soft_right(ious[plain])

    def surely(setting: Setting) -> float:
        gain = soft_right(ious[setting]) - before
        if not gain.any():
            return 0.0
        return float(gain.mean() - SURE * (gain.std() + LEAST_DEVIATION) / np.sqrt(len(gain)))

    return max([plain, *ious], key=surely)


def soft_right(ious: FloatArray) -> FloatArray:
    """How right boxes are, in [0, 1]: a half at an IoU of 0.5, so that few photographs tell more.

    Example:
        >>> soft_right(np.array([0.2, 0.5, 0.6, 0.9])).round(2).tolist()
        [0.0, 0.5, 0.75, 1.0]
    """
    return ((ious - 0.3) / 0.4).clip(0, 1)


def boxes_at(values: FloatArray, levels: Sequence[float]) -> list[FloatArray]:
    """The largest box of a map at each of some levels, as ``find_boxes`` has it of shares; from one pass.

    Args:
        values: (h, w) of a discriminant, in [-1, 1].
        levels: in (-1, 1).

    Returns:
        For each level (1, 4), or (0, 4) where nothing is above it.

    Example:
        >>> values = np.full((8, 8), -0.5); values[2:6, 1:7] = 0.2; values[3:5, 2:5] = 1.0
        >>> [boxes.tolist() for boxes in boxes_at(values, (0.0, 0.5))]
        [[[1.0, 2.0, 7.0, 6.0]], [[2.0, 3.0, 5.0, 5.0]]]
    """
    highest = float(values.max())
    if highest <= -1:
        return [np.zeros((0, 4))] * len(levels)
    # Shares are cut at half of their maximum: where that is less than 1, somewhat below the level.
    cuts = [(1 + level) * _share_of(highest, level) / (1 + highest) for level in levels]
    found = components((values + 1) / 2, cuts)
    return [boxes_from_pixels(one[:1, :4], values.shape, values.shape) for one in found]


def _share_of(value: float, level: float) -> float:
    """``as_share`` of a single value."""
    above = value - level
    return 0.5 + 0.5 * above / (1 + level if above < 0 else 1 - level)


def _share(values: FloatArray, level: float) -> FloatArray:
    return as_share(torch.from_numpy(values), torch.tensor(level, dtype=torch.float64)).numpy()
