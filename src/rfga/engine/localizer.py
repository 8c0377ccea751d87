"""One trained model, ready to use: photographs in, score maps and boxes out."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rfga.engine.build import trained_method
from rfga.engine.config import OWN_MAPS, TrainConfig
from rfga.engine.devices import pick_device
from rfga.engine.images import normalised
from rfga.engine.options import resolve
from rfga.engine.run_folder import RunFolder
from rfga.engine.thresholds import Threshold, run_threshold
from rfga.geometry.boxes import boxes_from_pixels
from rfga.geometry.levelsets import component_boxes
from rfga.geometry.maps import EVAL_SIZE_HW, score_maps
from rfga.methods import POSTHOC
from rfga.methods.base import Method
from rfga.methods.posthoc import PostHoc
from rfga.types import FloatArray, IntArray, Prediction


@dataclass(frozen=True, eq=False)
class Scored:
    """What the network says of a batch, on its way to boxes or metrics."""

    logits: FloatArray  # (B, K)
    raw_maps: FloatArray  # (B, h, w) as the method gave them
    maps: FloatArray  # (B, 224, 224) in [0, 1]
    labels: IntArray  # (B,) the classes the maps are of

    def rows(self, rows: Sequence[int]) -> Scored:
        """Those of some images of the batch."""
        chosen = list(rows)
        return Scored(self.logits[chosen], self.raw_maps[chosen], self.maps[chosen], self.labels[chosen])


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
        >>> from rfga.engine.build import build_method
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
        self._reader: Method | PostHoc = self.method
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
    ) -> Localizer:
        """The model of a run folder; no code in it is run.

        Args:
            run: folder that ``rfga train`` made.
            device: auto, cpu, cuda or mps.
            normalisation: of score maps, instead of the one in the run's settings.
            maps_from: name of a post-hoc way to read maps, instead of the method's own.

        Raises:
            UserError: the folder is no finished run, or is damaged; no such maps, or the library that reads
                them is not installed.
        """
        folder = RunFolder(Path(run))
        method, config = trained_method(folder)
        if normalisation is not None:
            config = TrainConfig.from_dict({**config.to_dict(), "normalisation": normalisation})
        threshold = run_threshold(folder.read_metrics(), config.normalisation, maps_from or OWN_MAPS)
        return cls(method, folder.read_classes(), config, threshold, pick_device(device), maps_from)

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights: the same for the same network, another for any other."""
        return weights_fingerprint(self.method)

    def with_threshold(self, value: float, source: str) -> Localizer:
        """The same model with another threshold."""
        changed = copy.copy(self)
        changed.threshold = Threshold(value, source)
        return changed

    def score(self, pixels: Tensor, labels: Tensor | None = None) -> Scored:
        """Logits and score maps of photographs.

        Args:
            pixels: (B, 3, S, S) uint8, as ``rfga.data.transforms.eval_transform`` gives them.
            labels: (B,) classes to map; by default the most probable one of each photograph.
        """
        images = normalised(pixels.to(self.device, non_blocking=True), self.method.backbone)
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
        """Boxes, class and probability of every photograph of a scored batch."""
        shifted = np.exp(scored.logits - scored.logits.max(1, keepdims=True))
        probabilities = shifted / shifted.sum(1, keepdims=True)
        made = []
        for i, (image_id, size_hw) in enumerate(zip(image_ids, sizes_hw, strict=True)):
            boxes = self.boxes(scored.maps[i], size_hw, max_boxes)
            probability = float(probabilities[i, scored.labels[i]])
            made.append(
                Prediction(
                    image_id=image_id,
                    size_hw=size_hw,
                    label=int(scored.labels[i]),
                    probability=probability,
                    boxes=boxes,
                    scores=np.full(len(boxes), probability),
                    score_map=scored.maps[i],
                    threshold=self.threshold.value,
                )
            )
        return made


def weights_fingerprint(network: nn.Module) -> str:
    """The same text for the same weights, another for any other.

    Example:
        >>> weights_fingerprint(nn.Identity()) == weights_fingerprint(nn.Linear(1, 1))
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
