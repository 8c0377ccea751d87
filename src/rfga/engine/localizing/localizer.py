"""One trained model, ready to use: photographs in, score maps and boxes out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rfga.data.transforms import eval_transform
from rfga.engine.localizing.confidence import DEFAULT, run_confidence
from rfga.engine.localizing.photographs import (
    Found,
    Photo,
    Photos,
    as_image,
    as_list,
    is_one,
    label_indices,
    name_of,
)
from rfga.engine.localizing.second_look import second_look
from rfga.engine.run.config import OWN_MAPS, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import normalised, trained_method
from rfga.engine.run.options import resolve
from rfga.engine.run.pretrained import model_folder
from rfga.engine.run.shelf import Held, Shelf
from rfga.engine.run.weights_file import weights_fingerprint
from rfga.engine.runtime.devices import pick_device
from rfga.engine.thresholds.threshold import Threshold, run_threshold
from rfga.geometry.box_evidence import box_evidence, find_boxes
from rfga.geometry.boxes import boxes_from_pixels, scale_boxes
from rfga.geometry.levelsets import component_boxes
from rfga.geometry.maps import EVAL_SIZE_HW, score_maps
from rfga.methods import POSTHOC
from rfga.methods.base import MapReader, Method
from rfga.types import FloatArray, IntArray, Prediction

SEVERAL = "several objects?"
"""Warning of a photograph that seems to hold more than one object of the class."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What the network says of a batch, on its way to boxes or metrics."""

    logits: FloatArray  # (B, K)
    raw_maps: FloatArray  # (B, h, w) as the method gave them
    maps: FloatArray  # (B, 224, 224) in [0, 1]
    labels: IntArray  # (B,) the classes the maps are of
    looks: FloatArray | None = None  # (B, N, 2) of each box at a second look, see ``engine.second_look``

    @property
    def probabilities(self) -> FloatArray:
        """Of the classes the maps are of: (B,) in [0, 1]."""
        powers = np.exp(self.logits - self.logits.max(1, keepdims=True))
        chosen: FloatArray = powers[np.arange(len(powers)), self.labels] / powers.sum(1)
        return chosen

    def rows(self, rows: Sequence[int]) -> Scored:
        """Those of some images of the batch."""
        chosen = list(rows)
        looks = None if self.looks is None else self.looks[chosen]
        return Scored(
            self.logits[chosen], self.raw_maps[chosen], self.maps[chosen], self.labels[chosen], looks
        )


class Localizer:
    """A trained method with its classes, input settings, normalisation and threshold.

    Args:
        method: the trained network.
        classes: names by index.
        config: the settings it was trained with.
        threshold: the fraction of a map's maximum above which a pixel belongs to the object.
        device: where it computes.
        maps_from: name of a post-hoc way to read maps; by default they are the method's own.

    Example:
        >>> from rfga.data.transforms import eval_transform
        >>> from rfga.engine.run.model import build_method
        >>> from PIL import Image
        >>> config = TrainConfig(method="cam", backbone="test_resnet", weights="none", image_size=64)
        >>> threshold = Threshold(0.3, "fixed")
        >>> localizer = Localizer(build_method(config, 2), ("perch", "tench"), config, threshold)
        >>> photograph = Image.linear_gradient("L").convert("RGB").resize((80, 60))
        >>> scored = localizer.score(eval_transform(photograph, config.image_size)[None])
        >>> scored.logits.shape, scored.maps.shape
        ((1, 2), (1, 224, 224))
        >>> [found] = localizer.predictions(scored, ["a.jpg"], [(60, 80)])
        >>> found.size_hw, found.boxes.shape
        ((60, 80), (1, 4))
        >>> localizer(photograph, label="perch").mask.shape
        (60, 80)
    """

    def __init__(
        self,
        method: Method,
        classes: tuple[str, ...],
        config: TrainConfig,
        threshold: Threshold,
        device: torch.device | None = None,
        maps_from: str | None = None,
    ) -> None:
        self.device = device or pick_device("cpu")
        self.method = method.eval().to(self.device).to(memory_format=torch.channels_last)
        self.classes, self.config, self.threshold = classes, config, threshold
        self.maps = maps_from or OWN_MAPS
        self.confidence, self.second_looks = DEFAULT, 0  # how many boxes of a photograph are looked at twice
        self.shelf: Shelf | None = None
        self._reader: Method | MapReader = self.method
        if maps_from is not None:
            self._reader = resolve(POSTHOC, maps_from, "kind of maps")(self.method)

    @classmethod
    def load(
        cls,
        run: Path | str,
        *,
        device: str = "auto",
        normalisation: str | None = None,
        maps_from: str | None = None,
        threshold: float | str = "auto",
    ) -> Localizer:
        """The model of a run folder; no code in it is run.

        Args:
            run: folder that ``rfga train`` made.
            device: auto, cpu, cuda or mps.
            normalisation: of score maps, instead of the one in the run's settings.
            maps_from: name of a post-hoc way to read maps, instead of the method's own.
            threshold: a number, instead of the one that the run knows.

        Raises:
            UserError: the folder is no finished run, or is damaged; no such maps, or the library that reads
                them is not installed; no such threshold.
        """
        folder = RunFolder(Path(run))
        method, config = trained_method(folder)
        metrics, maps = folder.read_metrics(), maps_from or OWN_MAPS
        config = config.read_as(normalisation, maps)
        cut = run_threshold(metrics, config.normalisation, maps, threshold)
        loaded = cls(method, folder.read_classes(), config, cut, pick_device(device), maps_from)
        loaded.confidence = run_confidence(metrics, config.normalisation, maps)
        return loaded

    @classmethod
    def from_pretrained(
        cls, source: Path | str, *, revision: str | None = None, device: str = "auto"
    ) -> Localizer:
        """The model of a folder (a run, or one that ``rfga export`` made), else of a repository on the hub.

        Args:
            source: the folder, or the repository's name ("user/name"); nothing in either is run.
            revision: branch, tag or commit of the repository.
            device: auto, cpu, cuda or mps.

        Raises:
            UserError: there is neither, or no trained model in it; the hub cannot be reached.
        """
        return cls.load(model_folder(source, revision), device=device)

    def __call__(
        self,
        photographs: Photo | Photos,
        *,
        label: str | Sequence[str] | None = None,
        max_boxes: int = 1,
        batch_size: int = 32,
    ) -> Any:
        """Find the object in one photograph, or in each of several.

        Args:
            photographs: a path, a PIL image or an array (H, W, 3) of RGB bytes; or several as a sequence or
                an array (B, H, W, 3).
            label: name of the class to look for, of all or of each; by default the most probable one.
            max_boxes: boxes per photograph at most.
            batch_size: photographs at a time.

        Returns:
            For one photograph a ``Found`` (label, confidence, box, mask, map), for several a list of them.

        Raises:
            UserError: a photograph that cannot be read, an unknown class, or another number of classes.
        """
        several = as_list(photographs)
        labels = label_indices(label, self.classes, len(several))
        found: list[Found] = []
        for first in range(0, len(several), batch_size):
            part = slice(first, first + batch_size)
            images = [as_image(photograph) for photograph in several[part]]
            pixels = torch.stack([eval_transform(image, self.config.image_size) for image in images])
            scored = self.score(pixels, None if labels is None else torch.tensor(labels[part]))
            names = [name_of(one, first + place) for place, one in enumerate(several[part])]
            sizes_hw = [(image.height, image.width) for image in images]
            predictions = self.predictions(scored, names, sizes_hw, max_boxes)
            found += [Found(self.classes[prediction.label], prediction) for prediction in predictions]
        return found[0] if is_one(photographs) else found

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights: the same for the same network, another for any other."""
        return weights_fingerprint(self.method)

    def with_threshold(self, value: float, source: str) -> Localizer:
        """The same model with another threshold."""
        changed = copy.copy(self)
        changed.threshold = Threshold(value, source)
        return changed

    def with_second_look(self, max_boxes: int = 1) -> Localizer:
        """The same model that looks at each box again, by itself, which takes another pass for each."""
        changed = copy.copy(self)
        changed.second_looks = max_boxes
        return changed

    def with_shelf(self, shelf: Shelf) -> Localizer:
        """The same model that need not see photographs again of which a shelf holds what the network gave."""
        changed = copy.copy(self)
        changed.shelf = shelf
        return changed

    def score(self, pixels: Tensor, labels: Tensor | None = None, held: Held | None = None) -> Scored:
        """Logits and score maps of photographs.

        Args:
            pixels: (B, 3, S, S) uint8, as ``rfga.data.transforms.eval_transform`` gives them.
            labels: (B,) classes to map, below 0 for the most probable one, which is also the default.
            held: what is known of them, if there is a shelf.
        """
        if labels is not None and bool((labels < 0).any()):
            probable = torch.from_numpy(self._score(pixels, None, held).labels)
            labels = torch.where(labels < 0, probable, labels)
        scored = self._score(pixels, labels, held)
        if not self.second_looks:
            return scored
        edges = [self.boxes(score_map, (1, 1), self.second_looks) for score_map in scored.maps]
        classes = torch.from_numpy(scored.labels)
        return replace(scored, looks=second_look(self._look, pixels, classes, edges, self.threshold.value))

    def _look(self, pixels: Tensor, labels: Tensor) -> tuple[FloatArray, FloatArray]:
        scored = self._score(pixels, labels)
        return scored.raw_maps, scored.maps

    def _score(self, pixels: Tensor, labels: Tensor | None, held: Held | None = None) -> Scored:
        images = normalised(pixels.to(self.device, non_blocking=True), self.method.backbone)
        with held.remembering(self.method.backbone, pixels, images) if held else nullcontext():
            found = self._reader.localize(images, None if labels is None else labels.to(self.device))
        raw = found.maps[:, 0].cpu().double().numpy()
        return Scored(
            logits=found.logits.cpu().double().numpy(),
            raw_maps=raw,
            maps=score_maps(raw, self.config.normalisation, EVAL_SIZE_HW),
            labels=found.labels[:, 0].cpu().numpy(),
        )

    def boxes(self, score_map: FloatArray, size_hw: tuple[int, int], max_boxes: int = 1) -> FloatArray:
        """The largest components above the threshold as boxes (n, 4), edges in original pixels."""
        pixels = component_boxes(score_map, self.threshold.value, max_boxes)
        return boxes_from_pixels(pixels, (score_map.shape[0], score_map.shape[1]), size_hw)

    def predictions(
        self, scored: Scored, image_ids: list[str], sizes_hw: list[tuple[int, int]], max_boxes: int = 1
    ) -> list[Prediction]:
        """Boxes with their confidence, class and probability of every photograph of a scored batch."""
        probabilities, threshold = scored.probabilities, self.threshold.value
        made = []
        for i, (image_id, size_hw) in enumerate(zip(image_ids, sizes_hw, strict=True)):
            score_map, label, probability = scored.maps[i], int(scored.labels[i]), float(probabilities[i])
            found = find_boxes(score_map, threshold, max_boxes)
            evidence = box_evidence(score_map, found, threshold, scored.raw_maps[i], probability)
            looks = None if scored.looks is None else scored.looks[i, : len(evidence)]
            scores = self.confidence.of_boxes(evidence, looks, found.shares, label)
            # Where the whole collection is in doubt, single photographs are not: then all say little.
            shown = self.method.in_doubt or scores.max(initial=0.0) >= self.confidence.least
            made.append(
                Prediction(
                    image_id=image_id,
                    size_hw=size_hw,
                    label=label,
                    probability=probability,
                    boxes=scale_boxes(found.boxes if shown else found.boxes[:0], EVAL_SIZE_HW, size_hw),
                    scores=scores if shown else scores[:0],
                    score_map=score_map,
                    threshold=threshold,
                    warnings=(SEVERAL,) if shown and found.several else (),
                )
            )
        return made
